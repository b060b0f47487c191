//! A journal that shows whether acknowledged writes survive a power cut.
//!
//! A guest (`domu-blk-journal`) writes numbered records to places that look random, flushes, and then says `acked N` on its console: records 1 to N are
//! durable. The power is cut at any moment. Then every record up to the last N that was said must be there: [`check`], in the guest or on the host.
//!
//! Nothing on the disk is needed to find a record: where number `n` lies and every byte of it follow from the seed, the size of the disk and `n`. The
//! disk is a row of slots of 4 KiB; each pass over it fills every slot once, in an order of its own. So a record is overwritten only by one that is as
//! many numbers later as there are slots, or nearly so.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod check;
mod order;
mod record;

pub use check::{Check, Found, UNDER_WAY, check};
pub use record::{RECORD_BYTES, State, inspect, write};

/// Which journal on which disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Tells journals apart: another seed has other records in other places.
    pub seed: u64,
    /// Slots of 4 KiB; 1 at least.
    pub slots: u64,
}

impl Journal {
    /// The journal that fills a disk; `None` if not even a record fits.
    pub fn new(seed: u64, disk_bytes: u64) -> Option<Journal> {
        Some(disk_bytes / RECORD_BYTES as u64).filter(|&slots| slots > 0).map(|slots| Journal { seed, slots })
    }

    /// The slot of record `number`, from 1.
    pub fn slot(&self, number: u64) -> u64 {
        let index = number.wrapping_sub(1);
        order::place(self.seed.wrapping_add(index / self.slots), self.slots, index % self.slots)
    }

    /// The record that pass `pass`, from 0, puts into a slot. `None` beyond all numbers.
    pub fn number(&self, pass: u64, slot: u64) -> Option<u64> {
        let index = order::index(self.seed.wrapping_add(pass), self.slots, slot);
        pass.checked_mul(self.slots)?.checked_add(index + 1)
    }
}
