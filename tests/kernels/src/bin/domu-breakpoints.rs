//! A guest that sets a breakpoint and gives the processor away at once, over and over; and, with another command line, one of the same
//! addresses that has set none and must not meet any.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use pv_guest_sdk::abi::hypercall::SET_DEBUGREG;
use pv_guest_sdk::{BootInfo, entry, hypercall, println, time, traps};

entry!(main);

/// Breakpoint 0 on reads and writes of 8 bytes.
const WATCH: u64 = 0x3 | 3 << 16 | 2 << 18;
const MILLISECOND: u64 = 1_000_000;
/// How long the bystander looks.
const LOOKS: u32 = 2000;

static WATCHED: AtomicU64 = AtomicU64::new(0);
static HITS: AtomicU64 = AtomicU64::new(0);

fn main(info: &'static BootInfo) {
    traps::set_handler(1, |_| {
        HITS.fetch_add(1, Ordering::Relaxed);
    });
    match info.argument("role") {
        Some("set") => {
            println!("setting breakpoints");
            loop {
                set(0, WATCHED.as_ptr() as u64);
                set(7, WATCH);
                time::sleep(MILLISECOND);
                set(7, 0);
                time::sleep(MILLISECOND);
            }
        }
        _ => {
            for _ in 0..LOOKS {
                WATCHED.fetch_add(1, Ordering::Relaxed);
                time::sleep(MILLISECOND / 7);
                WATCHED.fetch_add(1, Ordering::Relaxed);
            }
            println!("strange breakpoints met: {}", HITS.load(Ordering::Relaxed));
        }
    }
}

fn set(register: u64, value: u64) {
    // SAFETY: #DB has a handler that only counts.
    let done = unsafe { hypercall::call(SET_DEBUGREG, [register, value, 0, 0, 0]) };
    assert!(done == Ok(0), "breakpoint refused");
}
