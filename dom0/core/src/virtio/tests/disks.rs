//! Our side of a virtio disk against the model: what arrives, who is told when, and what a device that lies can do.

use alloc::{rc::Rc, vec, vec::Vec};
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::model::{Area, Arena, Model, Seen};
use super::super::*;
use crate::block::quick::{Completions, Kind, QuickDisk, Refused};
use crate::block::{Disk, DiskError, Piece, WholeDisk};

pub type TestDisk = Rc<VirtioDisk<Rc<Model>, Area>>;

/// A disk with the model behind it.
pub struct Rig {
    pub arena: Rc<Arena>,
    pub model: Rc<Model>,
    pub disk: TestDisk,
}

impl Rig {
    pub fn new(shape: Shape, queues: usize) -> Self {
        Self::with(shape, queues, |_| {})
    }

    fn with(shape: Shape, queues: usize, change: impl FnOnce(&mut Config)) -> Self {
        let arena = Rc::<Arena>::default();
        let model = Model::new(&arena);
        let mut config = model::config();
        change(&mut config);
        model.config.set(config);
        let memory = |bytes: usize| arena.take(bytes);
        let queue = |_| DiskQueue::new(shape, memory(4096), memory(RINGS_BYTES), memory(usize::from(shape.slots) * SLOT_BYTES));
        let queues: Vec<_> = (0..queues).map(queue).collect();
        queues.iter().for_each(|queue| model.add_queue(shape, queue.place()));
        let disk = Rc::new(VirtioDisk::new(model.clone(), config, queues));
        Self { arena, model, disk }
    }

    /// Runs a future; the device works whenever it was told to, and is served whenever it interrupts.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            if let Poll::Ready(result) = work.as_mut().poll(&mut context) {
                return result;
            }
            if self.model.work(3) {
                self.disk.serve();
            }
        }
        panic!("it never ends");
    }
}

fn shape(size: u16, slots: u16, indirect: bool, event_index: bool) -> Shape {
    Shape::new(size, MOST_PIECES, slots, indirect, event_index).unwrap()
}

fn shapes() -> impl Iterator<Item = Shape> {
    let kinds = [(true, true), (true, false), (false, true), (false, false)];
    kinds.into_iter().flat_map(|(indirect, event)| [(256, 128), (64, 16), (8, 8)].map(|(size, slots)| shape(size, slots, indirect, event)))
}

#[test]
fn bytes_come_and_go() {
    for shape in shapes() {
        for queues in [1, 3] {
            let rig = Rig::new(shape, queues);
            let disk = WholeDisk::new(0, rig.disk.clone());
            let (from, into) = (rig.arena.take(400_000), rig.arena.take(400_000));
            let pieces = |area: &Area| (0..97).map(|page| area.piece(page, 4096)).collect::<Vec<_>>();
            let bytes: Vec<u8> = (0..97 * 4096u32).map(|at| (at / 512 * 7 + at) as u8).collect();
            rig.arena.put(from.machine(0), &bytes);
            let (source, target) = (pieces(&from), pieces(&into));
            rig.run(disk.write(5120, &source)).unwrap();
            rig.run(disk.flush()).unwrap();
            rig.run(disk.read(5120, &target)).unwrap();
            assert_eq!(rig.arena.bytes(into.machine(0), bytes.len()), bytes, "{shape:?}");
            rig.run(disk.discard(0, 1 << 20)).unwrap();
            assert!(rig.model.contents.borrow().iter().all(|&byte| byte == 0));
            let flushes = rig.model.log.borrow().iter().filter(|seen| seen.kind == 4).count();
            assert_eq!(flushes, 1);
        }
    }
}

#[test]
fn requests_are_cut_at_blocks() {
    let rig = Rig::with(shape(8, 8, true, true), 1, |config| config.info.logical_block = 4096);
    let disk = WholeDisk::new(0, rig.disk.clone());
    let area = rig.arena.take(1 << 16);
    // 5 and 11 sectors in turn: neither a piece nor six of them are whole blocks.
    let pieces: Vec<_> = (0..8).map(|page| area.piece(2 * page, if page % 2 == 0 { 2560 } else { 5632 })).collect();
    rig.run(disk.read(8192, &pieces)).unwrap();
    let log = rig.model.log.borrow();
    let total: u32 = log.iter().flat_map(|seen| &seen.memory).map(|memory| memory.1).sum();
    assert_eq!((total, log.len()), (32768, 2));
    for seen in log.iter() {
        assert!(seen.sector.is_multiple_of(8) && seen.memory.iter().map(|memory| memory.1).sum::<u32>().is_multiple_of(4096));
    }
    // Blocks of more pieces than fit into a request cannot be had.
    let small: Vec<_> = (0..8).map(|page| area.piece(page, 512)).collect();
    assert_eq!(rig.run(disk.read(0, &small)), Err(DiskError::Unsupported));
}

#[test]
fn one_bell_and_few_interrupts_serve_many() {
    let rig = Rig::new(shape(256, 64, true, true), 1);
    let (done, area) = (Completions::new(), rig.arena.take(4096));
    for round in 1..=10 {
        for token in 0..32 {
            rig.disk.submit(Kind::Read, token * 4096, &[area.piece(0, 4096)], &done, token).unwrap();
        }
        rig.disk.kick();
        rig.disk.kick();
        assert_eq!(rig.model.doorbells.get(), round);
        while done.take().is_some() {}
        for _ in 0..32 {
            if rig.model.work(1) {
                rig.disk.serve();
            }
        }
        let answered = core::iter::from_fn(|| done.take()).count();
        assert_eq!(answered, 32);
    }
    // Each alone, 320 would have interrupted.
    assert!((10..=160).contains(&rig.model.interrupts.get()), "{}", rig.model.interrupts.get());
}

/// What the device finishes between our last look and our asking to be told, it does not tell of: asking says so.
#[test]
fn listening_misses_nothing() {
    for shape in shapes() {
        let arena = Rc::<Arena>::default();
        let model = Model::new(&arena);
        let mut queue = Queue::new(shape, arena.take(4096), arena.take(RINGS_BYTES), arena.take(usize::from(shape.slots) * SLOT_BYTES));
        model.add_queue(shape, queue.place());
        for round in 0..1000 {
            assert!(queue.add(4, 0, false, &[], round) && queue.publish());
            queue.ignore();
            assert_eq!(queue.take(), Ok(None));
            let early = round % 2 == 0;
            if early {
                model.work(1);
            }
            assert_eq!(queue.listen(0), early);
            assert!(early || model.work(1), "an interrupt");
            assert_eq!(queue.take(), Ok(Some(Done { user: round, status: 0 })));
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let rig = Rig::new(shape(64, 16, true, true), 1);
    let (done, area) = (Completions::new(), rig.arena.take(4096));
    let piece = area.piece(0, 4096);
    let refused = |rig: &Rig, kind, offset, pieces: &[Piece]| rig.disk.submit(kind, offset, pieces, &done, 0).unwrap_err();
    let end = (1 << 20) - 2048;
    assert_eq!(refused(&rig, Kind::Read, end, &[piece]), Refused::Failed(DiskError::OutOfRange));
    assert_eq!(refused(&rig, Kind::Write, u64::MAX - 511, &[piece]), Refused::Failed(DiskError::OutOfRange));
    assert_eq!(refused(&rig, Kind::Read, 1, &[piece]), Refused::Failed(DiskError::Misaligned));
    assert_eq!(refused(&rig, Kind::Read, 0, &[]), Refused::Failed(DiskError::Unsupported));
    assert_eq!(refused(&rig, Kind::Read, 0, &vec![area.piece(0, 512); 63]), Refused::Failed(DiskError::Unsupported));
    assert_eq!(refused(&rig, Kind::Discard(0), 0, &[]), Refused::Failed(DiskError::Unsupported));
    assert_eq!(refused(&rig, Kind::Discard(1 << 19), 0, &[]), Refused::Failed(DiskError::Unsupported));
    let read_only = Rig::with(shape(64, 16, true, true), 1, |config| config.info.read_only = true);
    assert_eq!(refused(&read_only, Kind::Write, 0, &[piece]), Refused::Failed(DiskError::ReadOnly));
    assert_eq!(refused(&read_only, Kind::Discard(512), 0, &[]), Refused::Failed(DiskError::ReadOnly));
    for token in 0..16 {
        rig.disk.submit(Kind::Read, 0, &[piece], &done, token).unwrap();
    }
    assert_eq!(refused(&rig, Kind::Read, 0, &[piece]), Refused::Full);
    assert!(done.take().is_none() && rig.model.doorbells.get() == 0);
}

#[test]
fn what_a_device_lacks() {
    let rig = Rig::with(shape(64, 16, true, true), 1, |config| {
        config.flush = false;
        config.forgetting = Some(Forgetting::WriteZeroes);
    });
    let disk = WholeDisk::new(0, rig.disk.clone());
    rig.run(disk.flush()).unwrap();
    rig.model.contents.borrow_mut().fill(7);
    rig.run(disk.discard(4096, 4096)).unwrap();
    assert_eq!(rig.model.contents.borrow()[4095..4098], [7, 0, 0]);
    assert_eq!(rig.model.log.borrow().iter().map(|seen| seen.kind).collect::<Vec<_>>(), [13]);
}

#[test]
fn errors_of_the_device_are_errors() {
    let rig = Rig::new(shape(64, 16, true, true), 1);
    let disk = WholeDisk::new(0, rig.disk.clone());
    for (status, error) in [(1, DiskError::Io), (2, DiskError::Unsupported), (77, DiskError::Io), (255, DiskError::Io)] {
        rig.model.fail.set(Some(status));
        assert_eq!(rig.run(disk.flush()), Err(error));
    }
    assert!(!rig.disk.is_gone());
}

#[test]
fn a_disk_grows_and_nothing_else_changes() {
    let rig = Rig::new(shape(64, 16, true, true), 1);
    assert!(!rig.disk.configuration_changed());
    let mut config = rig.model.config.get();
    (config.info.bytes, config.info.logical_block, config.info.read_only) = (2 << 20, 4096, true);
    rig.model.config.set(config);
    assert!(rig.disk.configuration_changed());
    let info = rig.disk.info();
    assert_eq!((info.bytes, info.logical_block, info.read_only), (2 << 20, 512, false));
    rig.model.broken_config.set(true);
    assert!(!rig.disk.configuration_changed() && rig.disk.is_gone() && rig.model.stopped.get());
}

#[test]
fn who_waits_is_served_before_newcomers() {
    let rig = Rig::new(shape(8, 2, true, true), 1);
    let (done, area) = (Completions::new(), rig.arena.take(4096));
    let submit = |token| rig.disk.submit(Kind::Read, 0, &[area.piece(0, 512)], &done, token);
    (0..2).for_each(|token| submit(token).unwrap());
    rig.disk.kick();
    let mut context = Context::from_waker(Waker::noop());
    let (mut first, mut second) = (rig.disk.room(1), rig.disk.room(1));
    assert!(first.as_mut().poll(&mut context).is_pending() && second.as_mut().poll(&mut context).is_pending());
    assert!(rig.model.work(1));
    rig.disk.serve();
    assert_eq!(submit(9), Err(Refused::Full), "a newcomer");
    assert!(second.as_mut().poll(&mut context).is_pending());
    assert!(first.as_mut().poll(&mut context).is_ready());
    submit(2).unwrap();
    rig.disk.kick();
    assert_eq!(submit(9), Err(Refused::Full), "a newcomer");
    assert!(second.as_mut().poll(&mut context).is_pending());
    // Whoever goes away leaves the line.
    drop(second);
    while rig.model.work(8) {
        rig.disk.serve();
    }
    submit(3).unwrap();
}

/// What happens next in a random history.
#[derive(Clone, Debug)]
enum Step {
    Submit { write: bool, page: u64, pieces: usize },
    Flush,
    Discard(u64),
    Kick,
    Work(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<bool>(), 0..200u64, 1..9usize).prop_map(|(write, page, pieces)| Step::Submit { write, page, pieces }),
        1 => Just(Step::Flush),
        1 => (0..200u64).prop_map(Step::Discard),
        3 => Just(Step::Kick),
        4 => (1..20u16).prop_map(Step::Work),
    ];
    proptest::collection::vec(step, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Whatever the order, each request arrives once and as it was meant, and is answered once; and an interrupt is all that it takes.
    #[test]
    fn nothing_is_lost(size in 2..9u32, slots in 1..65u16, indirect: bool, event_index: bool, queues in 1..4usize, steps in steps()) {
        let shape = Shape::new(1 << size, 8, slots, indirect, event_index).unwrap();
        let rig = Rig::new(shape, queues);
        let (done, area) = (Completions::new(), rig.arena.take(16 * 4096));
        let mut sent = BTreeMap::new();
        for (token, step) in (0..).zip(steps) {
            let (kind, offset, pieces) = match step {
                Step::Submit { write, page, pieces } => {
                    let pieces: Vec<_> = (0..pieces).map(|page| area.piece(page, 512 + 512 * (page as u32 % 8))).collect();
                    (if write { Kind::Write } else { Kind::Read }, page * 4096, pieces)
                }
                Step::Flush => (Kind::Flush, 0, vec![]),
                Step::Discard(page) => (Kind::Discard(4096), page * 4096, vec![]),
                Step::Kick => { rig.disk.kick(); continue }
                Step::Work(most) => {
                    if rig.model.work(most) { rig.disk.serve(); }
                    continue
                }
            };
            match rig.disk.submit(kind, offset, &pieces, &done, token) {
                Ok(()) => { sent.insert(token, meant(kind, offset, &pieces)); }
                Err(Refused::Full) => {}
                Err(Refused::Failed(error)) => prop_assert!(error == DiskError::Unsupported && pieces.len() > shape.pieces),
            }
        }
        rig.disk.kick();
        while (0..queues).any(|queue| rig.model.waiting(queue) > 0) {
            if rig.model.work(5) { rig.disk.serve(); }
        }
        let answers: Vec<_> = core::iter::from_fn(|| done.take()).collect();
        prop_assert_eq!(answers.len(), sent.len());
        let mut seen: Vec<Seen> = rig.model.log.borrow().clone();
        for (token, result) in answers {
            prop_assert_eq!(result, Ok(()));
            let meant = sent.remove(&token).unwrap();
            let at = seen.iter().position(|seen| same(seen, &meant));
            prop_assert!(at.is_some(), "{:?}", meant);
            seen.swap_remove(at.unwrap());
        }
        prop_assert!(seen.is_empty());
    }

    /// A device that writes what it likes where it may: no panic, no request answered twice, and once it is found out it is stopped and
    /// everything is answered.
    #[test]
    fn a_liar_is_stopped(indirect: bool, event_index: bool, lies in proptest::collection::vec((0..3100u64, any::<u64>(), any::<bool>()), 1..60)) {
        let rig = Rig::new(shape(32, 16, indirect, event_index), 2);
        let (done, area) = (Completions::new(), rig.arena.take(4096));
        let (mut token, mut open) = (0, std::collections::BTreeSet::new());
        for (at, value, honest) in lies {
            for _ in 0..3 {
                if rig.disk.submit(Kind::Read, 0, &[area.piece(0, 512)], &done, token).is_ok() {
                    open.insert(token);
                }
                token += 1;
            }
            rig.disk.kick();
            if !rig.model.stopped.get() {
                if honest {
                    rig.model.work(2);
                } else {
                    // Anywhere in the ring of what was used, its index above all.
                    let used = rig.model.place((value % 2) as usize).used;
                    let small = (value >> 8) % 24;
                    match at % 3 {
                        0 => rig.arena.put(used + 2, &(small as u16).to_le_bytes()),
                        1 => rig.arena.put(used + 4 + 8 * (at % 32), &(small as u32).to_le_bytes()),
                        _ => rig.arena.put(used + at % 300, &value.to_le_bytes()),
                    }
                }
            }
            rig.disk.serve();
            while let Some((token, _)) = done.take() {
                prop_assert!(open.remove(&token), "answered twice");
            }
        }
        prop_assert_eq!(rig.disk.is_gone(), rig.model.stopped.get());
        if rig.disk.is_gone() {
            prop_assert!(open.is_empty());
            let refused = rig.disk.submit(Kind::Flush, 0, &[], &done, 0);
            prop_assert_eq!(refused, Err(Refused::Failed(DiskError::Gone)));
            rig.run(rig.disk.room(1));
        }
    }
}

/// What the device should see of a request.
fn meant(kind: Kind, offset: u64, pieces: &[Piece]) -> Seen {
    let memory = |device_writes| pieces.iter().map(|piece| (piece.address, piece.bytes, device_writes)).collect();
    match kind {
        Kind::Read => Seen { kind: 0, sector: offset / 512, memory: memory(true) },
        Kind::Write => Seen { kind: 1, sector: offset / 512, memory: memory(false) },
        Kind::Flush => Seen { kind: 4, sector: 0, memory: vec![] },
        Kind::Discard(_) => Seen { kind: 11, sector: 0, memory: vec![(0, 16, false)] },
    }
}

/// The range of a discard lies in memory of the queue's.
fn same(seen: &Seen, meant: &Seen) -> bool {
    match (seen.kind, &seen.memory[..]) {
        (11, &[(_, 16, false)]) => meant.kind == 11,
        _ => seen == meant,
    }
}
