//! Writes a journal to a disk until it is told to stop or the power is cut: see `tests/journal`. Some records at a time, in no order, then a flush; and
//! only then it says `acked N`. On its command line:
//!
//! - `disk=xvda`: which one (the first);
//! - `seed=1`: which journal;
//! - `start=1`: the first number, one more than what was acknowledged before the last power cut;
//! - `check=0`: first, all records up to this one must be there;
//! - `count=0`: how many records (0: for ever);
//! - `batch=8`: records between two flushes at most, 32 at most;
//! - `slots=N`: use so much of the disk only, in units of 4 KiB.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;

use domus_journal::{Journal, RECORD_BYTES, check, write};
use domus_test_kernels::crew::{self, Task};
use domus_test_kernels::disks::{self, number};
use pv_guest_sdk::block::{Disk, Error};
use pv_guest_sdk::task::block_on;
use pv_guest_sdk::{BootInfo, entry, println, shutdown};

entry!(main);

/// Sectors of a record.
const SECTORS: u64 = RECORD_BYTES as u64 / 512;

fn main(info: &'static BootInfo) {
    if let Err(error) = run(info) {
        println!("journal: failure: {error}");
        shutdown::crash();
    }
}

fn run(info: &BootInfo) -> Result<(), Error> {
    let disk = block_on(disks::open(info, disks::options(info)))?;
    let journal = Journal::new(number(info, "seed", 1), disk.info().sectors * 512).ok_or(Error::Range)?;
    let journal = Journal { slots: number(info, "slots", journal.slots).clamp(1, journal.slots), ..journal };
    let acked = number(info, "check", 0);
    if acked > 0 {
        let found = check(&journal, acked, |slot, record| block_on(disk.read(slot * SECTORS, record)))?;
        println!("journal: {acked} acknowledged, {} lost, {:?}", found.lost, found);
        if found.lost > 0 {
            println!("journal: failure: records are lost");
            return Ok(());
        }
    }
    let start = number(info, "start", 1).max(1);
    let end = match number(info, "count", 0) {
        0 => u64::MAX,
        count => start.saturating_add(count),
    };
    let batch = number(info, "batch", 8).clamp(1, 32);
    println!("journal: {} slots, from {start} on", journal.slots);
    write_all(&disk, &journal, start, end, batch)?;
    block_on(disk.close())?;
    println!("journal: done");
    Ok(())
}

fn write_all(disk: &Disk, journal: &Journal, mut next: u64, end: u64, batch: u64) -> Result<(), Error> {
    while next < end {
        // 1 to `batch` records, so that flushes come in every rhythm.
        let last = (next + next.wrapping_mul(0x9e37_79b9) % batch).min(end - 1);
        let failed = Cell::new(None);
        let record = |number: u64| -> Task<'_> {
            let failed = &failed;
            Box::pin(async move {
                let mut record = Box::new([0; RECORD_BYTES]);
                write(journal, number, &mut record);
                if let Err(error) = disk.write(journal.slot(number) * SECTORS, &record[..]).await {
                    failed.set(Some(error));
                }
            })
        };
        crew::run((next..=last).map(record).collect::<Vec<_>>());
        if let Some(error) = failed.get() {
            return Err(error);
        }
        block_on(disk.flush())?;
        println!("acked {last}");
        next = last + 1;
    }
    Ok(())
}
