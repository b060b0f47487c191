//! The smallest kernel: greets, then waits to be shut down.
#![no_std]
#![no_main]

use pv_guest_sdk::{BootInfo, entry, println, shutdown, xenstore};

entry!(main);

fn main(info: &'static BootInfo) {
    println!("Hello from a paravirtual kernel!");
    println!("command line: '{}'", info.command_line());
    if !xenstore::available() {
        println!("no xenstore here: powering off");
        return;
    }
    println!("waiting for control/shutdown");
    loop {
        match shutdown::wait_for_request() {
            Ok(request) => {
                println!("asked to end: {request:?}");
                shutdown::obey(request);
            }
            Err(error) => {
                println!("xenstore failed: {error}");
                shutdown::crash();
            }
        }
    }
}
