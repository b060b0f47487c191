//! What the firmware's ACPI tables say of the machine: its CPUs, where the console's interrupt goes, how it is switched off, where
//! PCI configuration lies. Only these facts; no AML is run.
//!
//! The tables are read through a function, a few bytes at a time, so that hostile lengths cost nothing and tests need no memory map.

mod aml;
mod fadt;
mod madt;
mod mcfg;
mod tables;

pub use fadt::{Power, ResetRegister};
pub use madt::{InterruptLine, Interrupts};
pub use mcfg::Ecam;
pub use tables::Tables;

/// Physical memory, readable: fills `into` from `address`, false if that is not to be read.
pub trait Physical {
    /// Reads bytes.
    fn read(&self, address: u64, into: &mut [u8]) -> bool;
}

impl<F: Fn(u64, &mut [u8]) -> bool> Physical for F {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        self(address, into)
    }
}

/// Reads a little-endian number of `N` bytes, 0 if it cannot be read.
fn number<const N: usize>(memory: &impl Physical, address: u64) -> u64 {
    let mut bytes = [0; 8];
    if !memory.read(address, &mut bytes[..N]) {
        return 0;
    }
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests;
