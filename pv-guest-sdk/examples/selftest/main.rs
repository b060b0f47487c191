//! The SDK's own test: runs on both hypervisors, prints a line for each check, and crashes at the first that fails.
#![no_std]
#![no_main]

extern crate alloc;

mod areas;
mod channels;
mod heap;
mod mappings;
mod store;
mod traps;

use pv_guest_sdk::{BootInfo, entry, println};

entry!(main);

/// A check: a name, and what panics if it does not hold.
type Check = (&'static str, fn());

fn main(_info: &'static BootInfo) {
    let groups: [&[Check]; 6] = [heap::CHECKS, mappings::CHECKS, areas::CHECKS, traps::CHECKS, channels::CHECKS, store::CHECKS];
    for (name, check) in groups.into_iter().flatten() {
        check();
        println!("ok: {name}");
    }
    println!("selftest: {} checks passed", groups.iter().map(|group| group.len()).sum::<usize>());
}
