//! What a scheduling policy is asked and told: the seam behind which policies can be exchanged.

use crate::ids::{CpuId, DomId, VcpuRef};

/// The weight of a domain that was given none, as in Xen's credit schedulers.
pub const DEFAULT_WEIGHT: u32 = 256;

/// The heaviest weight, as in Xen's credit schedulers.
pub const MAX_WEIGHT: u32 = 65535;

/// Decides who runs next. It keeps the queue of those that could run and do not; the mechanism tells it of every change.
///
/// Times are nanoseconds. Every call takes a bounded number of steps and no memory.
pub trait Scheduler {
    /// A domain with this number begins or ends: forgets all about it.
    fn reset(&mut self, domain: DomId);
    /// How much time a domain gets in relation to others: 1 to [`MAX_WEIGHT`], clamped.
    fn set_weight(&mut self, domain: DomId, weight: u32);
    /// How much time a domain gets in relation to others.
    fn weight(&self, domain: DomId) -> u32;
    /// A vCPU that does not run could run: queue it.
    fn ready(&mut self, vcpu: VcpuRef);
    /// A queued vCPU cannot run any more: take it out.
    fn unready(&mut self, vcpu: VcpuRef);
    /// Who shall run on a CPU and for how long; whoever is chosen leaves the queue. `None` if the queue is empty.
    fn pick(&mut self, cpu: CpuId, now: u64) -> Option<(VcpuRef, u64)>;
    /// A vCPU has run this long.
    fn charge(&mut self, vcpu: VcpuRef, ran: u64);
    /// A running vCPU offers its place: others in the queue go first.
    fn give_way(&mut self, vcpu: VcpuRef);
    /// Whether a vCPU that was just made ready should take the place of one that has run for `ran` so far, and after how long a run of that one.
    fn preempts(&self, ready: VcpuRef, running: VcpuRef, ran: u64) -> Option<u64>;
}
