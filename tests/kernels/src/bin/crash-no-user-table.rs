//! The hypercall iret to user mode without a page table for it ends the guest.
#![no_std]
#![no_main]

use domus_test_kernels::crash;
use pv_guest_sdk::abi::segment::{FLAT_USER_CS, FLAT_USER_SS};
use pv_guest_sdk::traps::{self, TrapFrame};
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    crash::expect("without a user page table");
    let frame = TrapFrame { cs: FLAT_USER_CS.into(), ss: FLAT_USER_SS.into(), rflags: 0x202, ..TrapFrame::default() };
    // SAFETY: the end.
    unsafe { traps::resume(frame) }
}
