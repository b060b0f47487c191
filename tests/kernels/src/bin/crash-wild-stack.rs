//! As `crash-bad-stack`, with a stack pointer that is not canonical.
#![no_std]
#![no_main]

use domus_test_kernels::crash;
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    crash::expect("its kernel stack cannot be written");
    // SAFETY: the end.
    unsafe { core::arch::asm!("mov rsp, {}", "ud2", in(reg) 1u64 << 60, options(noreturn)) };
}
