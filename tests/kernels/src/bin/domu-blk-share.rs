//! Reads a disk from end to end and prints its CRC-32, `rounds=` times (1), with `depth=` requests (4) at a time: beside another guest that has the same
//! disk read-only, and beside Linux's `cksum`-like tools on the host (`python3 -c 'import zlib'`, `crc32`).
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;

use domus_test_kernels::disks::{self, number};
use pv_guest_sdk::block::{Disk, Error};
use pv_guest_sdk::task::block_on;
use pv_guest_sdk::{BootInfo, entry, println};

entry!(main);

fn main(info: &'static BootInfo) {
    match block_on(run(info)) {
        Ok(()) => println!("domus-test: success"),
        Err(error) => println!("domus-test: failure {error}"),
    }
}

async fn run(info: &BootInfo) -> Result<(), Error> {
    let disk = disks::open(info, disks::options(info)).await?;
    if disk.info().read_only {
        let refused = disk.write(0, &[0; 4096]).await;
        println!("a write: {}", if refused == Err(Error::ReadOnly) { "refused" } else { "not refused" });
    }
    for round in 1..=number(info, "rounds", 1) {
        println!("share: round {round}: crc32 {:08x}", crc(&disk, number(info, "depth", 4) as usize).await?);
    }
    disk.close().await
}

/// A read of several requests, which are under way at once.
async fn crc(disk: &Disk, depth: usize) -> Result<u32, Error> {
    let mut hasher = crc32fast::Hasher::new();
    let mut data = vec![0; depth.clamp(1, 64) * 32 * 4096];
    let (mut sector, end) = (0, disk.info().sectors);
    while sector < end {
        let bytes = data.len().min((end - sector) as usize * 512);
        disk.read(sector, &mut data[..bytes]).await?;
        hasher.update(&data[..bytes]);
        sector += bytes as u64 / 512;
    }
    Ok(hasher.finalize())
}
