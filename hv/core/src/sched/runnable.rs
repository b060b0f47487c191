//! Which vCPUs may run: the facts, and the one place that acts on a change of them.

use abi::vcpu::{RUNSTATE_BLOCKED, RUNSTATE_OFFLINE, RUNSTATE_RUNNABLE};

use crate::cpu::Cpu;
use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::ids::{CpuId, DomId, MAX_VCPUS, VcpuRef};
use crate::machine::Machine;
use crate::vcpu::Vcpu;

use super::policy::Scheduler;

/// True if nothing in the domain keeps its vCPUs from running.
pub fn domain_may_run(domain: &Domain) -> bool {
    !(domain.paused || domain.shut_down || domain.dying)
}

/// True if nothing in the vCPU keeps it from running.
pub fn vcpu_may_run(vcpu: &Vcpu) -> bool {
    vcpu.initialised && vcpu.sched.online && !vcpu.sched.blocked
}

impl<M: Machine> Hypervisor<M> {
    /// True if a vCPU exists and nothing keeps it from running.
    pub fn may_run(&self, who: VcpuRef) -> bool {
        let Some(domain) = self.domains.get(who.domain) else {
            return false;
        };
        domain_may_run(domain) && domain.vcpu(who.vcpu).is_some_and(vcpu_may_run)
    }

    /// Wakes a vCPU that is blocked or polls; one that runs on another CPU is made to look for events. No effect on others.
    #[inline]
    pub fn wake(&mut self, who: VcpuRef) {
        let Some(domain) = self.domains.get_mut(who.domain) else { return };
        let Some(vcpu) = domain.vcpus.get_mut(usize::from(who.vcpu)).and_then(Option::as_deref_mut) else { return };
        let was_blocked = vcpu.sched.blocked;
        if was_blocked {
            vcpu.sched.blocked = false;
            domain.events.pollers &= !(1 << (u32::from(who.vcpu) % u32::BITS));
        }
        if vcpu.sched.running {
            self.machine.kick(CpuId::from(vcpu.sched.cpu));
        } else if was_blocked {
            self.reconsider(who);
        }
    }

    /// After anything changed that decides whether a vCPU may run: moves it in or out of the queue, or makes its CPU choose anew.
    pub fn reconsider(&mut self, who: VcpuRef) {
        let may_run = self.may_run(who);
        let now = self.machine.now();
        let Some(vcpu) = self.vcpu_mut(who) else { return };
        let sched = &mut vcpu.sched;
        if sched.running {
            let cpu = CpuId::from(sched.cpu);
            if !may_run {
                self.choose_anew(cpu);
            }
            return;
        }
        let waits = if sched.blocked { RUNSTATE_BLOCKED } else { RUNSTATE_OFFLINE };
        sched.runstate.enter(if may_run { RUNSTATE_RUNNABLE } else { waits }, now);
        if may_run == sched.queued {
            return;
        }
        sched.queued = may_run;
        if may_run {
            self.scheduler.ready(who);
            self.find_cpu_for(who, now);
        } else {
            self.scheduler.unready(who);
        }
    }

    /// [`Hypervisor::reconsider`] for all vCPUs of a domain.
    pub fn reconsider_domain(&mut self, domain: DomId) {
        for vcpu in 0..MAX_VCPUS as u16 {
            self.reconsider(VcpuRef { domain, vcpu });
        }
    }

    /// Makes a CPU choose who runs before it returns to a guest.
    pub fn choose_anew(&mut self, cpu: CpuId) {
        if let Some(state) = self.cpus.get_mut(cpu) {
            state.reschedule = true;
            self.machine.kick(cpu);
        }
    }

    /// Interrupts the CPU that should run a vCPU which has just become ready: an idle one, else one whose vCPU it preempts.
    fn find_cpu_for(&mut self, who: VcpuRef, now: u64) {
        let active = || self.cpus.iter().enumerate().take_while(|(_, cpu)| cpu.active).filter(|(_, cpu)| !cpu.reschedule);
        if let Some((idle, _)) = active().find(|(_, cpu)| cpu.running.is_none()) {
            return self.choose_anew(idle);
        }
        let when = |cpu: &Cpu| Some(cpu.since.saturating_add(self.scheduler.preempts(who, cpu.running?, now.saturating_sub(cpu.since))?));
        let chosen = active().find_map(|(cpu, state)| Some((cpu, when(state)?)));
        if let Some((cpu, at)) = chosen {
            self.give_up_at(cpu, at, now);
        }
    }

    /// Has a CPU choose anew at a time, or at once if that has passed, or if its timer cannot be set from here.
    fn give_up_at(&mut self, cpu: CpuId, at: u64, now: u64) {
        if at <= now || cpu != self.machine.this_cpu() {
            self.choose_anew(cpu);
        } else if at < self.cpus[cpu].slice_end {
            self.cpus[cpu].slice_end = at;
            self.arm_timer(cpu);
        }
    }
}
