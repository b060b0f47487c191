//! A trap for which the guest kernel has no stack ends the guest, whatever the stack pointer is.
#![no_std]
#![no_main]

use domus_test_kernels::crash;
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    crash::expect("its kernel stack cannot be written");
    // SAFETY: the end.
    unsafe { core::arch::asm!("mov rsp, {}", "ud2", in(reg) 0xffff_8300_0000_1000u64, options(noreturn)) };
}
