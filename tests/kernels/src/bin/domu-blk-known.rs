//! Asks a disk for what is known beforehand, and tells how long each request took: the session compares it with what `dom block-list` has counted
//! and with the delay that the operator has ordered. Then it waits, so that both can be looked at.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use core::cell::Cell;

use domus_test_kernels::disks;
use pv_guest_sdk::block::{Disk, Error};
use pv_guest_sdk::task::block_on;
use pv_guest_sdk::{BootInfo, entry, println, shutdown, time};

entry!(main);

fn main(info: &'static BootInfo) {
    if let Err(error) = block_on(run(info)) {
        println!("domus-test: failure {error}");
    }
}

async fn run(info: &BootInfo) -> Result<(), Error> {
    let disk = disks::open(info, disks::options(info)).await?;
    let tally = Tally::default();
    ask(&disk, &tally).await;
    println!(
        "known: {} of {} requests failed; each took {} to {} ms",
        tally.failed.get(),
        tally.asked.get(),
        tally.shortest.get() / MILLISECOND,
        tally.longest.get() / MILLISECOND
    );
    let request = shutdown::wait_for_request()?;
    disk.close().await?;
    shutdown::obey(request);
    Ok(())
}

/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// 20 reads of a sector, 10 of 16 pages; 7 writes of a page, 3 of two; 2 flushes; a discard of 64 sectors. Each is one request on the ring.
async fn ask(disk: &Disk, tally: &Tally) {
    let mut data = vec![0; 16 * 4096];
    for at in 0..20 {
        tally.count(disk.read(at * 100, &mut data[..512])).await;
    }
    for at in 0..10 {
        tally.count(disk.read(at * 200, &mut data)).await;
    }
    for at in 0..7 {
        tally.count(disk.write(at * 8, &data[..4096])).await;
    }
    for at in 0..3 {
        tally.count(disk.write(at * 16, &data[..8192])).await;
    }
    for _ in 0..2 {
        tally.count(disk.flush()).await;
    }
    tally.count(disk.discard(1024, 64, false)).await;
}

/// What came of the requests, one after the other.
struct Tally {
    asked: Cell<u64>,
    failed: Cell<u64>,
    /// In nanoseconds.
    shortest: Cell<u64>,
    longest: Cell<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { asked: Cell::new(0), failed: Cell::new(0), shortest: Cell::new(u64::MAX), longest: Cell::new(0) }
    }
}

impl Tally {
    async fn count(&self, request: impl Future<Output = Result<(), Error>>) {
        let begun = time::now();
        let failed = request.await.is_err();
        let took = time::now() - begun;
        self.asked.set(self.asked.get() + 1);
        self.failed.set(self.failed.get() + u64::from(failed));
        self.shortest.set(self.shortest.get().min(took));
        self.longest.set(self.longest.get().max(took));
    }
}
