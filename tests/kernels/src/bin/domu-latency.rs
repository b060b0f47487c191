//! Times requests to xenstore, each time that Dom0 writes to `data/measure`: alone first, then beside whatever else runs. One that floods must not
//! make the others wait more than twice as long.
#![no_std]
#![no_main]

extern crate alloc;

use pv_guest_sdk::hypercall::Result;
use pv_guest_sdk::xenstore::{self, Transaction};
use pv_guest_sdk::{BootInfo, entry, println, time};

entry!(main);

/// So many that a domain which floods gets its share of the processor meanwhile.
const REQUESTS: usize = 4000;
const NODE: &str = "data/measure";

fn main(_info: &'static BootInfo) {
    if let Err(error) = measure() {
        println!("failure: xenstore: {error}");
    }
}

fn measure() -> Result<()> {
    let mut idle = None;
    let mut number = 0;
    xenstore::watch(NODE, "")?;
    // A watch fires once at once.
    let mut buffer = [0; 256];
    xenstore::wait_watch_event(&mut buffer)?;
    println!("domu-latency: ready");
    loop {
        xenstore::wait_watch_event(&mut buffer)?;
        let (usual, most) = ask()?;
        println!("domu-latency: {usual} ns a request, {most} ns at most");
        match idle {
            None => idle = Some(usual),
            Some(idle) if usual <= 2 * idle => println!("#{number}: success"),
            Some(idle) => println!("#{number}: failure, {usual} ns is more than twice {idle} ns"),
        }
        number += 1;
    }
}

/// The median and the longest time of a request, in nanoseconds. The median, since whoever shares a processor must let others run now and then.
fn ask() -> Result<(u64, u64)> {
    let mut took = alloc::vec![0; REQUESTS];
    for took in &mut took {
        let mut value = [0; 64];
        let before = time::now();
        xenstore::read(Transaction::NONE, "name", &mut value)?;
        *took = time::now() - before;
    }
    took.sort_unstable();
    Ok((took[REQUESTS / 2], took[REQUESTS - 1]))
}
