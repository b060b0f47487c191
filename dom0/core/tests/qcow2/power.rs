//! Losses of power at any moment: nothing that a flush made durable is lost, and the image is sound.
//!
//! The disk below serves some requests and then no more; of the sectors that were written since its last flush any part survives.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use domus_dom0_core::block::fake::{FakeDisk, block_on};
use domus_dom0_core::block::{Disk, SharedDisk};
use domus_dom0_core::qcow2::{Access, Image, New, Report, Taken, create};
use proptest::prelude::*;

use crate::support::{Folder, Numbers, World};

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

/// What `create` does not make. It is the same every time.
fn version_2() -> Vec<u8> {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    let image = IMAGE.get_or_init(|| {
        let folder = Folder::new("version-2");
        folder.run(&format!("qemu-img create -q -f qcow2 -o compat=0.10,cluster_size=4k image {}", SECTORS * 512));
        let mut file = folder.read("image");
        file.resize((ROOM * 512) as usize, 0xee);
        file
    });
    image.clone()
}

/// No data is in danger. Only the flags of version 2 may be missing where snapshots were being changed.
fn sound(image: &Image) -> Result<Report, TestCaseError> {
    let report = block_on(image.check()).unwrap();
    let flags = if image.header().version == 2 { report.false_flags } else { report.flags };
    prop_assert_eq!((report.uncounted, report.damaged, flags), (0, 0, 0));
    Ok(report)
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
    /// With clusters of 2^bits bytes; 0 stands for an image of version 2.
    fn new(cluster_bits: u32, with_backing: bool) -> Self {
        let world = World::new();
        let base: Vec<u64> = (0..SECTORS / 2).map(|sector| 1 << 40 | sector).collect();
        let backing = with_backing.then(|| -> SharedDisk { world.disk(fill(&base)) });
        let below = world.disk(vec![if with_backing { 0xee } else { 0 }; (ROOM * 512) as usize]);
        let shared: SharedDisk = below.clone();
        let backing_name = with_backing.then(|| ("base".to_owned(), "raw".to_owned()));
        let new = New { virtual_bytes: SECTORS * 512, cluster_bits, backing: backing_name };
        let below = if cluster_bits == 0 {
            world.disk(version_2())
        } else {
            block_on(create(&shared, &world.shared(), &new)).unwrap();
            below
        };
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
            sound(&looked)?;
        }
        let image = self.world.open(&below, self.backing.clone(), Access::ReadWrite).unwrap();
        sound(&image)?;
        for (sector, found) in self.sectors(&image).into_iter().enumerate() {
            prop_assert!(self.model.0[sector].contains(&found), "sector {sector}: {found:#x}, not of {:x?}", self.model.0[sector]);
        }
        for (name, content) in &self.snapshots {
            block_on(image.apply_snapshot(&format!("s{name}"))).unwrap();
            prop_assert_eq!(&self.sectors(&image), content, "snapshot {}", name);
        }
        sound(&image)?;
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
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_flushed_survives(
        ops in proptest::collection::vec(op(), 1..40),
        good_for in 1..160u64,
        bits in prop_oneof![Just(9u32), Just(12), Just(14), Just(0)],
        with_backing: bool,
        seed: u64,
    ) {
        let mut run = Run::new(bits, with_backing && bits != 0);
        run.below.good_for.set(Some(good_for));
        let all = ops.iter().all(|op| run.step(op));
        run.below.good_for.set(None);
        if all {
            prop_assert_eq!(run.sectors(&run.image), run.model.now());
            prop_assert_eq!(sound(&run.image)?.leaked, 0);
        }
        run.after_power_cut(seed)?;
        run.after_power_cut(seed ^ 1)?;
    }
}

/// QEMU counts as we do, and finds nothing worse than leaks.
#[test]
fn qemu_finds_no_corruption_after_a_loss_of_power() {
    let folder = Folder::new("cut");
    let mut looked_at = 0;
    for seed in 0..24 {
        let mut numbers = Numbers(seed);
        let mut run = Run::new([9, 12, 14][seed as usize % 3], false);
        run.below.good_for.set(Some(20 + numbers.below(200)));
        // Ordinary requests, and at last a snapshot that may be cut.
        while run.below.good_for.get() != Some(0) {
            let (at, length) = (numbers.below(SECTORS - 64), 1 + numbers.below(64));
            let op = match numbers.below(12) {
                0..8 => Op::Write { at, count: length },
                8 | 9 => Op::Discard { at, count: length },
                10 => Op::Flush,
                _ => Op::Take(numbers.below(3) as u8),
            };
            if !run.step(&op) {
                break;
            }
        }
        let file = run.below.after_power_cut(|_| numbers.below(2) == 0);
        let image = run.world.open(&run.world.disk(file.clone()), None, Access::ReadOnly).unwrap();
        if image.header().dirty {
            continue;
        }
        let leaked = block_on(image.check()).unwrap().leaked;
        folder.write("image", &file);
        let report = folder.try_run("qemu-img check image").unwrap_or_else(|report| report);
        assert!(!report.contains("ERROR") && !report.contains("corrupt"), "seed {seed}: {report}");
        let found = report.lines().find_map(|line| line.strip_suffix(" leaked clusters were found on the image."));
        let found: u64 = found.map_or(0, |number| number.parse().unwrap());
        assert_eq!(found, leaked, "seed {seed}: {report}");
        looked_at += 1;
    }
    assert!(looked_at > 12, "{looked_at} of 24 were not in the middle of a snapshot");
}

/// One load, cut at each of its moments in turn.
#[test]
fn every_moment_of_a_load() {
    let write = |at, count| Op::Write { at, count };
    let ops = [
        write(0, 90),
        Op::Flush,
        write(80, 200),
        Op::Discard { at: 16, count: 40 },
        Op::Take(0),
        write(10, 30),
        Op::Flush,
        Op::Apply(0),
        write(300, 100),
        Op::Delete(0),
        Op::Flush,
    ];
    for bits in [9, 12] {
        for moment in 1.. {
            let mut run = Run::new(bits, false);
            run.below.good_for.set(Some(moment));
            let all = ops.iter().all(|op| run.step(op));
            for seed in 0..4 {
                run.after_power_cut(seed * 7 + moment).unwrap_or_else(|error| panic!("moment {moment}, {bits} bits, {seed}: {error}"));
            }
            if all {
                break;
            }
        }
    }
}
