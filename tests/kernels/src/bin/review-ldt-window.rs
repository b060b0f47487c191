//! A guest that reads where the hypervisor shows the processor its LDT: it faults like any address that is not its own, even where its LDT
//! has a page.
#![no_std]
#![no_main]

use domus_test_kernels::report::{self, Check, Outcome};
use domus_test_kernels::scratch::{Page, ext};
use domus_test_kernels::{probe, same, trap};
use pv_guest_sdk::abi::mmu::EXT_SET_LDT;
use pv_guest_sdk::{BootInfo, entry};

entry!(main);

const CHECKS: &[Check] = &[("the window of the LDT is the hypervisor's", window)];

/// The LDT of the first CPU, as Domus has it; on Xen an address of the hypervisor likewise.
const WINDOW: u64 = 0xffff_8200_0001_0000;

fn main(_info: &'static BootInfo) {
    probe::install();
    report::run(&[CHECKS]);
}

fn window() -> Outcome {
    let page = Page::new();
    let _ = page.protect();
    same!(ext(EXT_SET_LDT, page.address, 512), Ok(()));
    let trap = trap!("mov al, [{}]", in(reg) WINDOW, out("al") _);
    same!(ext(EXT_SET_LDT, 0, 0), Ok(()));
    same!(trap.kind().0, 14);
    same!(trap.cr2, WINDOW);
    same!(page.unprotect(), Ok(()));
    Ok(())
}
