//! What a queue works on, as traits: the shared ring, the front end's pages, the disk. In Dom0 they are thin layers over the hypervisor's calls
//! and the drivers, in tests they are played.

use alloc::vec::Vec;

use abi::blkif::{Request, Response, Segment};

use super::slots::Slot;
use crate::block::quick::QuickDisk;
use crate::block::{Disk, Piece, Traffic};

/// The front end has published an index that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// The shared ring.
pub trait Ring {
    /// Takes a request, copied once; false if there is none.
    ///
    /// # Errors
    /// [`Corrupt`].
    fn pop(&mut self, into: &mut Request) -> Result<bool, Corrupt>;

    /// Writes the reply to a request that was taken. It is shown to the front end later.
    fn push(&mut self, response: Response);
}

/// A page that is to be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Where.
    pub slot: Slot,
    /// The front end's reference.
    pub gref: u32,
    /// The disk, or we, will write it.
    pub writable: bool,
}

/// Where a page is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Its machine address.
    pub address: u64,
    /// Where Dom0 has it mapped.
    pub virt: u64,
}

/// The front end's pages.
pub trait Grants {
    /// Maps pages, all in one call. Some may fail: they are not [`Grants::at`] their slots afterwards.
    fn map(&mut self, wanted: &[Want]);

    /// Unmaps pages, all in one call. What cannot be unmapped stays at its slot.
    fn unmap(&mut self, slots: &[Slot]);

    /// The page at a slot.
    fn at(&self, slot: Slot) -> Option<Page>;

    /// Copies the first `count` segments out of a mapped page, once; behind those that `into` has.
    fn segments(&self, slot: Slot, count: usize, into: &mut Vec<Segment>);
}

/// The disk, and the physical disks that its bytes lie on.
pub trait Host {
    /// The disk.
    fn disk(&self) -> &dyn Disk;

    /// A physical disk by its number.
    fn device(&self, number: u32) -> Option<&dyn QuickDisk>;

    /// What to enter before asking the disk for a place ([`Disk::traffic`]).
    fn traffic(&self) -> Option<&Traffic>;

    /// Fills memory with zeroes.
    fn zero(&self, into: &[Piece]);
}
