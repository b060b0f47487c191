//! Interrupts of PCI functions as events ([`abi::control::OP_MSI_BIND`]): an entry of an MSI-X table, a vector of the processor and a port of a
//! domain, bound together.
//!
//! The message in a table's entry is a write to the interrupt controller: whoever writes tables can raise any vector. So the hypervisor alone
//! does, with messages of its own making. Messages are edges, and nothing needs to be acknowledged at the device: an interrupt costs
//! one bit in `shared_info`, however many came. A device that sends without end takes its processor's time, as it would without a hypervisor.

use abi::errno::Errno;

use super::msix::{ENTRY, Table};
use super::pci::{COMMAND, COMMAND_MEMORY, Config, Function};
use super::permit::{is_own, processor_frames};
use crate::events;
use crate::hypervisor::Hypervisor;
use crate::ids::DomId;
use crate::machine::Machine;

/// Entries that can be bound at a time, on the whole machine: as many vectors are kept for them.
pub const MAX_MESSAGES: usize = 128;

/// An entry that is bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    function: Function,
    entry: u32,
    domain: DomId,
    port: u32,
}

/// What each vector is bound to.
pub(super) struct Messages {
    slots: [Option<Bound>; MAX_MESSAGES],
}

/// Words of a table's entry.
const ADDRESS_LOW: u64 = 0;
const ADDRESS_HIGH: u64 = 4;
const DATA: u64 = 8;
const VECTOR_CONTROL: u64 = 12;
/// Of the vector control: the entry sends nothing.
const MASKED: u32 = 1;
/// Of the capability's control word: messages instead of lines; no entry sends anything.
const ENABLE: u32 = 1 << 31;
const MASK_ALL: u32 = 1 << 30;

impl Messages {
    pub(super) const fn new() -> Self {
        Messages { slots: [None; MAX_MESSAGES] }
    }

    fn is_bound(&self, function: Function, entry: u32) -> bool {
        self.slots.iter().flatten().any(|bound| (bound.function, bound.entry) == (function, entry))
    }

    fn is_used(&self, function: Function) -> bool {
        self.slots.iter().flatten().any(|bound| bound.function == function)
    }
}

/// Binds entry `entry` of a function's table to a new port of a domain; tells the port.
///
/// # Errors
/// -ENODEV without such a function, or if it has no MSI-X table in device memory; -EINVAL without such an entry; -EEXIST if it is bound;
/// -EPERM if a domain may map the table; -ENOSPC if no vector or port is free; and those of binding a port.
pub fn bind<M: Machine>(hv: &mut Hypervisor<M>, domain: DomId, function: Function, entry: u32) -> Result<u32, Errno> {
    let config = function.config(hv).ok_or(Errno::NODEV)?;
    let table = usable_table(hv, config).ok_or(Errno::NODEV)?;
    if entry >= table.entries {
        return Err(Errno::INVAL);
    }
    let (first, end) = table.frames();
    if hv.frames.devices.any_permitted(first, end) {
        return Err(Errno::PERM);
    }
    let messages = &hv.devices.messages;
    if messages.is_bound(function, entry) {
        return Err(Errno::EXIST);
    }
    let slot = messages.slots.iter().position(Option::is_none).ok_or(Errno::NOSPC)?;
    let port = events::bind_message(hv, domain, slot as u8)?;
    // A function that was made to send before it was bound would send what the firmware left in its table.
    if config.read(&hv.machine, table.control) & ENABLE == 0 || !hv.devices.messages.is_used(function) {
        mask_unbound(hv, function, &table);
    }
    hv.devices.messages.slots[slot] = Some(Bound { function, entry, domain, port });
    program(&hv.machine, &table, entry, slot);
    let control = config.read(&hv.machine, table.control);
    config.write(&hv.machine, table.control, control & !MASK_ALL | ENABLE);
    Ok(port)
}

/// Masks what a slot is bound to and frees it; its port is being closed.
pub(crate) fn unbind<M: Machine>(hv: &mut Hypervisor<M>, slot: u8) {
    let Some(bound) = hv.devices.messages.slots.get_mut(usize::from(slot)).and_then(Option::take) else { return };
    // The function may be gone, or its table be somewhere else by now.
    let table = bound.function.config(hv).and_then(|config| usable_table(hv, config));
    if let Some(table) = table.filter(|table| bound.entry < table.entries) {
        mask(&hv.machine, &table, bound.entry);
    }
}

/// The interrupt of a slot arrived: an event for whoever bound it. A late one of an entry that is bound no more is nobody's.
pub fn interrupt<M: Machine>(hv: &mut Hypervisor<M>, slot: usize) {
    if let Some(bound) = hv.devices.messages.slots.get(slot).copied().flatten() {
        events::send_message(hv, bound.domain, bound.port);
    }
}

/// The port that a slot is bound to, for tests: whose and which.
pub fn bound_to<M: Machine>(hv: &Hypervisor<M>, slot: u8) -> Option<(DomId, u32)> {
    let bound = hv.devices.messages.slots.get(usize::from(slot)).copied().flatten()?;
    Some((bound.domain, bound.port))
}

/// A function's table, if the function answers at its addresses and the table is where a table may be: where it is, a domain decides.
fn usable_table<M: Machine>(hv: &Hypervisor<M>, config: Config) -> Option<Table> {
    if config.read(&hv.machine, COMMAND) & COMMAND_MEMORY == 0 {
        return None;
    }
    let table = Table::find(&hv.machine, config)?;
    let (first, end) = table.frames();
    let may_be = end <= processor_frames(&hv.machine) && !hv.frames.has_ram(first, end) && !is_own(hv, first, end);
    may_be.then_some(table)
}

/// Before a function sends messages for the first time: what the firmware left in its table sends none.
fn mask_unbound<M: Machine>(hv: &Hypervisor<M>, function: Function, table: &Table) {
    for entry in (0..table.entries).filter(|&entry| !hv.devices.messages.is_bound(function, entry)) {
        mask(&hv.machine, table, entry);
    }
}

fn word(table: &Table, entry: u32, word: u64) -> u64 {
    table.address + u64::from(entry) * ENTRY + word
}

fn mask<M: Machine>(machine: &M, table: &Table, entry: u32) {
    let control = word(table, entry, VECTOR_CONTROL);
    machine.mmio_write32(control, MASKED);
    // The answer comes after the write has arrived, and after the messages before it.
    machine.mmio_read32(control);
}

fn program<M: Machine>(machine: &M, table: &Table, entry: u32, slot: usize) {
    let (address, data) = machine.message(slot);
    mask(machine, table, entry);
    machine.mmio_write32(word(table, entry, ADDRESS_LOW), address as u32);
    machine.mmio_write32(word(table, entry, ADDRESS_HIGH), (address >> 32) as u32);
    machine.mmio_write32(word(table, entry, DATA), data);
    machine.mmio_write32(word(table, entry, VECTOR_CONTROL), 0);
}
