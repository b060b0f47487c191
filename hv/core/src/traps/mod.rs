//! Traps: how exceptions, events and system calls reach a guest, and how it comes back.
//!
//! A fault of a guest is first looked at by [`exception`]: some are the hypervisor's to resolve (an emulated instruction, a write to a
//! page table, an LDT page), the rest go to the handler that the guest registered, through [`bounce`]. [`enter`] is the door from
//! the shell, [`leave`] what is looked at on every way back.

pub mod bounce;
mod deliver;
mod enter;
mod exception;
mod fetch;
mod leave;
pub mod mode;
mod page_fault;
mod privileged;
mod registers;

pub use deliver::{deliver_trap, raise};
pub use enter::{ExceptionInfo, exception_entry, system_call};
pub use exception::bad_return;
pub use leave::{Way, leave, quiet};
