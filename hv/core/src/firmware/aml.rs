//! The one thing needed from AML: the first element of the package `\_S5` (ACPI 6.5, 7.4.2 and 20.2).

use super::{Physical, number};

/// A DSDT longer than this is not searched further.
const MAX_DSDT: u64 = 1 << 20;
const NAME_OP: u8 = 0x08;
const PACKAGE_OP: u8 = 0x12;
const BYTE_PREFIX: u8 = 0x0a;

/// `SLP_TYPa` for soft off, if the DSDT at `address` has `Name (\_S5, Package () { ... })`.
pub fn sleep_type_s5(memory: &impl Physical, address: u64) -> Option<u8> {
    let mut signature = [0; 4];
    if !memory.read(address, &mut signature) || &signature != b"DSDT" {
        return None;
    }
    let end = address + number::<4>(memory, address + 4).min(MAX_DSDT);
    let mut chunk = [0u8; 64];
    let mut at = address + 36;
    while at < end {
        let length = (end - at).min(64) as usize;
        if !memory.read(at, &mut chunk[..length]) {
            return None;
        }
        for offset in 0..length.saturating_sub(3) {
            if &chunk[offset..offset + 4] == b"_S5_"
                && let Some(kind) = package(memory, at + offset as u64)
            {
                return Some(kind);
            }
        }
        // Overlap, so that a name across two chunks is seen.
        at += 60;
    }
    None
}

/// The first element of the package whose name begins at `name`.
fn package(memory: &impl Physical, name: u64) -> Option<u8> {
    let byte = |at| number::<1>(memory, at) as u8;
    let named = byte(name - 1) == NAME_OP || (byte(name - 1) == b'\\' && byte(name - 2) == NAME_OP);
    if !named || byte(name + 4) != PACKAGE_OP {
        return None;
    }
    let length_bytes = 1 + u64::from(byte(name + 5) >> 6);
    let element = name + 5 + length_bytes + 1;
    match byte(element) {
        BYTE_PREFIX => Some(byte(element + 1)),
        small @ (0 | 1) => Some(small),
        _ => None,
    }
}
