//! What a second look at the ABI found to differ from Xen: old forms of hypercalls, answers to odd questions, corners of traps.
#![no_std]
#![no_main]

mod answers;
mod compat;
mod corners;

use domus_test_kernels::{probe, report};
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    probe::install();
    report::run(&[compat::CHECKS, answers::CHECKS, corners::CHECKS]);
}
