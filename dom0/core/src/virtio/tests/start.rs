//! Starting: what is written in which order, and devices that do not want.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use super::super::*;

/// Registers of a device that keeps what is written, unless `fixed` says otherwise.
struct Fake {
    bytes: RefCell<[u8; 64]>,
    /// Writes, as offset and value.
    log: RefCell<Vec<(usize, u32)>>,
    offered: u64,
    select: Cell<u32>,
    /// A register that always reads as this.
    fixed: Option<(usize, u32)>,
    generation: Cell<u8>,
}

const FEATURES: u64 = feature::VERSION_1 | feature::FLUSH | feature::INDIRECT;

impl Fake {
    fn new() -> Self {
        let fake = Self {
            bytes: RefCell::new([0; 64]),
            log: RefCell::default(),
            offered: FEATURES | 1 << 40,
            select: Cell::default(),
            fixed: None,
            generation: Cell::default(),
        };
        fake.bytes.borrow_mut()[0x18..0x1a].copy_from_slice(&256u16.to_le_bytes());
        fake.bytes.borrow_mut()[0x1e] = 5;
        fake
    }

    fn fixed(at: usize, value: u32) -> Self {
        Self { fixed: Some((at, value)), ..Self::new() }
    }

    fn get(&self, at: usize, width: usize) -> u32 {
        match (at, self.fixed) {
            (_, Some((fixed, value))) if fixed == at => value,
            // The configuration changes with every look.
            (0x15, Some((0x115, _))) => {
                self.generation.set(self.generation.get() + 1);
                self.generation.get().into()
            }
            (4, _) if self.offered != 0 => (self.offered >> (32 * self.select.get())) as u32,
            _ => {
                let mut word = [0; 4];
                word[..width].copy_from_slice(&self.bytes.borrow()[at..at + width]);
                u32::from_le_bytes(word)
            }
        }
    }

    fn set(&self, at: usize, width: usize, value: u32) {
        self.log.borrow_mut().push((at, value));
        if at == 0 {
            self.select.set(value);
        }
        self.bytes.borrow_mut()[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

impl Registers for Fake {
    fn get8(&self, at: usize) -> u8 {
        self.get(at, 1) as u8
    }
    fn get16(&self, at: usize) -> u16 {
        self.get(at, 2) as u16
    }
    fn get32(&self, at: usize) -> u32 {
        self.get(at, 4)
    }
    fn set8(&self, at: usize, value: u8) {
        self.set(at, 1, value.into());
    }
    fn set16(&self, at: usize, value: u16) {
        self.set(at, 2, value.into());
    }
    fn set32(&self, at: usize, value: u32) {
        self.set(at, 4, value);
    }
}

const PLACE: QueuePlace = QueuePlace { descriptors: 0x1_2345_6000, available: 0x7000, used: 0x8000 };

/// The whole start, as the driver does it.
fn start(fake: &Fake) -> Result<(u64, u16), StartError> {
    let features = negotiate(fake, |offered| offered & feature::KNOWN)?;
    set_config_vector(fake, 0)?;
    let bell = set_queue(fake, 0, 1, |most| Ok::<_, StartError>((most.min(128), PLACE)))?;
    finish(fake);
    Ok((features, bell))
}

#[test]
fn a_device_is_started_in_the_order_of_the_standard() {
    let fake = Fake::new();
    assert_eq!(start(&fake), Ok((FEATURES, 5)));
    let features = [(0x08, 0), (0x0c, FEATURES as u32), (0x08, 1), (0x0c, 1)];
    let queue = [(0x18, 128), (0x20, 0x2345_6000), (0x24, 1), (0x28, 0x7000), (0x2c, 0), (0x30, 0x8000), (0x34, 0), (0x1a, 1), (0x1c, 1)];
    let expected = [
        &[(0x14, 0), (0x14, 1), (0x14, 3), (0, 0), (0, 1)][..],
        &features,
        &[(0x14, 11), (0x10, 0), (0x16, 0)],
        // The vector is there before the queue works.
        &queue,
        &[(0x14, 15)],
    ];
    assert_eq!(*fake.log.borrow(), expected.concat());
}

#[test]
fn devices_that_do_not_want() {
    for (fake, error) in [
        (Fake::fixed(0x14, 1), StartError::Reset),
        (Fake { offered: feature::FLUSH, ..Fake::new() }, StartError::Legacy),
        (Fake::fixed(0x10, NO_VECTOR.into()), StartError::Vector),
        (Fake::fixed(0x18, 0), StartError::Queue),
        (Fake::fixed(0x1c, 1), StartError::Queue),
        (Fake::fixed(0x1a, NO_VECTOR.into()), StartError::Vector),
    ] {
        assert_eq!(start(&fake), Err(error));
        assert!(!fake.log.borrow().contains(&(0x1c, 1)), "no queue was enabled");
    }
    // It accepts the features and then does not.
    let fake = Fake::fixed(0x14, 0);
    assert_eq!(negotiate(&fake, |offered| offered), Err(StartError::Features));
}

#[test]
fn a_configuration_that_never_holds_still() {
    assert_eq!(device_config(&Fake::new(), || 7), Ok(7));
    assert_eq!(device_config(&Fake::fixed(0x115, 0), || 7), Err(StartError::Config));
    assert_eq!(device_config(&Fake::fixed(0x14, 64), || 7), Err(StartError::Reset));
}

/// The configuration of a disk with some words set.
fn config(features: u64, words: &[(usize, u32)]) -> Result<Config, StartError> {
    let fake = Fake { offered: 0, bytes: RefCell::new([0; 64]), ..Fake::new() };
    words.iter().for_each(|&(at, value)| fake.set32(at, value));
    Config::read(&fake, features)
}

#[test]
fn a_plain_disk() {
    let config = config(0, &[(0, 2048)]).unwrap();
    assert_eq!((config.info.bytes, config.info.logical_block, config.info.physical_block), (1 << 20, 512, 512));
    assert_eq!((config.info.discard, config.info.read_only, config.flush, config.queues), (None, false, false, 1));
    assert_eq!((config.limits.pieces, config.limits.piece_bytes), (1, 0xffff_fe00));
}

#[test]
fn a_rich_disk() {
    use feature::*;
    let features = SIZE_MAX | SEG_MAX | BLOCK_SIZE | TOPOLOGY | QUEUES | DISCARD | FLUSH;
    let words = [(0, 2049), (4, 1), (8, 0x11000), (12, 254), (20, 4096), (24, 2), (32, 3 << 16), (36, 9), (44, 16)];
    let config = config(features, &words).unwrap();
    assert_eq!(config.info.bytes, ((1 << 32) + 2048) * 512, "whole blocks");
    assert_eq!((config.info.logical_block, config.info.physical_block, config.info.discard), (4096, 16384, Some(8192)));
    assert_eq!((config.limits.pieces, config.limits.piece_bytes, config.limits.discard_bytes), (MOST_PIECES, 0x11000, 4096));
    assert_eq!((config.queues, config.flush, config.forgetting), (3, true, Some(Forgetting::Discard)));
}

#[test]
fn nonsense_is_no_disk() {
    use feature::*;
    for (features, words) in [
        (BLOCK_SIZE, &[(20, 0)][..]),
        (BLOCK_SIZE, &[(20, 256)]),
        (BLOCK_SIZE, &[(20, 1000)]),
        (BLOCK_SIZE, &[(20, 8192)]),
        (SIZE_MAX, &[(8, 511)]),
        (0, &[(4, 1 << 24)]),
    ] {
        assert_eq!(config(features, words), Err(StartError::Config), "{words:?}");
    }
    // A discard of nothing is none, and one without end is bounded.
    assert_eq!(config(DISCARD, &[]).unwrap().info.discard, None);
    let endless = config(DISCARD, &[(36, u32::MAX), (44, u32::MAX)]).unwrap();
    assert_eq!((endless.limits.discard_bytes, endless.info.discard), (1 << 30, Some(512)));
    assert_eq!(config(DISCARD | READ_ONLY, &[(36, 100)]).unwrap().forgetting, None);
    assert_eq!(config(WRITE_ZEROES, &[(48, 100)]).unwrap().forgetting, None, "what takes room is no discard");
    assert_eq!(config(WRITE_ZEROES, &[(48, 100), (56, 1)]).unwrap().forgetting, Some(Forgetting::WriteZeroes));
    assert_eq!(config(SEG_MAX, &[]).unwrap().limits.pieces, 1);
}

#[test]
fn shapes_fit_their_queues() {
    assert_eq!(Shape::new(0, 1, 1, true, true), None);
    assert_eq!(Shape::new(3, 1, 1, true, true), None);
    assert_eq!(Shape::new(100, 1, 1, false, true), None);
    for most in [4, 8, 64, 128, 256, 1024, 32768] {
        for pieces in [1, 2, 7, 254] {
            for indirect in [false, true] {
                let shape = Shape::new(most, pieces, 128, indirect, true).unwrap();
                let descriptors = if indirect { 1 } else { shape.pieces + 2 };
                assert!(shape.size <= MOST_SIZE && shape.slots >= 1 && shape.pieces >= 1);
                assert!(usize::from(shape.slots) * descriptors <= usize::from(shape.size), "{shape:?}");
                assert!(shape.pieces <= pieces && shape.pieces + 2 <= usize::from(shape.size));
            }
        }
    }
}
