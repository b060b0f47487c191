//! Page tables: what a guest may put into them, and nothing else does.
//!
//! A guest's tables are walked by the processor as they stand, so each entry is checked before it can be walked, and everything that an
//! entry can reach is held by references for as long as the entry stands. Five rules make up the isolation:
//!
//! 1. An entry names only a frame of its own domain, or one that a privileged domain or a grant named explicitly; or, in an L1 table, device
//!    memory that its domain is permitted ([`device`]).
//! 2. A frame is of one type at a time: never writable by a guest and a page table (or descriptor table) at once. ([`types`])
//! 3. A table is of its type only when every entry of it has been checked: validated. ([`validate`])
//! 4. The hypervisor's own slots (256-271 of a top-level table) are written by the hypervisor alone.
//! 5. Before a frame gets another type or owner, no CPU holds a translation from before. ([`crate::frames::FlushClock`])
//!
//! Left out, and refused with -EINVAL: superpages, tables that name themselves or one of their own level ("linear page tables"), entries with
//! cache attributes, frames that are neither RAM nor permitted device memory (-EPERM). G is taken out of every entry that a guest sets: no translation of a guest outlives a
//! load of CR3. A non-present entry may hold anything: on processors with L1TF it can leak what the L1 cache holds, as the README says.
//!
//! Everything here works on [`Mm`], the machine and the frame table; only [`base`], [`ldt`] and [`ptwr`] know vCPUs.

pub mod base;
pub mod descriptor;
pub mod device;
pub mod entry;
pub mod flush;
pub mod granted;
pub mod ldt;
pub mod pin;
pub mod ptwr;
pub mod reservation;
pub mod teardown;
pub mod types;
pub mod update;
pub mod validate;
pub mod walk;

use abi::errno::Errno;

use crate::frames::Frames;
use crate::hypervisor::Hypervisor;
use crate::machine::Machine;

/// What page-table rules work with.
pub struct Mm<'a, M: Machine> {
    /// The hardware.
    pub machine: &'a M,
    /// The frame table.
    pub frames: &'a mut Frames,
}

/// Why something was not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// It is refused; nothing changed.
    Error(Errno),
    /// A slice of the work is done and kept: look for interrupts, [`Mm::settle`], and try the same again.
    Preempted,
}

impl From<Errno> for Stop {
    fn from(error: Errno) -> Self {
        Stop::Error(error)
    }
}

impl From<crate::machine::GuestFault> for Stop {
    fn from(_: crate::machine::GuestFault) -> Self {
        Stop::Error(Errno::FAULT)
    }
}

impl Stop {
    /// The errno for callers that cannot continue: -EAGAIN if there was more to do.
    pub fn errno(self) -> Errno {
        match self {
            Stop::Error(error) => error,
            Stop::Preempted => Errno::AGAIN,
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// The part that page-table rules work with.
    #[inline]
    pub fn mm(&mut self) -> Mm<'_, M> {
        Mm { machine: &self.machine, frames: &mut self.frames }
    }
}
