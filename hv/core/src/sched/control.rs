//! What a control domain and a guest's own `vcpu_op` do to vCPUs: begin, up, down, pause, unpause, forget.

use abi::errno::Errno;

use crate::hypervisor::Hypervisor;
use crate::ids::{DomId, MAX_VCPUS, VcpuRef};
use crate::machine::Machine;

use super::policy::Scheduler;

impl<M: Machine> Hypervisor<M> {
    /// A new domain: no trace of an earlier one with its number is left. Before its first vCPU.
    pub fn begin_domain(&mut self, domain: DomId) {
        self.scheduler.reset(domain);
    }

    /// A new vCPU, offline: its account of time begins.
    pub fn begin_vcpu(&mut self, who: VcpuRef) {
        let now = self.machine.now();
        if let Some(vcpu) = self.vcpu_mut(who) {
            vcpu.sched.runstate.begin(now);
        }
    }

    /// Starts a vCPU (`VCPUOP_up`).
    ///
    /// # Errors
    /// -ENOENT if there is none, -EINVAL if it has no context yet.
    pub fn vcpu_up(&mut self, who: VcpuRef) -> Result<(), Errno> {
        let vcpu = self.vcpu_mut(who).ok_or(Errno::NOENT)?;
        if !vcpu.initialised {
            return Err(Errno::INVAL);
        }
        vcpu.sched.online = true;
        self.reconsider(who);
        Ok(())
    }

    /// Stops a vCPU (`VCPUOP_down`). The last one takes the domain with it, as a power-off.
    ///
    /// # Errors
    /// -ENOENT if there is none.
    pub fn vcpu_down(&mut self, who: VcpuRef) -> Result<(), Errno> {
        let domain = self.domains.get(who.domain).ok_or(Errno::NOENT)?;
        domain.vcpu(who.vcpu).ok_or(Errno::NOENT)?;
        let others = domain.vcpus.iter().flatten().any(|vcpu| vcpu.id != who.vcpu && vcpu.sched.online);
        if !others {
            self.shut_down(who.domain, abi::sched::SHUTDOWN_POWEROFF);
            return Ok(());
        }
        if let Some(vcpu) = self.vcpu_mut(who) {
            vcpu.sched.online = false;
        }
        self.reconsider(who);
        Ok(())
    }

    /// Keeps a domain from running until [`Hypervisor::unpause`]. A vCPU that runs stops before it returns to the guest.
    ///
    /// # Errors
    /// -ESRCH if there is no such domain.
    pub fn pause(&mut self, domain: DomId) -> Result<(), Errno> {
        self.domains.get_mut(domain).ok_or(Errno::SRCH)?.paused = true;
        self.reconsider_domain(domain);
        Ok(())
    }

    /// Lets a paused domain run.
    ///
    /// # Errors
    /// -ESRCH if there is no such domain.
    pub fn unpause(&mut self, domain: DomId) -> Result<(), Errno> {
        self.domains.get_mut(domain).ok_or(Errno::SRCH)?.paused = false;
        self.reconsider_domain(domain);
        Ok(())
    }

    /// Sets how much processor time a domain gets in relation to others (256 is the normal weight).
    ///
    /// # Errors
    /// -ESRCH if there is no such domain.
    pub fn set_weight(&mut self, domain: DomId, weight: u32) -> Result<(), Errno> {
        self.domains.get(domain).ok_or(Errno::SRCH)?;
        self.scheduler.set_weight(domain, weight);
        Ok(())
    }

    /// True if a CPU runs a vCPU of this domain: its teardown must wait.
    pub fn runs(&self, domain: DomId) -> bool {
        self.domains.get(domain).is_some_and(|domain| domain.vcpus.iter().flatten().any(|vcpu| vcpu.sched.running))
    }

    /// Nanoseconds of processor time that a domain has used.
    pub fn processor_time(&self, domain: DomId) -> u64 {
        let now = self.machine.now();
        let vcpus = self.domains.get(domain).into_iter().flat_map(|domain| domain.vcpus.iter().flatten());
        vcpus.map(|vcpu| vcpu.sched.runstate.ran(now)).sum()
    }

    /// Takes a dying domain's vCPUs out of the queue, for good. Before the domain leaves the table; `dying` must be set.
    pub fn retire_domain(&mut self, domain: DomId) {
        debug_assert!(self.domains.get(domain).is_some_and(|domain| domain.dying));
        for vcpu in 0..MAX_VCPUS as u16 {
            self.reconsider(VcpuRef { domain, vcpu });
        }
        self.scheduler.reset(domain);
    }
}
