//! A trap from user mode with a kernel stack (`stack_switch`) in the hypervisor's range ends the guest.
#![no_std]
#![no_main]

use domus_test_kernels::{crash, user, user_code};
use pv_guest_sdk::{BootInfo, entry, hypercall, traps};

entry!(main);

user_code! {
    user_ud2: "ud2";
}

fn main(_info: &'static BootInfo) {
    user::set_up();
    crash::expect("its kernel stack cannot be written");
    // SAFETY: the end.
    unsafe {
        let _ = hypercall::stack_switch(0xffff_8300_0000_1000);
        traps::resume(user::frame(user_ud2))
    }
}
