//! Dom0, the control domain: a kernel on the guest SDK whose tasks are the toolstack, xenstore, the console back ends and a shell.
//!
//! Everything that decides is in `domus-dom0-core`; this crate moves bytes between hypercalls, rings and those functions. All
//! `unsafe` is in [`hal`]. Tasks are cooperative; event handlers only wake them.
#![no_std]
#![no_main]

extern crate alloc;

mod blkback;
mod block;
mod devices;
mod domains;
mod files;
mod hal;
mod log;
mod power;
mod shell;
mod storage;
mod terminal;

use pv_guest_sdk::{BootInfo, entry};

entry!(main);

/// The boot order.
fn main(info: &'static BootInfo) {
    log::log!("Dom0 {} starting with {} MiB", env!("CARGO_PKG_VERSION"), info.nr_pages() / 256);
    files::init(info.module());
    terminal::init();
    hal::timer::init();
    devices::init();
    storage::init();
    hal::executor::run(|spawner| {
        spawner.spawn(block::interrupts::run().expect("it is spawned once"));
        domains::start(spawner);
        spawner.spawn(shell::run().expect("the first task fits"));
    })
}
