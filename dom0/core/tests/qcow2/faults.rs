//! Faults that pass: requests to what lies below fail now and then, the image goes on being used, and then the power is cut. What a flush
//! acknowledged is there, and no cluster has two meanings.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use domus_dom0_core::block::fake::{FakeDisk, block_on};
use domus_dom0_core::block::{Disk, DiskError, Doing, Info, Piece, Place, SharedDisk};
use domus_dom0_core::qcow2::{Access, Image, New, Taken, create};
use proptest::prelude::*;

use crate::support::{Numbers, World};

/// Sectors of the guest's disk, and of the file.
const SECTORS: u64 = 512;
const ROOM: u64 = 2048;

/// A disk of which some requests fail, by their numbers. What fails does nothing.
struct Flaky {
    disk: Rc<FakeDisk>,
    bad: RefCell<BTreeSet<u64>>,
    requests: Cell<u64>,
}

impl Flaky {
    fn or<'a>(&'a self, then: Doing<'a>) -> Doing<'a> {
        Box::pin(async move {
            self.requests.set(self.requests.get() + 1);
            if self.bad.borrow().contains(&self.requests.get()) { Err(DiskError::Io) } else { then.await }
        })
    }
}

impl Disk for Flaky {
    fn info(&self) -> Info {
        self.disk.info()
    }
    fn place(&self, offset: u64, bytes: u64, write: bool) -> Place {
        self.disk.place(offset, bytes, write)
    }
    fn read<'a>(&'a self, offset: u64, into: &'a [Piece]) -> Doing<'a> {
        self.or(self.disk.read(offset, into))
    }
    fn write<'a>(&'a self, offset: u64, from: &'a [Piece]) -> Doing<'a> {
        self.or(self.disk.write(offset, from))
    }
    fn flush(&self) -> Doing<'_> {
        self.or(self.disk.flush())
    }
    fn discard(&self, offset: u64, bytes: u64) -> Doing<'_> {
        self.or(self.disk.discard(offset, bytes))
    }
}

#[derive(Clone, Debug)]
enum Op {
    Write { at: u64, count: u64 },
    Discard { at: u64, count: u64 },
    Flush,
    Take,
    Delete,
    Apply,
    Grow,
}

fn op() -> impl Strategy<Value = Op> {
    let range = || (0..SECTORS, prop_oneof![1..9u64, 1..100u64]).prop_map(|(at, count)| (at, count.min(SECTORS - at)));
    prop_oneof![
        8 => range().prop_map(|(at, count)| Op::Write { at, count }),
        2 => range().prop_map(|(at, count)| Op::Discard { at, count }),
        3 => Just(Op::Flush),
        1 => Just(Op::Take),
        1 => Just(Op::Delete),
        1 => Just(Op::Apply),
        1 => Just(Op::Grow),
    ]
}

struct Run {
    world: World,
    flaky: Rc<Flaky>,
    image: Rc<Image>,
    /// What each sector may hold after a loss of power; the last is what it holds now.
    model: Vec<Vec<u64>>,
    /// Snapshots that are known to be there, and what they hold.
    snapshots: Vec<(String, Vec<u64>)>,
    next: u64,
    bytes: u64,
}

impl Run {
    fn new(cluster_bits: u32, bad: BTreeSet<u64>) -> Self {
        let world = World::new();
        let disk = world.disk(vec![0xee; (ROOM * 512) as usize]);
        let shared: SharedDisk = disk.clone();
        block_on(create(&shared, &world.shared(), &New { virtual_bytes: SECTORS * 512, cluster_bits, backing: None })).unwrap();
        let flaky = Rc::new(Flaky { disk, bad: RefCell::default(), requests: Cell::new(0) });
        let image = block_on(Image::open(flaky.clone(), world.shared(), None, Access::ReadWrite)).unwrap();
        flaky.bad.replace(bad);
        Self { world, flaky, image, model: vec![vec![0]; SECTORS as usize], snapshots: vec![], next: 1, bytes: SECTORS * 512 }
    }

    /// What is there now, without faults.
    fn look(&self) -> Vec<u64> {
        let bad = self.flaky.bad.take();
        let read = self.world.read(&*self.image, 0, (SECTORS * 512) as usize).unwrap();
        self.flaky.bad.replace(bad);
        numbers(&read)
    }

    /// After something failed that may have been done or not.
    fn settle(&mut self, maybe: impl Fn(usize) -> u64) -> Result<(), TestCaseError> {
        for (sector, found) in self.look().into_iter().enumerate() {
            let values = &mut self.model[sector];
            values.push(maybe(sector));
            prop_assert!(values.contains(&found), "sector {sector}: {found:#x}, not of {values:x?}");
            values.push(found);
        }
        Ok(())
    }

    fn step(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let before: Vec<u64> = self.model.iter().map(|values| *values.last().unwrap()).collect();
        let name = format!("s{}", self.next);
        match *op {
            Op::Write { at, count } => {
                let values: Vec<u64> = (self.next..self.next + count).collect();
                self.next += count;
                let written = self.world.write(&*self.image, at * 512, &fill(&values)).is_ok();
                let changed = |sector: usize| {
                    let new = (sector as u64).checked_sub(at).and_then(|index| values.get(index as usize)).copied();
                    new.unwrap_or(before[sector])
                };
                if written {
                    (0..SECTORS as usize).for_each(|sector| self.model[sector].push(changed(sector)));
                } else {
                    self.settle(changed)?;
                }
            }
            Op::Discard { at, count } => {
                let _ = block_on(self.image.discard(at * 512, count * 512));
                self.settle(|sector| if (at..at + count).contains(&(sector as u64)) { 0 } else { before[sector] })?;
            }
            Op::Flush => {
                if block_on(self.image.flush()).is_ok() {
                    self.durable();
                }
            }
            Op::Take => {
                self.next += 1;
                if block_on(self.image.take_snapshot(&name, Taken::default())).is_ok() {
                    self.durable();
                    self.snapshots.push((name, before));
                }
            }
            Op::Delete => {
                if let Some((name, _)) = self.snapshots.pop() {
                    let _ = block_on(self.image.delete_snapshot(&name));
                }
            }
            Op::Apply => {
                if let Some((name, content)) = self.snapshots.first().cloned() {
                    if block_on(self.image.apply_snapshot(&name)).is_ok() {
                        (0..).zip(&content).for_each(|(sector, value): (usize, _)| self.model[sector].push(*value));
                        self.durable();
                    } else {
                        self.settle(|sector| content[sector])?;
                    }
                }
            }
            Op::Grow => {
                self.bytes += 64 << 10;
                let _ = block_on(self.image.grow(self.bytes));
            }
        }
        Ok(())
    }

    fn durable(&mut self) {
        self.model.iter_mut().for_each(|values| drop(values.drain(..values.len() - 1)));
    }

    fn after_power_cut(&self, seed: u64) -> Result<(), TestCaseError> {
        let mut random = Numbers(seed);
        let often = random.below(5);
        let file = self.flaky.disk.after_power_cut(|_| random.below(4) < often);
        let below = self.world.disk(file);
        let image = self.world.open(&below, None, Access::ReadWrite).unwrap();
        let report = block_on(image.check()).unwrap();
        prop_assert_eq!((report.uncounted, report.damaged, report.false_flags), (0, 0, 0));
        let found = numbers(&self.world.read(&*image, 0, (SECTORS * 512) as usize).unwrap());
        for (sector, found) in found.into_iter().enumerate() {
            prop_assert!(self.model[sector].contains(&found), "sector {sector}: {found:#x}, not of {:x?}", self.model[sector]);
        }
        for (name, content) in &self.snapshots {
            block_on(image.apply_snapshot(name)).unwrap();
            let found = numbers(&self.world.read(&*image, 0, (SECTORS * 512) as usize).unwrap());
            prop_assert_eq!(&found, content, "snapshot {}", name);
        }
        Ok(())
    }
}

fn fill(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes().repeat(64)).collect()
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks(512).map(|sector| u64::from_le_bytes(sector[..8].try_into().unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_flushed_survives_faults_that_pass(
        ops in proptest::collection::vec(op(), 1..30),
        bad in proptest::collection::btree_set(1..200u64, 1..4),
        bits in prop_oneof![Just(9u32), Just(12), Just(14)],
        seed: u64,
    ) {
        let mut run = Run::new(bits, bad);
        for op in &ops {
            run.step(op)?;
        }
        run.after_power_cut(seed)?;
        // And once more with what a flush makes durable, if the disk has no more faults.
        run.flaky.bad.take();
        block_on(run.image.flush()).unwrap();
        run.durable();
        run.after_power_cut(seed ^ 1)?;
    }
}

/// One load, with a fault at each of its moments in turn.
#[test]
fn a_fault_at_every_moment_of_a_load() {
    let write = |at, count| Op::Write { at, count };
    let ops = [
        write(0, 90),
        Op::Flush,
        write(80, 100),
        write(180, 100),
        Op::Grow,
        Op::Take,
        write(10, 300),
        Op::Flush,
        write(300, 100),
        Op::Delete,
        Op::Flush,
    ];
    for bits in [9, 12] {
        for moment in 1.. {
            let mut run = Run::new(bits, BTreeSet::from([moment]));
            let what = |error| panic!("moment {moment}, {bits} bits: {error}");
            for op in &ops {
                run.step(op).unwrap_or_else(what);
            }
            let all = run.flaky.requests.get() < moment;
            for seed in 0..4 {
                run.after_power_cut(seed * 7 + moment).unwrap_or_else(what);
            }
            if all {
                break;
            }
        }
    }
}
