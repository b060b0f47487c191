//! Starting a virtio disk: its registers, its interrupts, its queues, in the order of virtio 1.2, 3.1.1 and 4.1.5.1.

use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

use abi::Errno;
use abi::layout::PAGE_SIZE;
use dom0_core::pci::{Address, COMMAND_IO, COMMAND_MASTER, COMMAND_MEMORY, COMMAND_NO_INTX, ConfigSpace, Function, register};
use dom0_core::virtio::{self, Config, Device, DiskQueue, Registers, SLOT_BYTES, Shape, StartError, VirtioDisk, feature};
use pv_guest_sdk::events::{self, Port};

use super::interrupts::{self, Source};
use crate::hal::dma::DmaMemory;
use crate::hal::pci::Pci;
use crate::hal::registers::{Mapped, permit_whole};

/// A disk and its driver.
pub type Driven = VirtioDisk<VirtioDevice, DmaMemory>;

/// Queues of a disk at most: Dom0 has one vCPU, so more than a few only cost interrupts.
const MOST_QUEUES: u16 = 4;
/// Requests that a disk can have on their way, over all its queues.
const DEPTH: u16 = 128;

/// Structures of virtio on PCI (virtio 1.2, 4.1.4).
const COMMON: u8 = 1;
const NOTIFY: u8 = 2;
const DEVICE: u8 = 4;
/// Bytes of the common configuration that are used.
const COMMON_BYTES: u32 = 56;

/// Why a disk was not started.
#[derive(Debug)]
pub enum Error {
    /// The device.
    Device(StartError),
    /// It lacks this structure, or says that it lies where it cannot.
    Structure(&'static str),
    /// The hypervisor, asked for this.
    Hypervisor(&'static str, Errno),
    /// It has no MSI-X.
    Interrupts,
    /// Memory for queues.
    Memory,
}

impl fmt::Display for Error {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(error) => error.fmt(to),
            Self::Structure(name) => write!(to, "it does not say where its {name} lies"),
            Self::Hypervisor(what, errno) => write!(to, "the hypervisor refuses {what}: {errno:?}"),
            Self::Interrupts => write!(to, "it has no MSI-X, and Dom0 does not use the old interrupt lines"),
            Self::Memory => write!(to, "no memory for its queues"),
        }
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        Self::Device(error)
    }
}

/// A device that works.
pub struct VirtioDevice {
    common: Mapped,
    config: Mapped,
    notify: Mapped,
    /// For each queue where its bell is, in bytes.
    bells: Vec<usize>,
    features: u64,
}

impl Device for VirtioDevice {
    fn doorbell(&self, queue: usize) {
        if let Some(&bell) = self.bells.get(queue) {
            self.notify.set16(bell, queue as u16);
        }
    }

    fn config(&self) -> Result<Config, StartError> {
        virtio::device_config(&self.common, || Config::read(&self.config, self.features))?
    }

    fn stop(&self) {
        virtio::give_up(&self.common);
    }
}

/// Starts a disk that will have this number.
pub fn start(pci: &mut Pci, function: &Function, number: usize) -> Result<Driven, Error> {
    if function.msix_entries() == 0 {
        return Err(Error::Interrupts);
    }
    // The structures mostly lie behind one register.
    if let Some(bar) = function.virtio(COMMON).and_then(|common| function.bar(common.region.bar)) {
        permit_whole(bar.address, bar.bytes);
    }
    let common = structure(function, COMMON, "common configuration", COMMON_BYTES)?;
    let config = structure(function, DEVICE, "own configuration", 8)?;
    let notify = structure(function, NOTIFY, "doorbells", 2)?;
    command(pci, function.at, COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX);
    let mut ports = Vec::new();
    let started = work(function, number, common, config, notify, &mut ports);
    if started.is_err() {
        for port in ports {
            let _ = events::close(port);
        }
        command(pci, function.at, COMMAND_MEMORY);
    }
    started
}

/// Sets the command register, whose upper half is left alone by zeroes. Ports, if the function answers to any, stay.
fn command(pci: &mut Pci, at: Address, bits: u16) {
    let ports = pci.read(at, register::COMMAND) as u16 & COMMAND_IO;
    pci.write(at, register::COMMAND, u32::from(bits | ports));
}

/// Maps one of virtio's structures.
fn structure(function: &Function, kind: u8, name: &'static str, least: u32) -> Result<Mapped, Error> {
    let found = function.virtio(kind).filter(|found| found.bytes >= least).ok_or(Error::Structure(name))?;
    let address = function.memory(found.region, found.bytes.into()).ok_or(Error::Structure(name))?;
    Mapped::new(address, found.bytes as usize).map_err(|errno| Error::Hypervisor(name, errno))
}

fn work(
    function: &Function,
    number: usize,
    common: Mapped,
    config: Mapped,
    notify: Mapped,
    ports: &mut Vec<Port>,
) -> Result<Driven, Error> {
    let features = virtio::negotiate(&common, |offered| offered & feature::KNOWN)?;
    let multiplier = function.virtio(NOTIFY).map_or(0, |notify| notify.multiplier as usize);
    let mut device = VirtioDevice { common, config, notify, bells: Vec::new(), features };
    let config = device.config()?;
    let count = config.queues.min(virtio::queue_count(&device.common)).clamp(1, MOST_QUEUES);
    let vectors = vectors(function, number, count, ports)?;
    virtio::set_config_vector(&device.common, 0)?;
    let mut queues = Vec::new();
    for (index, &vector) in (0..count).zip(&vectors) {
        let (queue, bell) = queue(&device, index, vector, &config, DEPTH / count)?;
        queues.push(queue);
        device.bells.push(bell * multiplier);
    }
    virtio::finish(&device.common);
    Ok(Driven::new(device, config, queues))
}

/// Binds interrupts: one for the configuration, and one for each queue if there are so many. Gives each queue's.
fn vectors(function: &Function, number: usize, count: u16, ports: &mut Vec<Port>) -> Result<Vec<u16>, Error> {
    let entries = function.msix_entries();
    let last = (entries - 1).min(count);
    for entry in 0..=last {
        let source = match entry {
            0 if last == 0 => Source::Both,
            0 => Source::Configuration,
            _ => Source::Queues,
        };
        let port = interrupts::bind(function.at, entry, number, source);
        ports.push(port.map_err(|errno| Error::Hypervisor("an interrupt", errno))?);
    }
    Ok((1..=count).map(|queue| queue.min(last)).collect())
}

/// Sets up a queue; tells the index of its bell.
fn queue(device: &VirtioDevice, index: u16, vector: u16, config: &Config, depth: u16) -> Result<(DiskQueue<DmaMemory>, usize), Error> {
    let made = RefCell::new(None);
    let bell = virtio::set_queue(&device.common, index, vector, |most| {
        let has = |feature: u64| device.features & feature != 0;
        let shape = Shape::new(most, config.limits.pieces, depth, has(feature::INDIRECT), has(feature::EVENT_INDEX));
        let shape = shape.ok_or(StartError::Queue)?;
        let memory = |bytes: usize| DmaMemory::new(bytes.div_ceil(PAGE_SIZE)).ok_or(Error::Memory);
        let queue = DiskQueue::new(shape, memory(PAGE_SIZE)?, memory(virtio::RINGS_BYTES)?, memory(usize::from(shape.slots) * SLOT_BYTES)?);
        let answer = (shape.size, queue.place());
        made.replace(Some(queue));
        Ok::<_, Error>(answer)
    })?;
    Ok((made.into_inner().ok_or(Error::Memory)?, bell.into()))
}
