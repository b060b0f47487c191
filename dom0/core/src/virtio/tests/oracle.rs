//! Our driver beside that of the crate `virtio-drivers`: the same calls, each on a model of its own, must do the same to the disk, report the
//! same, and ask the device for the same.

use alloc::{rc::Rc, vec, vec::Vec};
use core::cell::Cell;
use core::ops::Range;

use proptest::prelude::*;
use virtio_oracle::{Device, Error, Oracle};

use super::super::model::{self, Area, Arena, Model, Seen};
use super::super::*;
use super::disks::Rig;
use crate::block::{Disk, DiskError, WholeDisk};

/// Memory of the model for the other driver.
const MEMORY: usize = 1 << 18;

/// The model, as the other driver sees it.
struct Other {
    model: Rc<Model>,
    memory: Area,
    offered: u64,
    chosen: Cell<u64>,
}

impl Device for Other {
    fn features(&self) -> u64 {
        self.offered
    }

    fn config(&self) -> Vec<u8> {
        let sectors = self.model.config.get().info.bytes / 512;
        [&sectors.to_le_bytes()[..], &[0; 52]].concat()
    }

    fn memory(&self) -> Range<u64> {
        self.memory.machine(0)..self.memory.machine(MEMORY)
    }

    fn get(&self, address: u64, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.model.arena.bytes(address, bytes.len()));
    }

    fn put(&self, address: u64, bytes: &[u8]) {
        self.model.arena.put(address, bytes);
    }

    fn negotiated(&self, features: u64) {
        self.chosen.set(features);
    }

    fn queue(&self, size: u16, descriptors: u64, available: u64, used: u64) {
        let has = |feature| self.chosen.get() & feature != 0;
        // Slots are our driver's own idea.
        let (indirect, event_index) = (has(feature::INDIRECT), has(feature::EVENT_INDEX));
        let shape = Shape { size, slots: size, pieces: usize::from(size) - 2, indirect, event_index };
        self.model.add_queue(shape, QueuePlace { descriptors, available, used });
    }

    fn doorbell(&self) {
        self.model.work(u16::MAX);
    }
}

fn other(offered: u64) -> (Rc<Model>, Oracle) {
    let arena = Rc::<Arena>::default();
    let model = Model::new(&arena);
    let device = Other { model: model.clone(), memory: arena.take(MEMORY), offered, chosen: Cell::default() };
    (model, Oracle::start(Rc::new(device)).unwrap())
}

/// One call.
#[derive(Clone, Debug)]
enum Call {
    Read {
        sector: u64,
        sectors: usize,
    },
    Write {
        sector: u64,
        sectors: usize,
        seed: u8,
    },
    Flush,
    /// From here on the device answers with this status.
    Answer(Option<u8>),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let place = || (0..2000u64, 1..40usize);
    let call = prop_oneof![
        3 => place().prop_map(|(sector, sectors)| Call::Read { sector, sectors }),
        3 => (place(), any::<u8>()).prop_map(|((sector, sectors), seed)| Call::Write { sector, sectors, seed }),
        1 => Just(Call::Flush),
        1 => prop_oneof![4 => Just(None), 1 => (1..5u8).prop_map(Some)].prop_map(Call::Answer),
    ];
    proptest::collection::vec(call, 1..60)
}

fn pattern(seed: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| seed.wrapping_mul(31).wrapping_add((at / 512 * 5 + at) as u8)).collect()
}

/// What the device understood of one call, without whose memory it was: ours may come in parts, and the model takes the last first.
fn asked(model: &Model) -> Vec<(u32, u64, u64)> {
    let sectors = |seen: &Seen| seen.memory.iter().map(|&(_, bytes, _)| u64::from(bytes)).sum::<u64>() / 512;
    let mut parts: Vec<_> = model.log.take().iter().map(|seen| (seen.kind, seen.sector, sectors(seen))).collect();
    parts.sort_unstable();
    let mut whole: Vec<(u32, u64, u64)> = Vec::new();
    for (kind, sector, sectors) in parts {
        match whole.last_mut() {
            Some(last) if last.0 == kind && last.1 + last.2 == sector => last.2 += sectors,
            _ => whole.push((kind, sector, sectors)),
        }
    }
    whole
}

fn ours(result: Result<(), DiskError>) -> Result<(), Option<DiskError>> {
    result.map_err(Some)
}

/// The other driver's errors by our names. It tells status 3, which no device should send, from what it does not know either.
fn theirs(result: virtio_oracle::Result<()>) -> Result<(), Option<DiskError>> {
    result.map_err(|error| match error {
        Error::IoError | Error::NotReady => Some(DiskError::Io),
        Error::Unsupported => Some(DiskError::Unsupported),
        _ => None,
    })
}

fn pieces(area: &Area, bytes: usize) -> Vec<crate::block::Piece> {
    (0..bytes.div_ceil(4096)).map(|page| area.piece(page, (bytes - page * 4096).min(4096) as u32)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn both_drivers_do_the_same(indirect: bool, event_index: bool, calls in calls()) {
        let rig = Rig::new(Shape::new(64, MOST_PIECES, 16, indirect, event_index).unwrap(), 1);
        let disk = WholeDisk::new(0, rig.disk.clone());
        let area = rig.arena.take(40 * 512);
        let optional = if indirect { feature::INDIRECT } else { 0 } | if event_index { feature::EVENT_INDEX } else { 0 };
        let (model, mut oracle) = other(feature::VERSION_1 | feature::FLUSH | optional);
        prop_assert_eq!(oracle.capacity() * 512, disk.info().bytes);
        for call in calls {
            match call {
                Call::Answer(status) => [&rig.model, &model].iter().for_each(|model| model.fail.set(status)),
                Call::Flush => prop_assert_eq!(ours(rig.run(disk.flush())), theirs(oracle.flush())),
                Call::Write { sector, sectors, seed } => {
                    let bytes = pattern(seed, sectors * 512);
                    rig.arena.put(area.machine(0), &bytes);
                    prop_assert_eq!(ours(rig.run(disk.write(sector * 512, &pieces(&area, bytes.len())))), theirs(oracle.write(sector, &bytes)));
                }
                Call::Read { sector, sectors } => {
                    let mut bytes = vec![0; sectors * 512];
                    let result = ours(rig.run(disk.read(sector * 512, &pieces(&area, bytes.len()))));
                    prop_assert_eq!(result, theirs(oracle.read(sector, &mut bytes)));
                    prop_assert!(result.is_err() || rig.arena.bytes(area.machine(0), bytes.len()) == bytes);
                }
            }
            prop_assert_eq!(asked(&rig.model), asked(&model));
        }
        prop_assert_eq!(&*rig.model.contents.borrow(), &*model.contents.borrow());
    }
}

/// The comparison is worth something: what only one of them did shows.
#[test]
fn a_difference_shows() {
    let (model, mut oracle) = other(feature::VERSION_1 | feature::FLUSH);
    oracle.write(8, &pattern(1, 4096)).unwrap();
    assert_ne!(*model.contents.borrow(), *Model::new(&Rc::default()).contents.borrow());
    assert_eq!(asked(&model), [(1, 8, 8)]);
    assert_eq!(oracle.capacity() * 512, model::config().info.bytes);
}
