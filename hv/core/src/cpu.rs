//! What the hypervisor knows of each physical CPU.

use crate::ids::VcpuRef;

/// One physical CPU's state. All zero is a CPU that runs nothing.
#[derive(Clone, Copy, Default)]
pub struct Cpu {
    /// The vCPU whose state the hardware holds.
    pub current: Option<VcpuRef>,
    /// The vCPU whose turn it is, in the scheduler's accounts; none while the CPU idles.
    pub running: Option<VcpuRef>,
    /// Someone woke up, was paused, or a slice ended: choose anew before returning to a guest.
    pub reschedule: bool,
    /// It runs domains: it has asked the scheduler at least once.
    pub active: bool,
    /// When `running` began (ns since boot).
    pub since: u64,
    /// When its slice ends (ns since boot); `u64::MAX` while the CPU idles.
    pub slice_end: u64,
    /// How long it has idled (ns).
    pub idle_ns: u64,
    /// The deadline that the machine's timer is set to (ns since boot).
    pub armed: Option<u64>,
}

impl Cpu {
    /// A CPU that runs nothing.
    pub const IDLE: Cpu =
        Cpu { current: None, running: None, reschedule: false, active: false, since: 0, slice_end: 0, idle_ns: 0, armed: None };
}
