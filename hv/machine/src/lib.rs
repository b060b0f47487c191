//! What touches the machine: all of the hypervisor's unsafe code, and no policy.
//!
//! [`machine::X86`] implements the seam of `hv-core`. The other modules are one piece of hardware each. Boot goes from
//! [`boot`] (32-bit) through [`start`] (64-bit, on the boot stack) to the function that `hv` names in [`handlers!`].
//!
//! Invariants that the SAFETY comments argue from:
//! - *Slots*: every top-level page table that is ever loaded has the hypervisor's entries in slots 256-271 ([`paging::fill_slots`]).
//! - *Direct map*: every frame of RAM is mapped at [`layout::direct_frame`]; frame numbers come from the frame table, which holds only RAM.
//! - *Device page*: each CPU has a page for device registers, which [`paging::device_page`] points at an address that is no RAM.
//! - *Interrupts off*: in the hypervisor, except in [`processor::halt`], so per-CPU data has one user at a time.
//! - *Copies*: guests' memory is touched only word by word as atomics, or by [`uaccess`].
#![no_std]

pub mod apic;
mod boot;
pub mod clock;
pub mod descriptors;
pub mod entry;
pub mod firmware;
pub mod layout;
pub mod lock;
pub mod log;
pub mod machine;
pub mod msr;
pub mod paging;
pub mod percpu;
pub mod port;
pub mod power;
pub mod processor;
pub mod pvh;
mod rtc;
pub mod serial;
mod start;
pub mod tlb;
pub mod uaccess;

pub use abi::context::CpuUserRegs;
pub use hv_core::machine::Level;
pub use machine::X86;
use start::start;

/// Ends everything after an exception in the hypervisor itself: a bug of ours.
fn panic_exception(regs: &CpuUserRegs) -> ! {
    panic!(
        "exception {} (error {:#x}) in the hypervisor at {:#x}, rsp {:#x}, fault address {:#x}",
        regs.entry_vector,
        regs.error_code,
        regs.rip,
        regs.rsp,
        processor::fault_address(),
    )
}
