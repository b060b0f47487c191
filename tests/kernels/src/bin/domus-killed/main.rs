//! Domains are killed with their hands full, and every counter must then be what it was before they were made: grants that they had mapped,
//! channels that they had bound, a multicall that they were in the middle of, page tables of their own, and pages of theirs that others have
//! mapped, so that they cannot go at once.
//!
//! This is a first domain with nothing but the control ABI, which only Domus has: it makes its victims out of single pages.
#![no_std]
#![no_main]

mod books;
mod checks;
mod victim;

use domus_test_kernels::report;
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

fn main(_info: &'static BootInfo) {
    report::run(&[checks::CHECKS]);
}
