//! Page tables of a hostile guest: everything that would let it write to a table or reach a frame that is not its own must be refused, and
//! leave the tables as they were.
#![no_std]
#![no_main]

mod entries;
mod foreign;
mod pins;
mod types;
mod writes;

use domus_test_kernels::{probe, report};
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    probe::install();
    report::run(&[entries::CHECKS, types::CHECKS, pins::CHECKS, foreign::CHECKS, writes::CHECKS]);
}
