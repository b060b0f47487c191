//! The whole of the hypervisor's state, in one value: what a hypercall may read and change.
//!
//! Its fields are apart so that a rule borrows only what it uses: page-table code takes `machine` and `frames`, never `domains`.

use crate::cpu::Cpu;
use crate::domain::{Domain, DomainTable};
use crate::frames::Frames;
use crate::ids::{DomId, MAX_CPUS, VcpuRef};
use crate::machine::Machine;
use crate::sched::Policy;
use crate::vcpu::Vcpu;

/// Everything. One exists; the shell keeps it behind a lock.
pub struct Hypervisor<M: Machine> {
    /// The hardware.
    pub machine: M,
    /// The frame table and the allocator of free frames.
    pub frames: Frames,
    /// The domains.
    pub domains: DomainTable,
    /// Who runs next.
    pub scheduler: Policy,
    /// The physical CPUs.
    pub cpus: [Cpu; MAX_CPUS],
}

impl<M: Machine> Hypervisor<M> {
    /// A domain by number.
    pub fn domain(&self, id: DomId) -> Option<&Domain> {
        self.domains.get(id)
    }

    /// A vCPU by name.
    pub fn vcpu(&self, name: VcpuRef) -> Option<&Vcpu> {
        self.domains.get(name.domain)?.vcpu(name.vcpu)
    }

    /// A vCPU by name.
    pub fn vcpu_mut(&mut self, name: VcpuRef) -> Option<&mut Vcpu> {
        self.domains.get_mut(name.domain)?.vcpu_mut(name.vcpu)
    }
}
