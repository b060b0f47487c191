//! Reads an ext4 file system on a disk: lists its root, and prints the file that `file=/path` names on the command line. `disk=xvda` names the disk (the
//! first). The crate `ext4-view` does the file system; the SDK does the disk.
#![no_std]
#![no_main]

extern crate alloc;

mod source;

use alloc::boxed::Box;

use ext4_view::{Ext4, Ext4Error, FileType};
use pv_guest_sdk::block::{Disk, Error, Options, vdev};
use pv_guest_sdk::task::block_on;
use pv_guest_sdk::{BootInfo, entry, print, println, xenstore};
use source::Source;

entry!(main);

fn main(info: &'static BootInfo) {
    if !xenstore::available() {
        return println!("no xenstore here, so no disks");
    }
    let disk = match block_on(open(info)) {
        Ok(disk) => disk,
        Err(error) => return println!("blkfs: {error}"),
    };
    match show(disk, info.argument("file")) {
        Ok(()) => println!("blkfs: done"),
        Err(error) => println!("blkfs: {error}"),
    }
}

async fn open(info: &BootInfo) -> Result<Disk, Error> {
    match info.argument("disk") {
        Some(name) => Disk::open(vdev(name).ok_or(Error::NoDevice)?, Options::default()).await,
        None => Disk::open_nth(0, Options::default()).await,
    }
}

fn show(disk: Disk, file: Option<&str>) -> Result<(), Ext4Error> {
    let files = Ext4::load(Box::new(Source::new(disk)))?;
    println!("volume \"{}\"", files.label().display());
    for entry in files.read_dir("/")? {
        let entry = entry?;
        let metadata = files.symlink_metadata(&entry.path())?;
        let kind = match metadata.file_type() {
            FileType::Directory => 'd',
            FileType::Symlink => 'l',
            _ => '-',
        };
        println!("{kind} {:10} {}", metadata.len(), entry.file_name().display());
    }
    if let Some(path) = file {
        println!("{path}:");
        let text = files.read(path)?;
        print!("{}", alloc::string::String::from_utf8_lossy(&text));
        println!();
    }
    Ok(())
}
