//! Calls with nonsense: numbers and operations that do not exist, counts and limits beyond reason, batches in batches, floods.
#![no_std]
#![no_main]

mod channels;
mod memory;
mod multicalls;
mod numbers;
mod sharing;

use domus_test_kernels::{probe, report};
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    probe::install();
    report::run(&[numbers::CHECKS, multicalls::CHECKS, memory::CHECKS, channels::CHECKS, sharing::CHECKS]);
}
