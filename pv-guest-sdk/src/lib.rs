//! What a paravirtual guest kernel links: everything between "I want to write a kernel" and the kernel's own idea.
//!
//! A kernel is a `no_std` binary with a `main`:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//! use pv_guest_sdk::{BootInfo, entry, println};
//!
//! entry!(main);
//!
//! fn main(info: &'static BootInfo) {
//!     println!("hello, {} pages", info.nr_pages());
//! }
//! ```
//!
//! and a build script that asks for the linker script:
//! `println!("cargo::rustc-link-arg-bins=-Tpv-guest.ld"); println!("cargo::rustc-link-arg-bins=--no-pie");`.
//! Build it for `x86_64-unknown-none`; no further flags are needed. The same ELF runs as a domain of Domus and of Xen.
//!
//! The SDK drives one vCPU. Handlers of events and traps run on the kernel's stack with events masked; data shared with them goes
//! into a [`sync::IrqMutex`]. There is no FPU or SSE in such a kernel.
//!
//! Addresses: the image and all memory up to 1.75 GiB lie at [`memory::LINEAR_BASE`] + pseudo-physical address; what is mapped later
//! (grants, other domains' frames) lies in the window area at [`memory::WINDOW_BASE`].
#![no_std]

#[cfg(any(feature = "alloc", feature = "block"))]
extern crate alloc;

pub use abi;

#[cfg(feature = "block")]
pub mod block;
pub mod boot_info;
pub mod console;
pub mod control;
mod entry;
pub mod events;
pub mod grants;
#[cfg(feature = "alloc")]
pub mod heap;
pub mod hypercall;
pub mod memory;
#[cfg(feature = "panic-handler")]
mod panic;
pub mod ring;
mod shared;
pub mod shutdown;
pub mod sync;
pub mod task;
pub mod time;
pub mod traps;
pub mod xenbus;
pub mod xenstore;

pub use boot_info::BootInfo;
