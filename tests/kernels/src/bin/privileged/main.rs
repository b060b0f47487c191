//! Privileged instructions: which are emulated for the guest kernel, which fault, and that none of them does what it would do in ring 0.
#![no_std]
#![no_main]

mod cpuid;
mod fpu;
mod instructions;
mod iopl;
mod registers;
mod segments;

use domus_test_kernels::{probe, report};
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    probe::install();
    report::run(&[instructions::CHECKS, registers::CHECKS, iopl::CHECKS, cpuid::CHECKS, segments::CHECKS, fpu::CHECKS]);
}
