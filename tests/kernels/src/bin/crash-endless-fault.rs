//! A page-fault handler that faults itself, without end, comes to the end of its stack and ends the guest.
#![no_std]
#![no_main]

use domus_test_kernels::crash;
use pv_guest_sdk::{BootInfo, entry, traps};

entry!(main);

fn main(_info: &'static BootInfo) {
    crash::expect("its kernel stack cannot be written");
    traps::set_handler(14, |_| fault());
    fault();
    crash::survived();
}

fn fault() {
    // SAFETY: faults.
    unsafe { core::arch::asm!("mov byte ptr [{}], 1", in(reg) 8u64) };
}
