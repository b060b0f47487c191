//! Base address registers: where a function's registers lie in memory or among the ports.

use alloc::vec::Vec;

use super::{Address, COMMAND_IO, COMMAND_MEMORY, ConfigSpace, register};

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// Ports.
    Io,
    /// Memory.
    Memory {
        /// The address has 64 bits and takes two registers.
        wide: bool,
        /// Reads have no side effects.
        prefetchable: bool,
    },
}

/// One base address register, with what it decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Which register, 0 to 5.
    pub index: u8,
    /// Memory or ports.
    pub kind: BarKind,
    /// Where it begins; 0 if the firmware gave it no place.
    pub address: u64,
    /// How much it decodes, in bytes.
    pub bytes: u64,
}

/// Reads and sizes the first `count` registers. A function does not decode while its registers are sized: nobody may be using it.
pub fn bars<C: ConfigSpace>(space: &mut C, at: Address, count: u8) -> Vec<Bar> {
    let command = space.read(at, register::COMMAND) & 0xffff;
    // Bits of status are cleared by writing ones, so they are written as zeroes.
    space.write(at, register::COMMAND, command & !u32::from(COMMAND_IO | COMMAND_MEMORY));
    let mut found = Vec::new();
    let mut index = 0;
    while index < count {
        let (bar, registers) = size(space, at, index, count);
        found.extend(bar);
        index += registers;
    }
    space.write(at, register::COMMAND, command);
    found
}

/// A register and how many it takes with its upper half.
fn size<C: ConfigSpace>(space: &mut C, at: Address, index: u8, count: u8) -> (Option<Bar>, u8) {
    let (low, low_mask) = probe(space, at, index);
    if low & 1 != 0 {
        let mask = low_mask & 0xffff_fffc;
        // Ports have 16 bits; devices may leave the upper ones 0.
        let bytes = u64::from((!(mask | 0xffff_0000)).wrapping_add(1) & 0x1_ffff);
        let bar = Bar { index, kind: BarKind::Io, address: u64::from(low & 0xffff_fffc), bytes };
        return ((mask != 0).then_some(bar), 1);
    }
    let wide = low >> 1 & 3 == 2;
    if wide && index + 1 == count {
        return (None, 1);
    }
    let (high, high_mask) = if wide { probe(space, at, index + 1) } else { (0, if low_mask == 0 { 0 } else { !0 }) };
    let mask = u64::from(high_mask) << 32 | u64::from(low_mask & !0xf);
    let address = u64::from(high) << 32 | u64::from(low & !0xf);
    let kind = BarKind::Memory { wide, prefetchable: low & 8 != 0 };
    let bar = Bar { index, kind, address, bytes: (!mask).wrapping_add(1) };
    ((mask != 0).then_some(bar), 1 + u8::from(wide))
}

/// What a register holds, and what is left of all ones.
fn probe<C: ConfigSpace>(space: &mut C, at: Address, index: u8) -> (u32, u32) {
    let register = register::BAR0 + 4 * index;
    let was = space.read(at, register);
    space.write(at, register, !0);
    let mask = space.read(at, register);
    space.write(at, register, was);
    (was, mask)
}
