//! Writes to the hypervisor's log without end.
#![no_std]
#![no_main]

use pv_guest_sdk::{BootInfo, entry, hypercall, println};

entry!(main);

fn main(_info: &'static BootInfo) {
    println!("domu-log: begins");
    for _ in 0..100_000 {
        // What becomes of it is the hypervisor's to decide.
        let _ = hypercall::console_write(b"a line of no importance that nobody will miss, over and over again\n");
    }
    println!("domu-log: 100000 lines");
    loop {
        let _ = hypercall::console_write(b"no line end, ");
    }
}
