//! Giving up the processor: block until an event, poll ports, yield.
//!
//! No wake-up is lost because the order is always the same: first the vCPU is marked as blocked, then what it waits for is looked at,
//! and if that has happened already the mark is taken back. Whoever makes it happen later finds the mark and wakes it.

use abi::errno::Errno;

use crate::events;
use crate::hypervisor::Hypervisor;
use crate::ids::{CpuId, DomId, VcpuRef};
use crate::machine::Machine;

use super::policy::Scheduler;
use super::state::POLL_ANY;
use super::upcall;

impl<M: Machine> Hypervisor<M> {
    /// Unmasks the upcalls of a running vCPU and blocks it until one is pending (`SCHEDOP_block`).
    #[inline]
    pub fn block(&mut self, who: VcpuRef) {
        if let Some(vcpu) = self.vcpu(who) {
            upcall::unmask(&self.machine, vcpu);
        }
        self.block_as_masked(who);
    }

    /// Blocks a running vCPU until an upcall can be delivered; the mask stays as it is (an emulated HLT).
    #[inline]
    pub fn block_as_masked(&mut self, who: VcpuRef) {
        self.set_blocked(who, true);
        if self.deliverable(who) {
            self.set_blocked(who, false);
        } else {
            self.reconsider(who);
        }
    }

    /// Blocks a running vCPU until one of `ports` is pending, masked or not, or an upcall can be delivered (`SCHEDOP_poll`).
    /// The caller arms the time-out. True if it is blocked now.
    ///
    /// # Errors
    /// -EINVAL for a port that the domain does not have. The vCPU is not blocked then.
    pub fn poll(&mut self, who: VcpuRef, ports: &[u32]) -> Result<bool, Errno> {
        self.set_blocked(who, true);
        let answered = self.poll_answered(who, ports);
        if answered != Ok(false) {
            self.set_blocked(who, false);
            return answered.map(|_| false);
        }
        if let Some(vcpu) = self.vcpu_mut(who) {
            vcpu.sched.poll_port = if let [port] = *ports { port } else { POLL_ANY };
        }
        if let Some(domain) = self.domains.get_mut(who.domain) {
            domain.events.pollers |= 1 << (u32::from(who.vcpu) % u32::BITS);
        }
        self.reconsider(who);
        Ok(true)
    }

    /// A port of a domain became pending, masked or not: wakes the vCPUs that poll it.
    pub fn wake_pollers(&mut self, domain: DomId, port: u32) {
        let mut pollers = self.domains.get(domain).map_or(0, |domain| domain.events.pollers);
        while pollers != 0 {
            let who = VcpuRef { domain, vcpu: pollers.trailing_zeros() as u16 };
            pollers &= pollers - 1;
            if self.vcpu(who).is_some_and(|vcpu| vcpu.sched.poll_port == port || vcpu.sched.poll_port == POLL_ANY) {
                self.wake(who);
            }
        }
    }

    /// True if a vCPU sleeps in a poll.
    pub fn polls(&self, who: VcpuRef) -> bool {
        let pollers = self.domains.get(who.domain).map_or(0, |domain| domain.events.pollers);
        pollers & (1 << (u32::from(who.vcpu) % u32::BITS)) != 0
    }

    /// Others may run before the caller does (`SCHEDOP_yield`).
    pub fn give_way(&mut self, cpu: CpuId, who: VcpuRef) {
        self.scheduler.give_way(who);
        self.choose_anew(cpu);
    }

    fn poll_answered(&self, who: VcpuRef, ports: &[u32]) -> Result<bool, Errno> {
        if self.deliverable(who) {
            return Ok(true);
        }
        for &port in ports {
            if events::is_pending(self, who.domain, port)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn deliverable(&self, who: VcpuRef) -> bool {
        self.vcpu(who).is_some_and(|vcpu| upcall::deliverable(&self.machine, vcpu))
    }

    fn set_blocked(&mut self, who: VcpuRef, blocked: bool) {
        if let Some(vcpu) = self.vcpu_mut(who) {
            vcpu.sched.blocked = blocked;
        }
    }
}
