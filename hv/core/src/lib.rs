//! The rules of the hypervisor: everything that decides, nothing that touches the machine.
//!
//! A rule that lives here is tested on the host. What it needs of the hardware goes through one seam, [`machine::Machine`], which
//! `hv/machine` implements on x86-64 and [`fake`] implements on the host, walking page tables as the MMU would. Data flows one way:
//! `hypercalls` decode a guest's request and call into the subjects (`mm`, `events`, `grants`, ...), which know nothing of hypercalls.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "fake"))]
extern crate std;

pub mod build;
pub mod call;
pub mod console;
pub mod context;
pub mod cpu;
pub mod devices;
pub mod domain;
pub mod hypercalls;
pub mod hypervisor;
pub mod ids;
pub mod keyed_heap;
pub mod machine;
pub mod objects;
pub mod platform;
pub mod vcpu;

pub mod emulate;
pub mod events;
pub mod firmware;
pub mod frames;
pub mod grants;
pub mod lifecycle;
pub mod mm;
pub mod sched;
pub mod time;
pub mod traps;

#[cfg(any(test, feature = "fake"))]
pub mod fake;
