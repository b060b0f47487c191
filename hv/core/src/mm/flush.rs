//! Which CPUs may hold translations of a domain, and flushing them.
//!
//! No translation of a guest survives a load of CR3 (there are no global ones), so only CPUs whose hardware holds one of the domain's
//! vCPUs have any.

use crate::hypervisor::Hypervisor;
use crate::ids::{CpuMask, DomId, VcpuRef};
use crate::machine::{Flush, Machine};

impl<M: Machine> Hypervisor<M> {
    /// The CPUs that may hold translations of the domain.
    pub fn cpus_of(&self, domain: DomId) -> CpuMask {
        self.cpus_where(|vcpu| vcpu.domain == domain)
    }

    /// The CPUs that may hold translations of those vCPUs of the domain that are in `vcpus`, a bit for each.
    pub fn cpus_of_vcpus(&self, domain: DomId, vcpus: u64) -> CpuMask {
        self.cpus_where(|vcpu| vcpu.domain == domain && vcpu.vcpu < 64 && vcpus >> vcpu.vcpu & 1 != 0)
    }

    /// Flushes those CPUs.
    pub fn flush(&mut self, cpus: CpuMask, what: Flush) {
        self.frames.flush(&self.machine, cpus, what);
    }

    fn cpus_where(&self, wanted: impl Fn(VcpuRef) -> bool) -> CpuMask {
        let mut mask = 0;
        let mut rest = self.frames.clock.online().0;
        while rest != 0 {
            let cpu = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if self.cpus[cpu].current.is_some_and(&wanted) {
                mask |= 1 << cpu;
            }
        }
        CpuMask(mask)
    }
}
