//! Traps as a guest sees them: which vector, which error code, what the frame says, and what state the handler finds.
#![no_std]
#![no_main]

mod debug;
mod events;
mod frame;
mod gates;
mod kernel;
mod modes;
mod returning;

use domus_test_kernels::{probe, report};
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    probe::install();
    report::run(&[kernel::CHECKS, gates::CHECKS, frame::CHECKS, modes::CHECKS, debug::CHECKS, returning::CHECKS, events::CHECKS]);
}
