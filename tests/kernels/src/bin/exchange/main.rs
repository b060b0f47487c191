//! Exchange of memory: frames that nobody else uses become adjacent ones; everything else is refused and changes nothing.
#![no_std]
#![no_main]

mod contiguous;
mod request;

use domus_test_kernels::{probe, report};
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    probe::install();
    report::run(&[request::CHECKS, contiguous::CHECKS]);
}
