//! A guest that says itself that it has crashed.
#![no_std]
#![no_main]

use domus_test_kernels::crash;
use pv_guest_sdk::{BootInfo, entry, shutdown};

entry!(main);

fn main(_info: &'static BootInfo) {
    crash::expect("it said so itself");
    shutdown::crash()
}
