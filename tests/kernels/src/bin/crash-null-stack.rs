//! As `crash-bad-stack`, with a frame that wraps around address 0.
#![no_std]
#![no_main]

use domus_test_kernels::crash;
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    crash::expect("its kernel stack cannot be written");
    // SAFETY: the end.
    unsafe { core::arch::asm!("mov esp, 16", "int3", options(noreturn)) };
}
