//! What a virtio disk says of itself (virtio 1.2, 5.2.3 and 5.2.4), and what we make of it.

use super::handshake::StartError;
use super::memory::Registers;
use super::queue::MOST_PIECES;
use crate::block::quick::Limits;
use crate::block::{Info, SECTOR};

/// Features, as bits.
pub mod feature {
    /// `size_max` is valid.
    pub const SIZE_MAX: u64 = 1 << 1;
    /// `seg_max` is valid.
    pub const SEG_MAX: u64 = 1 << 2;
    /// The disk is read-only.
    pub const READ_ONLY: u64 = 1 << 5;
    /// `blk_size` is valid.
    pub const BLOCK_SIZE: u64 = 1 << 6;
    /// There is a cache, and a request that empties it.
    pub const FLUSH: u64 = 1 << 9;
    /// The size of physical blocks is valid.
    pub const TOPOLOGY: u64 = 1 << 10;
    /// There are several queues.
    pub const QUEUES: u64 = 1 << 12;
    /// Contents can be forgotten.
    pub const DISCARD: u64 = 1 << 13;
    /// Zeroes can be written without sending them.
    pub const WRITE_ZEROES: u64 = 1 << 14;
    /// A descriptor can name a table of descriptors.
    pub const INDIRECT: u64 = 1 << 28;
    /// Each side says from which index on it wants to be told.
    pub const EVENT_INDEX: u64 = 1 << 29;
    /// The modern interface.
    pub const VERSION_1: u64 = 1 << 32;

    /// What this driver can use.
    pub const KNOWN: u64 = SIZE_MAX
        | SEG_MAX
        | READ_ONLY
        | BLOCK_SIZE
        | FLUSH
        | TOPOLOGY
        | QUEUES
        | DISCARD
        | WRITE_ZEROES
        | INDIRECT
        | EVENT_INDEX
        | VERSION_1;
}

const CAPACITY: usize = 0;
const SIZE_MAX: usize = 8;
const SEG_MAX: usize = 12;
const BLOCK_SIZE: usize = 20;
const PHYSICAL_BLOCK_EXPONENT: usize = 24;
const NUM_QUEUES: usize = 34;
const MAX_DISCARD_SECTORS: usize = 36;
const DISCARD_SECTOR_ALIGNMENT: usize = 44;
const MAX_WRITE_ZEROES_SECTORS: usize = 48;
const WRITE_ZEROES_MAY_UNMAP: usize = 56;

/// The largest block that makes sense: guests have pages of 4096 bytes, and disks blocks of at most that.
const LARGEST_BLOCK: u32 = 4096;
/// The largest exponent of a physical block: 32 MiB with blocks of 512 bytes.
const LARGEST_EXPONENT: u8 = 16;
/// Bytes of one discard at most, so that its length in sectors has 32 bits with room to spare.
const LARGEST_DISCARD: u64 = 1 << 30;

/// How contents are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgetting {
    /// By a request of that name.
    Discard,
    /// By writing zeroes that need not be kept.
    WriteZeroes,
}

/// All that matters of a disk's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// For the layers above.
    pub info: Info,
    /// What a request can have.
    pub limits: Limits,
    /// Queues that the device has.
    pub queues: u16,
    /// Whether it has to be told to make writes durable.
    pub flush: bool,
    /// How contents are forgotten, if they are.
    pub forgetting: Option<Forgetting>,
}

impl Config {
    /// Reads it.
    ///
    /// # Errors
    /// [`StartError::Config`] if its numbers are impossible.
    pub fn read(device: &impl Registers, features: u64) -> Result<Self, StartError> {
        let has = |feature: u64| features & feature != 0;
        let number = |feature: u64, at: usize, otherwise: u32| if has(feature) { device.get32(at) } else { otherwise };
        let logical_block = number(feature::BLOCK_SIZE, BLOCK_SIZE, SECTOR as u32);
        if !logical_block.is_power_of_two() || !(SECTOR as u32..=LARGEST_BLOCK).contains(&logical_block) {
            return Err(StartError::Config);
        }
        let exponent = if has(feature::TOPOLOGY) { device.get8(PHYSICAL_BLOCK_EXPONENT).min(LARGEST_EXPONENT) } else { 0 };
        let seg_max = number(feature::SEG_MAX, SEG_MAX, 1).max(1) as usize;
        let size_max = number(feature::SIZE_MAX, SIZE_MAX, u32::MAX) / logical_block * logical_block;
        if size_max == 0 {
            return Err(StartError::Config);
        }
        let pieces = seg_max.min(MOST_PIECES);
        let (forgetting, discard_sectors) = forgetting(device, features);
        let block = u64::from(logical_block);
        let discard_bytes = (u64::from(discard_sectors) * SECTOR).min(LARGEST_DISCARD) / block * block;
        let forgetting = forgetting.filter(|_| discard_bytes != 0);
        let alignment = number(feature::DISCARD, DISCARD_SECTOR_ALIGNMENT, 1).checked_mul(SECTOR as u32).unwrap_or(0);
        let info = Info {
            bytes: capacity(device)? / block * block,
            logical_block,
            physical_block: logical_block << exponent,
            read_only: has(feature::READ_ONLY),
            discard: forgetting.map(|_| alignment.max(logical_block)),
        };
        let limits = Limits { pieces, piece_bytes: size_max, bytes: (pieces as u64).saturating_mul(size_max.into()), discard_bytes };
        let queues = if has(feature::QUEUES) { device.get16(NUM_QUEUES).max(1) } else { 1 };
        Ok(Self { info, limits, queues, flush: has(feature::FLUSH), forgetting })
    }
}

/// How much the disk holds, in bytes.
fn capacity(device: &impl Registers) -> Result<u64, StartError> {
    let sectors = u64::from(device.get32(CAPACITY)) | u64::from(device.get32(CAPACITY + 4)) << 32;
    sectors.checked_mul(SECTOR).ok_or(StartError::Config)
}

/// How contents are forgotten, and how many sectors at a time.
fn forgetting(device: &impl Registers, features: u64) -> (Option<Forgetting>, u32) {
    if features & feature::READ_ONLY != 0 {
        (None, 0)
    } else if features & feature::DISCARD != 0 {
        (Some(Forgetting::Discard), device.get32(MAX_DISCARD_SECTORS))
    } else if features & feature::WRITE_ZEROES != 0 && device.get8(WRITE_ZEROES_MAY_UNMAP) != 0 {
        (Some(Forgetting::WriteZeroes), device.get32(MAX_WRITE_ZEROES_SECTORS))
    } else {
        (None, 0)
    }
}
