//! The hypercall iret with a frame that cannot be read ends the guest.
#![no_std]
#![no_main]

use domus_test_kernels::crash;
use pv_guest_sdk::abi::hypercall::IRET;
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    crash::expect("iret: its frame");
    // SAFETY: the end.
    unsafe { core::arch::asm!("mov rsp, {}", "syscall", "ud2", in(reg) 0x1000u64, in("rax") IRET, options(noreturn)) };
}
