//! Losses of power at any moment: nothing that a flush made durable is lost, and the image is sound.
//!
//! The disk below serves some requests and then no more; of the sectors that were written since its last flush any part survives.

use std::collections::BTreeMap;

use domus_dom0_core::block::fake::{FakeDisk, block_on};
use domus_dom0_core::block::{Disk, SharedDisk};
use domus_dom0_core::qcow2::{Access, Image, New, Taken, create};
use proptest::prelude::*;

use crate::support::{Numbers, World};

/// Sectors of the guest's disk.
const SECTORS: u64 = 512;
/// Sectors of the file.
const ROOM: u64 = 2048;

/// What each sector may hold after a loss of power: the first is what a flush made durable, the last what it holds now. A sector is filled with
/// one number.
#[derive(Clone)]
struct Model(Vec<Vec<u64>>);

impl Model {
    fn now(&self) -> Vec<u64> {
        self.0.iter().map(|values| *values.last().unwrap()).collect()
    }

    fn may_be(&mut self, sector: u64, value: u64) {
        self.0[sector as usize].push(value);
    }

    fn durable(&mut self) {
        self.0.iter_mut().for_each(|values| drop(values.drain(..values.len() - 1)));
    }
}

#[derive(Clone, Debug)]
enum Op {
    Write { at: u64, count: u64 },
    Discard { at: u64, count: u64 },
    Flush,
    Take(u8),
    Apply(u8),
    Delete(u8),
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let range = || (0..SECTORS, prop_oneof![1..9u64, 1..100u64]).prop_map(|(at, count)| (at, count.min(SECTORS - at)));
    prop_oneof![
        8 => range().prop_map(|(at, count)| Op::Write { at, count }),
        2 => range().prop_map(|(at, count)| Op::Discard { at, count }),
        3 => Just(Op::Flush),
        1 => (0..3u8).prop_map(Op::Take),
        1 => (0..3u8).prop_map(Op::Apply),
        1 => (0..3u8).prop_map(Op::Delete),
        1 => Just(Op::Reopen),
    ]
}

struct Run {
    world: World,
    below: std::rc::Rc<FakeDisk>,
    image: std::rc::Rc<Image>,
    backing: Option<SharedDisk>,
    model: Model,
    snapshots: BTreeMap<u8, Vec<u64>>,
    next: u64,
}

impl Run {
    fn new(cluster_bits: u32, with_backing: bool) -> Self {
        let world = World::new();
        let base: Vec<u64> = (0..SECTORS / 2).map(|sector| 1 << 40 | sector).collect();
        let backing = with_backing.then(|| -> SharedDisk { world.disk(fill(&base)) });
        let below = world.disk(vec![0xee; (ROOM * 512) as usize]);
        let shared: SharedDisk = below.clone();
        let backing_name = with_backing.then(|| ("base".to_owned(), "raw".to_owned()));
        let new = New { virtual_bytes: SECTORS * 512, cluster_bits, backing: backing_name };
        block_on(create(&shared, &world.shared(), &new)).unwrap();
        let image = world.open(&below, backing.clone(), Access::ReadWrite).unwrap();
        let shown = |sector: u64| if with_backing && sector < SECTORS / 2 { 1 << 40 | sector } else { 0 };
        let model = Model((0..SECTORS).map(|sector| vec![shown(sector)]).collect());
        Self { world, below, image, backing, model, snapshots: BTreeMap::new(), next: 1 }
    }

    fn sectors(&self, image: &Image) -> Vec<u64> {
        numbers(&self.world.read(image, 0, (SECTORS * 512) as usize).unwrap())
    }

    /// What the image holds, without using up requests.
    fn look(&self) -> Vec<u64> {
        let left = self.below.good_for.take();
        let found = self.sectors(&self.image);
        self.below.good_for.set(left);
        found
    }

    /// Whether it succeeded. If not, the power is gone.
    fn step(&mut self, op: &Op) -> bool {
        match *op {
            Op::Write { at, count } => {
                let values: Vec<u64> = (self.next..self.next + count).collect();
                self.next += count;
                let written = self.world.write(&*self.image, at * 512, &fill(&values));
                (at..).zip(values).for_each(|(sector, value)| self.model.may_be(sector, value));
                written.is_ok()
            }
            Op::Discard { at, count } => {
                let done = block_on(self.image.discard(at * 512, count * 512)).is_ok();
                let found = if done { self.look() } else { vec![0; SECTORS as usize] };
                for sector in at..at + count {
                    let (found, now) = (found[sector as usize], *self.model.0[sector as usize].last().unwrap());
                    assert!(found == 0 || found == now, "{sector}: {found} after {now} was discarded");
                    self.model.may_be(sector, found);
                }
                done
            }
            Op::Flush => {
                let done = block_on(self.image.flush()).is_ok();
                if done {
                    self.model.durable();
                }
                done
            }
            Op::Take(name) => self.snapshot(
                name,
                |image, text| block_on(image.take_snapshot(text, Taken::default())).is_ok(),
                |run| {
                    run.model.durable();
                    run.snapshots.insert(name, run.model.now());
                },
            ),
            Op::Apply(name) => {
                let Some(content) = self.snapshots.get(&name).cloned() else { return true };
                (0..).zip(&content).for_each(|(sector, value)| self.model.may_be(sector, *value));
                self.snapshot(name, |image, text| block_on(image.apply_snapshot(text)).is_ok(), |run| run.model.durable())
            }
            Op::Delete(name) => self.snapshot(
                name,
                |image, text| block_on(image.delete_snapshot(text)).is_ok(),
                |run| {
                    run.snapshots.remove(&name);
                },
            ),
            Op::Reopen => {
                if block_on(self.image.flush()).is_err() {
                    return false;
                }
                self.model.durable();
                match self.world.open(&self.below, self.backing.clone(), Access::ReadWrite) {
                    Ok(image) => {
                        self.image = image;
                        true
                    }
                    Err(_) => false,
                }
            }
        }
    }

    fn snapshot(&mut self, name: u8, act: impl Fn(&Image, &str) -> bool, then: impl FnOnce(&mut Self)) -> bool {
        let taking = !self.snapshots.contains_key(&name);
        let done = act(&self.image, &format!("s{name}"));
        if done {
            then(self);
        } else if taking || self.below.good_for.get() == Some(0) {
            // It may be there or not; what it holds is not looked at then.
            if self.below.good_for.get() == Some(0) {
                self.snapshots.remove(&name);
                return false;
            }
            return true;
        }
        done
    }

    /// What a machine finds that starts again.
    fn after_power_cut(&self, seed: u64) -> Result<(), TestCaseError> {
        let mut numbers = Numbers(seed);
        let often = numbers.below(5);
        let file = self.below.after_power_cut(|_| numbers.below(4) < often);
        let below = self.world.disk(file);
        let looked = self.world.open(&below, self.backing.clone(), Access::ReadOnly).unwrap();
        if !looked.header().dirty {
            let report = block_on(looked.check()).unwrap();
            prop_assert!(report.is_sound(), "{report:?}");
        }
        let image = self.world.open(&below, self.backing.clone(), Access::ReadWrite).unwrap();
        let report = block_on(image.check()).unwrap();
        prop_assert!(report.is_sound(), "opened: {report:?}");
        for (sector, found) in self.sectors(&image).into_iter().enumerate() {
            prop_assert!(self.model.0[sector].contains(&found), "sector {sector}: {found:#x}, not of {:x?}", self.model.0[sector]);
        }
        for (name, content) in &self.snapshots {
            block_on(image.apply_snapshot(&format!("s{name}"))).unwrap();
            prop_assert_eq!(&self.sectors(&image), content, "snapshot {}", name);
        }
        let report = block_on(image.check()).unwrap();
        prop_assert!(report.is_sound(), "at last: {report:?}");
        Ok(())
    }
}

fn fill(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes().repeat(64)).collect()
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    let sectors = bytes.chunks(512).map(|sector| {
        let value = &sector[..8];
        assert!(sector.chunks(8).all(|part| part == value), "a sector is torn");
        u64::from_le_bytes(value.try_into().unwrap())
    });
    sectors.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_flushed_survives(
        ops in proptest::collection::vec(op(), 1..40),
        good_for in 1..400u64,
        bits in prop_oneof![Just(9u32), Just(12), Just(14)],
        with_backing: bool,
        seed: u64,
    ) {
        let mut run = Run::new(bits, with_backing);
        run.below.good_for.set(Some(good_for));
        let all = ops.iter().all(|op| run.step(op));
        run.below.good_for.set(None);
        if all {
            prop_assert_eq!(run.sectors(&run.image), run.model.now());
            let report = block_on(run.image.check()).unwrap();
            prop_assert!(report.is_sound() && report.leaked == 0, "{:?}", report);
        }
        run.after_power_cut(seed)?;
    }
}
