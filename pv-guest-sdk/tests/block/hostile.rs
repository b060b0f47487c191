//! With a back end that breaks the protocol.

use proptest::prelude::*;
use pv_guest_sdk::abi::blkif::{OP_READ, OP_WRITE, Response, STATUS_OKAY};
use pv_guest_sdk::block::engine::{Data, Kept};
use pv_guest_sdk::block::request::Operation;
use pv_guest_sdk::block::{Breach, Buffer, Error, Options};

use crate::back::Manner;
use crate::model::{Model, PAGE};
use crate::tasks::{Task, flagged, run};
use crate::{Rig, info};

const HONEST: Manner = Manner { persistent: false, shuffled: false, fails: 0 };

fn response(id: u64, operation: u8) -> Response {
    Response { id, operation, status: STATUS_OKAY, ..Response::default() }
}

/// One read, which the back end answers with what `answers` makes of its number.
fn answered(answers: impl Fn(u64) -> Vec<Response>) -> Result<(), Error> {
    let mut rig = Rig::new(Options::default(), HONEST, info());
    let mut result = Ok(());
    {
        let (volume, back) = (&rig.volume, &mut rig.backs[0]);
        let task: Task<'_> = Box::pin(async {
            // Two, so that there is room for a second response.
            let other = volume.queues()[0].try_send(Operation::Flush, &mut Data::Pool).unwrap().unwrap();
            result = volume.read(0, &mut [0; 512]).await;
            drop(other);
        });
        run(vec![task], || {
            let mut busy = false;
            while let Some(request) = back.ring.pop().unwrap() {
                if request.operation == OP_READ {
                    for answer in answers(request.id) {
                        back.ring.push(answer);
                    }
                    let _ = back.ring.publish();
                    busy = true;
                }
            }
            volume.queues()[0].rang();
            busy
        });
        if let Err(Error::Breach(_)) = result {
            let sent = volume.queues()[0].try_send(Operation::Flush, &mut Data::Pool).map(|ticket| ticket.is_some());
            assert_eq!(sent, result.map(|()| true), "the ring is not used any more");
        }
    }
    rig.backs.iter_mut().for_each(crate::back::Back::disconnect);
    assert!(rig.volume.queues()[0].close().is_empty());
    assert_eq!((rig.model.grants_out(), rig.model.pages_out()), (0, 0));
    result
}

#[test]
fn wrong_answers_end_the_use_of_the_ring() {
    assert_eq!(answered(|id| vec![response(id, OP_READ)]), Ok(()));
    assert_eq!(answered(|id| vec![response(id + 40, OP_READ)]), Err(Error::Breach(Breach::Id)));
    assert_eq!(answered(|id| vec![response(id + (1 << 32), OP_READ)]), Err(Error::Breach(Breach::Id)));
    assert_eq!(answered(|_| vec![response(u64::MAX, OP_READ)]), Err(Error::Breach(Breach::Id)));
    assert_eq!(answered(|id| vec![response(id, OP_WRITE)]), Err(Error::Breach(Breach::Operation)));
    assert_eq!(answered(|id| vec![response(id, 99)]), Err(Error::Breach(Breach::Operation)));
    for (status, error) in [(-1, Error::Io), (-2, Error::NotSupported), (-3, Error::Io), (1, Error::Io), (i16::MIN, Error::Io)] {
        assert_eq!(answered(|id| vec![Response { status, ..response(id, OP_READ) }]), Err(error));
    }
}

#[test]
fn an_answer_that_comes_twice_is_a_breach() {
    let mut rig = Rig::new(Options::default(), HONEST, info());
    let queue = &rig.volume.queues()[0];
    let mut last = 0;
    for turn in 0..3 {
        let (flag, waker) = flagged();
        let mut context = std::task::Context::from_waker(&waker);
        let other = queue.try_send(Operation::Flush, &mut Data::Pool).unwrap().unwrap();
        let mut data = [0; 512];
        let mut read = std::pin::pin!(rig.volume.read(0, &mut data));
        assert!(read.as_mut().poll(&mut context).is_pending());
        let flush = rig.backs[0].ring.pop().unwrap().unwrap();
        let request = rig.backs[0].ring.pop().unwrap().unwrap();
        assert_ne!(request.id, last, "a number is used once");
        // The last time an answer of before comes first.
        rig.backs[0].ring.push(response(if turn == 2 { last } else { request.id }, OP_READ));
        rig.backs[0].ring.push(response(flush.id, flush.operation));
        let _ = rig.backs[0].ring.publish();
        queue.rang();
        let result = read.as_mut().poll(&mut context);
        let expected = if turn == 2 { Err(Error::Breach(Breach::Id)) } else { Ok(()) };
        assert_eq!(result, std::task::Poll::Ready(expected));
        last = request.id;
        drop((other, flag));
    }
    rig.end();
}

#[test]
fn pages_that_are_held_on_to_are_lost_not_shared() {
    let mut rig = Rig::new(Options::default(), HONEST, info());
    let model = rig.model.clone();
    let mut held = Vec::new();
    {
        let (volume, back) = (&rig.volume, &mut rig.backs[0]);
        let task: Task<'_> = Box::pin(async {
            let buffer = Buffer::new_on(model.clone(), 3).unwrap();
            let error = volume.read_buffer(0, buffer, 3 * PAGE).await.unwrap_err();
            assert_eq!(error.error, Error::Breach(Breach::StillMapped));
            assert!(error.buffer.is_none(), "the back end may still write there");
            assert_eq!(volume.read(0, &mut [0; 512]).await, Err(Error::Breach(Breach::StillMapped)));
        });
        run(vec![task], || {
            let mut busy = false;
            while let Some(request) = back.ring.pop().unwrap() {
                let gref = request.seg[1].gref;
                assert!(model.map(gref, true).is_some());
                held.push(gref);
                back.ring.push(response(request.id, OP_READ));
                let _ = back.ring.publish();
                busy = true;
            }
            volume.queues()[0].rang();
            busy
        });
    }
    rig.backs[0].disconnect();
    assert!(rig.volume.queues()[0].close().is_empty());
    assert_eq!((model.grants_out(), model.pages_out()), (1, 3), "the one grant and its buffer");
    model.unmap(held[0]);
}

#[test]
fn what_stays_mapped_is_kept_until_it_is_not() {
    let mut rig = Rig::new(Options { ring_order: 1, ..Options::default() }, Manner { persistent: true, ..HONEST }, info());
    rig.run(|volume| vec![Box::pin(async move { volume.read(0, &mut [0; 3 * PAGE]).await.unwrap() })]);
    let kept = rig.volume.queues()[0].close();
    assert_eq!(kept.len(), 4, "three pages and the ring");
    let kept: Vec<Kept> = kept.into_iter().filter_map(|kept| kept.retry(&rig.model).err()).collect();
    assert_eq!(kept.len(), 4);
    rig.backs[0].disconnect();
    assert!(kept.into_iter().all(|kept| kept.retry(&rig.model).is_ok()));
    assert_eq!((rig.model.grants_out(), rig.model.pages_out()), (0, 0));
}

#[test]
fn a_ring_that_ends_wakes_all() {
    let rig = Rig::new(Options::default(), HONEST, info());
    {
        let volume = &rig.volume;
        // More than fit: some wait for answers, some for room.
        let task =
            |index: u64| -> Task<'_> { Box::pin(async move { assert_eq!(volume.read(index, &mut [0; 512]).await, Err(Error::Stopped)) }) };
        let mut turns = 0;
        run((0..50).map(task).collect(), || {
            turns += 1;
            if turns == 3 {
                volume.fail(Error::Stopped);
            }
            turns <= 3
        });
    }
    rig.end();
}

#[test]
fn without_memory_there_is_an_error() {
    let model = Model::new(3);
    let setup = pv_guest_sdk::block::engine::Setup { domid: 7, port: 100, handle: 0, order: 2, pool: 4 };
    let made = pv_guest_sdk::block::engine::Engine::new(model.clone(), setup);
    assert_eq!(made.err(), Some(Error::Memory));
    let setup = pv_guest_sdk::block::engine::Setup { order: 0, ..setup };
    let mut engine = pv_guest_sdk::block::engine::Engine::new(model.clone(), setup).unwrap();
    let (_, waker) = flagged();
    let mut read = |pages: usize| {
        engine.send(Operation::Read { sector: 0, bytes: pages * PAGE }, &mut Data::Pool, Some(&waker)).map(|id| id.is_some())
    };
    assert_eq!(read(3), Err(Error::Memory), "never to be had");
    assert_eq!(read(2), Ok(true));
    assert_eq!(read(1), Ok(false), "to be had later");
    assert!(engine.close(&mut Vec::new()).is_empty());
    assert_eq!((model.grants_out(), model.pages_out()), (0, 0), "what nobody asked about is given back, too");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 1 } else { 512 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a back end writes into the ring, reads end with something, and what is granted can be taken back.
    #[test]
    fn nothing_in_the_ring_does_harm(
        answers in prop::collection::vec((any::<u64>(), any::<u8>(), any::<i16>(), 0u8..4), 0..40),
        index in prop_oneof![3 => Just(None), 1 => any::<u32>().prop_map(Some)],
    ) {
        let mut rig = Rig::new(Options::default(), HONEST, info());
        let first = rig.volume.queues()[0].ring_grants()[0];
        let header = rig.model.map(first, true).unwrap().cast::<u32>();
        {
            let (volume, backs) = (&rig.volume, &mut rig.backs);
            let task = |sector: u64| -> Task<'_> { Box::pin(async move { let _ = volume.read(sector, &mut [0; 512]).await; }) };
            let mut answers = answers.iter();
            run((0..40).map(task).collect(), || {
                let mut ids = Vec::new();
                while let Ok(Some(request)) = backs[0].ring.pop() {
                    ids.push(request.id);
                }
                for id in ids {
                    let (junk, operation, status, kind) = answers.next().copied().unwrap_or((0, 0, 0, 9));
                    let (id, operation) = match kind {
                        0 => (junk, operation),
                        1 => (id ^ (junk & 0xff), 0),
                        2 => (id, operation),
                        _ => (id, 0),
                    };
                    backs[0].ring.push(Response { id, operation, status, ..Response::default() });
                }
                let _ = backs[0].ring.publish();
                if let Some(index) = index {
                    // SAFETY: the header's third field is the responses' index.
                    unsafe { header.add(2).write_volatile(index) };
                }
                volume.queues()[0].rang();
                if let Some(index) = index && index == 0 {
                    // Nothing will ever come: the toolstack takes the device away.
                    volume.fail(Error::Stopped);
                }
                true
            });
        }
        rig.model.unmap(first);
        rig.end();
    }
}
