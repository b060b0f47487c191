//! The guest ABI as data: numbers, layouts and flags that a hypervisor and its guests must agree on.
//!
//! It exists so that the hypervisor, the guest SDK, Dom0 and the tests read every number from one place. The numbers are those of
//! Xen's public headers (each module names its header); [`control`] alone is Domus's own.
//!
//! Layouts are `#[repr(C)]` structs of raw integers with every padding byte named, so that any bytes a guest supplies are a valid value
//! and a value can be written out whole. Size and offset of every field are asserted at compile time. Guest pointers are `u64`:
//! an address that a guest names is a claim to be checked, not something to dereference.
#![no_std]
#![forbid(unsafe_code)]

pub use zerocopy;

#[macro_use]
mod layout_macro;

pub mod blkif;
pub mod callback;
pub mod console;
pub mod context;
pub mod control;
pub mod domid;
pub mod elfnote;
pub mod errno;
pub mod event;
pub mod features;
pub mod grant;
pub mod hypercall;
pub mod layout;
pub mod memory;
pub mod mmu;
pub mod multicall;
pub mod physdev;
pub mod platform;
pub mod pvh;
pub mod ring;
pub mod sched;
pub mod segment;
pub mod shared_info;
pub mod start_info;
pub mod trap;
pub mod vcpu;
pub mod version;
pub mod vm_assist;
pub mod xenbus;
pub mod xenstore;

pub use domid::DomId;
pub use errno::Errno;
