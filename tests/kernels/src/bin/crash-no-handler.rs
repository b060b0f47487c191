//! A fault for which the guest has no handler ends the guest.
#![no_std]
#![no_main]

use domus_test_kernels::crash;
use pv_guest_sdk::abi::hypercall::SET_TRAP_TABLE;
use pv_guest_sdk::{BootInfo, entry, hypercall};

entry!(main);

fn main(_info: &'static BootInfo) {
    crash::expect("it registered no handler");
    // SAFETY: clears the table; the end is near.
    let _ = unsafe { hypercall::call(SET_TRAP_TABLE, [0; 5]) };
    // SAFETY: the end.
    unsafe { core::arch::asm!("ud2") };
    crash::survived();
}
