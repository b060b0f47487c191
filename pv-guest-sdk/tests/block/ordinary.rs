//! With a back end that keeps to the protocol.

use proptest::prelude::*;
use pv_guest_sdk::block::{Buffer, BufferError, Error, Info, Options};

use crate::back::Manner;
use crate::model::PAGE;
use crate::random::Random;
use crate::tasks::Task;
use crate::{Rig, SECTORS, info};

const HONEST: Manner = Manner { persistent: false, shuffled: false, fails: 0 };

/// Miri is slow.
const ROUNDS: u64 = if cfg!(miri) { 2 } else { 10 };

fn pattern(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let page: Vec<u8> = (0..32).flat_map(|_| random.below(u64::MAX).to_le_bytes()).collect();
    let mut data = page.repeat(bytes.div_ceil(page.len()));
    data.truncate(bytes);
    // Each sector is another.
    data.chunks_mut(512).zip(0u32..).for_each(|(sector, number)| sector[..4].copy_from_slice(&number.to_le_bytes()));
    data
}

#[test]
fn what_is_written_is_read() {
    for persistent in [false, true] {
        let mut rig = Rig::new(Options::default(), Manner { persistent, ..HONEST }, info());
        rig.run(|volume| {
            vec![Box::pin(async move {
                for (sector, bytes) in [(0, 512), (8, 4096), (3, 5 * 512), (100, 11 * PAGE), (300, 12 * PAGE), (500, 100 * PAGE + 512)] {
                    let data = pattern(sector, bytes);
                    volume.write(sector, &data).await.unwrap();
                    let mut back = vec![0; bytes];
                    volume.read(sector, &mut back).await.unwrap();
                    assert!(back == data, "sector {sector}");
                }
                volume.flush().await.unwrap();
                volume.discard(8, 8, false).await.unwrap();
                let mut back = [1; PAGE];
                volume.read(8, &mut back).await.unwrap();
                assert_eq!(back, [0; PAGE]);
            })]
        });
        assert_eq!(rig.disk[..512], pattern(0, 512));
        assert_eq!(rig.backs[0].flushes, 1);
        rig.end();
    }
}

#[test]
fn own_buffers_are_used_in_place() {
    for persistent in [false, true] {
        let mut rig = Rig::new(Options { segments: 16, ..Options::default() }, Manner { persistent, ..HONEST }, info());
        let model = rig.model.clone();
        rig.run(|volume| {
            vec![Box::pin(async move {
                let mut buffer = Buffer::new_on(model.clone(), 40).unwrap();
                let data = pattern(5, 40 * PAGE);
                buffer.copy_from_slice(&data);
                let before = model.pages_out();
                let mut buffer = volume.write_buffer(16, buffer, 40 * PAGE).await.unwrap();
                if !persistent {
                    // Two requests of 16 pages and one of 8, the larger ones with a page of segments.
                    assert!(model.pages_out() - before <= 3, "no page for the data");
                }
                buffer.fill(0);
                let buffer = volume.read_buffer(16, buffer, 39 * PAGE + 512).await.unwrap();
                assert!(buffer[..39 * PAGE + 512] == data[..39 * PAGE + 512]);
                assert!(buffer[39 * PAGE + 512..].iter().all(|&byte| byte == 0));
                let BufferError { error, buffer } = volume.read_buffer(SECTORS, buffer, 512).await.unwrap_err();
                assert_eq!(error, Error::Range);
                let error = volume.write_buffer(0, buffer.unwrap(), 41 * PAGE).await.unwrap_err();
                assert_eq!(error.error, Error::Range);
            })]
        });
        rig.end();
    }
}

#[test]
fn what_is_asked_wrongly_is_not_sent() {
    let block = Info { sector_size: 4096, ..info() };
    let mut rig = Rig::new(Options::default(), HONEST, block);
    rig.run(|volume| {
        vec![Box::pin(async move {
            let mut data = [0; 2 * PAGE];
            for (sector, bytes, error) in [
                (SECTORS, PAGE, Error::Range),
                (SECTORS - 8, 2 * PAGE, Error::Range),
                (u64::MAX - 7, PAGE, Error::Range),
                (u64::MAX, PAGE, Error::Range),
                (0, 0, Error::Range),
                (0, 100, Error::Misaligned),
                (0, 512, Error::Misaligned),
                (1, PAGE, Error::Misaligned),
            ] {
                assert_eq!(volume.read(sector, &mut data[..bytes]).await, Err(error), "{sector} {bytes}");
                assert_eq!(volume.write(sector, &data[..bytes]).await, Err(error), "{sector} {bytes}");
            }
            assert_eq!(volume.discard(4, 8, false).await, Err(Error::Misaligned));
            assert_eq!(volume.discard(8, 8, true).await, Err(Error::NotSupported));
            volume.set_info(Info { discard: None, flush: false, barrier: false, ..block });
            assert_eq!(volume.discard(8, 8, false).await, Err(Error::NotSupported));
            assert_eq!(volume.flush().await, Err(Error::NotSupported));
            volume.set_info(Info { read_only: true, ..block });
            assert_eq!(volume.write(0, &data).await, Err(Error::ReadOnly));
            assert_eq!(volume.discard(0, 8, false).await, Err(Error::ReadOnly));
            assert_eq!(volume.flush().await, Ok(()), "there is nothing to be made durable");
        })]
    });
    assert_eq!(rig.backs[0].served, 0);
    rig.end();
}

#[test]
fn a_disk_that_has_grown_can_be_used_further() {
    let mut rig = Rig::new(Options::default(), HONEST, info());
    rig.disk.resize(2 * SECTORS as usize * 512, 7);
    rig.backs[0].limits.sectors = 2 * SECTORS;
    rig.run(|volume| {
        vec![Box::pin(async move {
            let mut data = [0; 512];
            assert_eq!(volume.read(SECTORS, &mut data).await, Err(Error::Range));
            volume.set_info(Info { sectors: 2 * SECTORS, ..info() });
            assert_eq!(volume.read(SECTORS, &mut data).await, Ok(()));
            assert_eq!(data, [7; 512]);
        })]
    });
    rig.end();
}

#[test]
fn errors_of_the_disk_reach_who_asked() {
    let manner = Manner { fails: 2, shuffled: true, ..HONEST };
    let mut rig = Rig::new(Options { segments: 2, ..Options::default() }, manner, info());
    let count = std::cell::Cell::new((0, 0));
    rig.run(|volume| {
        let task = |index: u64| -> Task<'_> {
            let count = &count;
            Box::pin(async move {
                let data = vec![index as u8; 10 * PAGE];
                match volume.write(index * 80, &data).await {
                    Ok(()) => count.set((count.get().0 + 1, count.get().1)),
                    Err(error) => {
                        assert_eq!(error, Error::Io);
                        count.set((count.get().0, count.get().1 + 1));
                    }
                }
                let mut one = [0; 512];
                while volume.read(index * 80, &mut one).await.is_err() {}
            })
        };
        (0..20).map(task).collect()
    });
    assert!(count.get().1 > 0, "{:?}", count.get());
    rig.end();
}

#[test]
fn whoever_drops_a_request_leaves_nothing() {
    for persistent in [false, true] {
        let options = Options { segments: 4, pool: 16, ..Options::default() };
        let mut rig = Rig::new(options, Manner { persistent, shuffled: true, fails: 0 }, info());
        let model = rig.model.clone();
        rig.run(|volume| {
            let task = |index: u64| -> Task<'_> {
                let model = model.clone();
                Box::pin(async move {
                    for round in 0..ROUNDS {
                        let mut data = vec![0; 8 * PAGE];
                        let buffer = Buffer::new_on(model.clone(), 8).unwrap();
                        let (flag, waker) = crate::tasks::flagged();
                        drop(flag);
                        let mut context = std::task::Context::from_waker(&waker);
                        // Polled once, so that it is under way, and dropped.
                        let _ = std::pin::pin!(volume.read(index * 64, &mut data)).poll(&mut context);
                        let _ = std::pin::pin!(volume.read_buffer(index * 64, buffer, 8 * PAGE)).poll(&mut context);
                        let wanted = pattern(index * 100 + round, PAGE);
                        volume.write(1024 + index * 8, &wanted).await.unwrap();
                        let mut got = [0; PAGE];
                        volume.read(1024 + index * 8, &mut got).await.unwrap();
                        assert!(got == wanted[..]);
                    }
                })
            };
            (0..ROUNDS.min(6)).map(task).collect()
        });
        // What was dropped is answered later.
        while rig.backs[0].run(&mut rig.disk) {
            rig.volume.queues()[0].rang();
        }
        rig.end();
    }
}

#[test]
fn pages_are_mapped_once() {
    let mut rig = Rig::new(Options::default(), Manner { persistent: true, ..HONEST }, info());
    for _ in 0..20 {
        rig.run(|volume| {
            let task = |index: u64| -> Task<'_> { Box::pin(async move { volume.read(index * 8, &mut [0; PAGE]).await.unwrap() }) };
            (0..32).map(task).collect()
        });
    }
    assert_eq!(rig.backs[0].kept(), 32, "as many as were in use at once");
    assert_eq!(rig.backs[0].served, 640);
    assert!(rig.model.notified() <= 20 * 32);
    rig.end();
}

#[test]
fn little_memory_is_enough_or_an_error() {
    // Two pages, so a page of data at a time.
    let mut rig = Rig::new(Options { pool: 2, ..Options::default() }, HONEST, info());
    assert_eq!(rig.volume.step(), 1);
    rig.run(|volume| {
        let task = |index: u64| -> Task<'_> {
            Box::pin(async move {
                let data = pattern(index, 5 * PAGE);
                volume.write(index * 40, &data).await.unwrap();
                let mut back = vec![0; 5 * PAGE];
                volume.read(index * 40, &mut back).await.unwrap();
                assert!(data == back);
            })
        };
        (0..8).map(task).collect()
    });
    rig.end();
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Write(u64, usize),
    Read(u64, usize),
    WriteBuffer(u64, usize),
    ReadBuffer(u64, usize),
    Flush,
    Discard(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let place = || (0u64..240, 1usize..16);
    prop_oneof![
        4 => place().prop_map(|(at, count)| Step::Write(at, count)),
        4 => place().prop_map(|(at, count)| Step::Read(at, count)),
        2 => place().prop_map(|(at, count)| Step::WriteBuffer(at, count)),
        2 => place().prop_map(|(at, count)| Step::ReadBuffer(at, count)),
        1 => Just(Step::Flush),
        1 => (0u64..240, 1u64..16).prop_map(|(at, count)| Step::Discard(at, count)),
    ]
}

/// What one task does in its own 256 sectors, beside a copy of them.
async fn follow(volume: &pv_guest_sdk::block::volume::Volume<crate::model::Model>, model: crate::model::Model, first: u64, steps: &[Step]) {
    let mut copy = vec![0u8; 256 * 512];
    for (number, step) in steps.iter().enumerate() {
        let range = |at: u64, count: usize| at as usize * 512..at as usize * 512 + count * 512;
        match *step {
            Step::Write(at, count) => {
                let data = pattern(first + number as u64, count * 512);
                copy[range(at, count)].copy_from_slice(&data);
                volume.write(first + at, &data).await.unwrap();
            }
            Step::Read(at, count) => {
                let mut data = vec![0; count * 512];
                volume.read(first + at, &mut data).await.unwrap();
                assert!(data == copy[range(at, count)]);
            }
            Step::WriteBuffer(at, count) => {
                let mut buffer = Buffer::new_on(model.clone(), 2).unwrap();
                let data = pattern(first + number as u64, count * 512);
                copy[range(at, count)].copy_from_slice(&data);
                buffer[..count * 512].copy_from_slice(&data);
                volume.write_buffer(first + at, buffer, count * 512).await.unwrap();
            }
            Step::ReadBuffer(at, count) => {
                let buffer = volume.read_buffer(first + at, Buffer::new_on(model.clone(), 2).unwrap(), count * 512).await.unwrap();
                assert!(buffer[..count * 512] == copy[range(at, count)]);
            }
            Step::Flush => volume.flush().await.unwrap(),
            Step::Discard(at, count) => {
                copy[range(at, count as usize)].fill(0);
                volume.discard(first + at, count, false).await.unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 128 }, failure_persistence: None, ..ProptestConfig::default() })]

    /// Several tasks, several rings, any sizes, any order.
    #[test]
    fn many_at_once(
        lists in prop::collection::vec(prop::collection::vec(step(), 0..12), 1..8),
        queues in 1u32..4, ring_order in 0u32..3, segments in 1u16..40, pool in 2usize..60, persistent: bool, shuffled: bool,
    ) {
        let options = Options { queues, ring_order, segments, persistent, pool };
        let mut rig = Rig::new(options, Manner { persistent, shuffled, fails: 0 }, info());
        let model = rig.model.clone();
        rig.run(|volume| {
            let task = |(steps, first): (&Vec<Step>, u64)| -> Task<'_> {
                let (steps, model) = (steps.clone(), model.clone());
                Box::pin(async move { follow(volume, model, first, &steps).await })
            };
            lists.iter().zip((0..).step_by(256)).map(task).collect()
        });
        rig.end();
    }
}
