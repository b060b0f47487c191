//! Prints what each disk is, its first bytes and a checksum. On the command line: `disk=xvda` for that one only, `bytes=N` to dump so many (64),
//! `crc=N` to sum so many blocks of 4 KiB (16; `crc=all` for the whole disk).
#![no_std]
#![no_main]

extern crate alloc;

mod dump;

use alloc::vec;

use pv_guest_sdk::block::{self, Disk, Error, Info, Options, vdev};
use pv_guest_sdk::task::block_on;
use pv_guest_sdk::{BootInfo, entry, println, xenstore};

entry!(main);

/// Bytes read at a time.
const PIECE: usize = 128 * 1024;

fn main(info: &'static BootInfo) {
    if !xenstore::available() {
        return println!("no xenstore here, so no disks");
    }
    match block_on(all(info)) {
        Ok(count) => println!("blkdump: {count} disks"),
        Err(error) => println!("blkdump: {error}"),
    }
}

async fn all(info: &BootInfo) -> Result<usize, Error> {
    let disks = match info.argument("disk") {
        Some(name) => vec![vdev(name).ok_or(Error::NoDevice)?],
        None => block::disks()?,
    };
    for &vdev in &disks {
        if let Err(error) = show(vdev, info).await {
            println!("disk {vdev}: {error}");
        }
    }
    Ok(disks.len())
}

async fn show(vdev: u32, arguments: &BootInfo) -> Result<(), Error> {
    let disk = Disk::open(vdev, Options::default()).await?;
    describe(vdev, &disk.info());
    let size = disk.info().sectors * 512;
    let number = |key, otherwise: u64| arguments.argument(key).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    // A whole block, whatever its size is.
    let mut first = vec![0; number("bytes", 64).next_multiple_of(4096).min(PIECE as u64).min(size) as usize];
    disk.read(0, &mut first).await?;
    dump::hex(&first[..first.len().min(number("bytes", 64) as usize)]);
    let end = if arguments.argument("crc") == Some("all") { size } else { number("crc", 16).saturating_mul(4096).min(size) };
    println!("crc32 of {end} bytes: {:08x}", sum(&disk, end).await?);
    disk.close().await
}

fn describe(vdev: u32, info: &Info) {
    match block::name(vdev) {
        Some(name) => println!("disk {vdev} ({name}):"),
        None => println!("disk {vdev}:"),
    }
    println!(
        "  {} sectors of 512 bytes, {} MiB; blocks of {} ({}) bytes",
        info.sectors,
        info.sectors >> 11,
        info.sector_size,
        info.physical_sector_size
    );
    let flags = [
        (info.read_only, "read-only"),
        (info.cdrom, "cd-rom"),
        (info.removable, "removable"),
        (info.flush, "flush"),
        (info.barrier, "barrier"),
        (info.discard.is_some(), "discard"),
        (info.persistent, "persistent grants"),
    ];
    flags.iter().filter(|(set, _)| *set).for_each(|(_, name)| println!("  {name}"));
    if info.max_indirect > 0 {
        println!("  {} segments a request", info.max_indirect);
    }
}

async fn sum(disk: &Disk, end: u64) -> Result<u32, Error> {
    let (mut data, mut crc, mut at) = (vec![0; PIECE], dump::Crc32::new(), 0);
    while at < end {
        let bytes = PIECE.min((end - at) as usize);
        disk.read(at / 512, &mut data[..bytes]).await?;
        crc.add(&data[..bytes]);
        at += bytes as u64;
    }
    Ok(crc.value())
}
