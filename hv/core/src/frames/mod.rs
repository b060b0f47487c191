//! Frames of memory: who owns each, how it is used, which are free.

use zerocopy::FromZeros;

use crate::ids::Mfn;

/// The frame table and the allocator.
pub struct Frames {}

/// Adjacent frames that belong to nobody else: only the allocator makes one, so whoever holds it may overwrite them.
#[derive(Debug)]
pub struct FrameRun {
    first: Mfn,
    count: u64,
}

impl FrameRun {
    /// The first frame.
    pub fn first(&self) -> Mfn {
        self.first
    }
    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// What a domain has of memory.
#[derive(FromZeros)]
pub struct DomainFrames {
    /// How many it may have.
    pub limit: u64,
}
