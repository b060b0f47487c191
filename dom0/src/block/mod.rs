//! Dom0's disks: the physical ones, found on PCI at boot and driven from then on.
//!
//! A disk's number is its place in [`disks`], in the order of PCI addresses, and never changes; its name follows from the number, as
//! Linux has it. [`start`] starts a device, [`interrupts`] carries what it says to the disk that [`dom0_core::virtio`] makes of it.

pub mod interrupts;
mod start;

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use dom0_core::block::quick::QuickDisk;
use dom0_core::block::{SharedDisk, SharedMemory, WholeDisk};
use dom0_core::pci::{Address, Function};
use dom0_core::storage::letters;
use dom0_core::virtio::TYPE_BLOCK;

use crate::hal::dma::DeviceMemory;
use crate::hal::local::Local;
use crate::hal::pci::Pci;
use crate::log::log;
use start::Driven;

/// Disks at most: each has a bit in the words that interrupts are noted in.
pub const MOST_DISKS: usize = 64;

/// A physical disk.
pub struct PhysicalDisk {
    name: String,
    at: Address,
    driven: Rc<Driven>,
    whole: SharedDisk,
}

impl PhysicalDisk {
    /// Its name: `vda`, `vdb`, ...
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the device sits.
    pub fn address(&self) -> Address {
        self.at
    }

    /// The disk for whoever can wait.
    pub fn disk(&self) -> SharedDisk {
        self.whole.clone()
    }

    /// The disk for whoever cannot.
    pub fn quick(&self) -> Rc<dyn QuickDisk> {
        self.driven.clone()
    }
}

static DISKS: Local<Vec<PhysicalDisk>> = Local::new();

/// The physical disks; number *n* is the one at index *n*.
pub fn disks() -> &'static [PhysicalDisk] {
    DISKS.get().map_or(&[], Vec::as_slice)
}

/// Memory for requests of Dom0's own.
pub fn memory() -> SharedMemory {
    Rc::new(DeviceMemory)
}

/// Starts every disk among the machine's functions. One that does not start is left alone, and Dom0's log says why.
pub fn init(pci: &mut Pci, functions: &[Function]) {
    let mut disks = Vec::new();
    for function in functions.iter().filter(|function| function.virtio_type() == Some(TYPE_BLOCK)) {
        if disks.len() == MOST_DISKS {
            log!("disk {}: not started, there are {MOST_DISKS} already", function.at);
            continue;
        }
        match start::start(pci, function, disks.len()) {
            Ok(driven) => disks.push(physical(function.at, disks.len() as u32, driven)),
            Err(error) => log!("disk {}: not started: {error}", function.at),
        }
    }
    DISKS.set(disks);
}

fn physical(at: Address, number: u32, driven: Driven) -> PhysicalDisk {
    let driven = Rc::new(driven);
    let name = String::from("vd") + &letters(number);
    let info = driven.info();
    log!("disk {at}: {name}, {} bytes in blocks of {}{}", info.bytes, info.logical_block, if info.read_only { ", read-only" } else { "" });
    PhysicalDisk { name, at, whole: Rc::new(WholeDisk::new(number, driven.clone())), driven }
}
