//! What the hypervisor knows of each physical CPU.

use crate::ids::VcpuRef;

/// One physical CPU's state. All zero is a CPU that runs nothing.
#[derive(Clone, Copy, Default)]
pub struct Cpu {
    /// The vCPU whose state the hardware holds.
    pub current: Option<VcpuRef>,
    /// Someone woke up, was paused, or a slice ended: choose anew before returning to a guest.
    pub reschedule: bool,
}
