//! Descriptor tables of a hostile guest: nothing in them may give more than ring 3, and no frame is writable while it is one of them.
#![no_std]
#![no_main]

mod gdt;
mod ldt;

use domus_test_kernels::{probe, report};
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    probe::install();
    report::run(&[gdt::CHECKS, ldt::CHECKS]);
}

/// Descriptors, as the processor defines them; flat.
mod descriptor {
    /// 64-bit code of a privilege level.
    pub const fn code64(dpl: u64) -> u64 {
        0x00af_9b00_0000_ffff | dpl << 45
    }

    /// Data of a privilege level.
    pub const fn data(dpl: u64) -> u64 {
        0x00cf_9300_0000_ffff | dpl << 45
    }

    /// A system descriptor: type, privilege level, and a selector where gates have theirs.
    pub const fn system(kind: u64, dpl: u64, selector: u64) -> u64 {
        1 << 47 | dpl << 45 | kind << 40 | selector << 16
    }
}
