//! What Dom0 decides, apart from the machine it runs on.
//!
//! The control domain serves guests that may be hostile and an operator who may mistype. Everything here that judges their input is
//! plain data in, plain data out: no device, no clock, no hypercall. So it is tested on the host, and the kernel that drives it
//! (package `domus-dom0`) only moves bytes between rings, frames and these functions.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod blkback;
pub mod block;
pub mod commands;
pub mod config;
pub mod console;
pub mod exec;
pub mod ext4;
pub mod fs;
pub mod image;
pub mod map;
mod nearest;
pub mod partitions;
pub mod pci;
pub mod qcow2;
pub mod render;
pub mod storage;
pub mod toolstack;
pub mod virtio;
pub mod xenstore;
