//! Finding the functions: bus 0 of a segment, and the buses behind the bridges found there, as firmware numbered them.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::{Address, ConfigSpace, Function, register};

/// Buses that are looked at in one segment at most. Each costs 32 reads and, with functions on it, some mapped memory.
pub const MOST_BUSES: usize = 64;

/// The functions of one bus, in order.
pub fn scan_bus<C: ConfigSpace>(space: &mut C, segment: u16, bus: u8) -> Vec<Function> {
    let mut found = Vec::new();
    for device in 0..32 {
        let at = Address { segment, bus, devfn: device << 3 };
        let Some(first) = Function::read(space, at) else { continue };
        found.push(first);
        // Without this bit functions 1 to 7 may be mirrors of function 0.
        if space.read(at, register::HEADER) >> 23 & 1 != 0 {
            found.extend((1..8).filter_map(|function| Function::read(space, Address { devfn: at.devfn | function, ..at })));
        }
    }
    found
}

/// The functions of a segment's buses `first` to `last`, in order. `enter` is called before a bus is looked at; if it says no, the bus is left
/// out. Each bus is looked at once, whatever bridges claim.
pub fn scan_segment<C: ConfigSpace>(
    space: &mut C,
    segment: u16,
    first: u8,
    last: u8,
    mut enter: impl FnMut(&mut C, u8) -> bool,
) -> Vec<Function> {
    let (mut found, mut seen, mut due) = (Vec::new(), BTreeSet::from([first]), VecDeque::from([first]));
    while let Some(bus) = due.pop_front() {
        if !enter(space, bus) {
            continue;
        }
        let functions = scan_bus(space, segment, bus);
        for bridge in functions.iter().filter_map(|function| function.bridge) {
            let inside = (first..=last).contains(&bridge.secondary);
            if inside && seen.len() < MOST_BUSES && seen.insert(bridge.secondary) {
                due.push_back(bridge.secondary);
            }
        }
        found.extend(functions);
    }
    found.sort_by_key(|function| function.at);
    found
}
