//! What the operations of the guest ABI cost, in instructions: run under `-icount shift=0,sleep=off`, where the TSC counts them.
//!
//! Each operation runs in a loop; the loop's own cost, measured the same way, is taken off, and the median of several runs is printed as
//! `domus-bench: NAME: INSTRUCTIONS`. Entry points are a few instructions of assembly, so that the figures are the hypervisor's and
//! not the guest's. The same ELF runs on both hypervisors.
#![no_std]
#![no_main]

mod calls;
mod channels;
mod count;
mod entries;
mod sharing;
mod switches;
mod tables;

use pv_guest_sdk::{BootInfo, entry, println};

entry!(main);

/// Takes the time of one operation.
type Measure = fn() -> u64;

/// The first twelve are those that Xen's figures are known for, in the same form; the others tell what a figure consists of, or what a
/// heavier form of the same operation needs.
const OPERATIONS: &[(&str, Measure)] = &[
    ("null hypercall", calls::null),
    ("user syscall and back", switches::user_syscall),
    ("exception and back", switches::exception),
    ("unmap, page fault, map and return", switches::page_fault),
    ("PTE update, single", tables::single),
    ("PTE update, in a batch", tables::batch),
    ("emulated PTE write", tables::emulated),
    ("CR3 load", tables::cr3),
    ("event send", channels::send),
    ("event to handler", channels::to_handler),
    ("grant map and unmap", sharing::map_and_unmap),
    ("grant copy", sharing::copy),
    ("null hypercall in a multicall", calls::in_multicall),
    ("user syscall and back, by SYSRET", switches::user_syscall_sysret),
    ("user breakpoint and back", switches::user_exception),
    ("invalid opcode and back", switches::invalid_opcode),
    ("PTE update by mmu_update", tables::mmu_update),
    ("PTE update to another frame", tables::other_frame),
    ("CR3 load, another table", tables::other_cr3),
    ("event send, self", channels::send_masked),
    ("grant copy from a grant", sharing::copy_granted),
    ("grant copy from a grant, a page", sharing::copy_granted_page),
    ("grant map and unmap, one of 32", sharing::map_and_unmap_batch),
    ("grant copy from a grant, one of 32", sharing::copy_batch),
];

fn main(_info: &'static BootInfo) {
    entries::install();
    count::calibrate();
    for (name, measure) in OPERATIONS {
        println!("domus-bench: {name}: {}", measure());
    }
}
