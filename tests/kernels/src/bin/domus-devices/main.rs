//! Devices of PCI: their memory is mapped where it is permitted, their interrupts arrive as events, and what would reach further is refused.
//!
//! The machine has a virtio entropy device with MSI-X (`virtio-rng-pci`). Xen gives its first domain devices in other ways (`physdev_op`).
#![no_std]
#![no_main]

mod entropy;
mod messages;
mod pci;
mod windows;

use domus_test_kernels::{probe, report};
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    probe::install();
    report::run(&[windows::CHECKS, messages::CHECKS]);
}
