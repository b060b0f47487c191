//! What the scheduler keeps in each vCPU and each domain.

use zerocopy::FromZeros;

use super::runstate::Runstate;

/// [`VcpuSched::poll_port`] of a vCPU that waits for more than one port.
pub const POLL_ANY: u32 = u32::MAX;

/// Of a vCPU. All zero is one that is offline and never ran; [`Runstate::begin`] starts its clock.
#[derive(FromZeros)]
#[repr(C)]
pub struct VcpuSched {
    /// The guest wants it to run (`VCPUOP_up`).
    pub online: bool,
    /// It waits for an event.
    pub blocked: bool,
    /// The policy has it in its queue.
    pub queued: bool,
    /// A CPU runs it; `cpu` says which.
    pub running: bool,
    /// The CPU that runs it, or ran it last.
    pub cpu: u16,
    /// The port that it polls, or [`POLL_ANY`]; valid if it is among the `pollers` of the domain's events.
    pub poll_port: u32,
    /// In which states it spent its time.
    pub runstate: Runstate,
}

/// Of a domain. All zero is right for a new one.
#[derive(FromZeros)]
#[repr(C)]
pub struct DomainSched {
    /// `SHUTDOWN_*` plus one if the reason of a later shutdown was latched (`SCHEDOP_shutdown_code`), else 0.
    pub latched_reason: u32,
}
