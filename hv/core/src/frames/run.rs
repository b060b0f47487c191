//! Adjacent frames for an object of the hypervisor.

use crate::ids::Mfn;

/// Adjacent frames that belong to nobody else: only the allocator makes one, so whoever holds it may overwrite them.
#[derive(Debug)]
#[must_use]
pub struct FrameRun {
    first: Mfn,
    count: u64,
}

impl FrameRun {
    pub(super) fn new(first: Mfn, count: u64) -> Self {
        FrameRun { first, count }
    }

    /// The first frame.
    pub fn first(&self) -> Mfn {
        self.first
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// The order of the smallest run that holds a `T`.
pub const fn order_of<T>() -> u32 {
    let frames = size_of::<T>().div_ceil(abi::layout::PAGE_SIZE);
    if frames <= 1 { 0 } else { frames.next_power_of_two().trailing_zeros() }
}
