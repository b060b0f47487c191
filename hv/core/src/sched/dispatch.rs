//! Choosing who runs on a CPU, and making sure that the answer is sound whatever the policy says.

use abi::vcpu::{RUNSTATE_BLOCKED, RUNSTATE_OFFLINE, RUNSTATE_RUNNABLE, RUNSTATE_RUNNING};

use crate::domain::DomainTable;
use crate::hypervisor::Hypervisor;
use crate::ids::{CpuId, VcpuRef};
use crate::machine::Machine;

use super::policy::Scheduler;
use super::runnable::{domain_may_run, vcpu_may_run};

/// Who shall run on a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// This vCPU. If it is not the one whose state the hardware holds (`cpus[cpu].current`), the shell exchanges them.
    Run(VcpuRef),
    /// Nobody: the shell halts until an interrupt.
    Idle,
}

/// How often a policy may answer with a vCPU that must not run, before the CPU idles instead.
const PATIENCE: usize = 8;

impl<M: Machine> Hypervisor<M> {
    /// Decides who runs on `cpu` from `now` (ns since boot) on, and does the accounts of who ran so far. Clears `reschedule`.
    ///
    /// The end of the slice is in `cpus[cpu].slice_end`: the shell arms its timer for [`Hypervisor::next_deadline`] afterwards.
    pub fn schedule(&mut self, cpu: CpuId, now: u64) -> Next {
        self.stop(cpu, now);
        let chosen = choose(&mut self.scheduler, &mut self.domains, cpu, now);
        let state = &mut self.cpus[cpu];
        state.active = true;
        state.reschedule = false;
        state.since = now;
        state.running = chosen.map(|(who, _)| who);
        state.slice_end = chosen.map_or(u64::MAX, |(_, slice)| now.saturating_add(slice));
        chosen.map_or(Next::Idle, |(who, _)| Next::Run(who))
    }

    /// Ends the turn of whoever runs on `cpu`: charges the time, and queues it again if it may run on.
    fn stop(&mut self, cpu: CpuId, now: u64) {
        let Some(who) = self.cpus[cpu].running.take() else { return };
        let ran = now.saturating_sub(self.cpus[cpu].since);
        let Some(domain) = self.domains.get_mut(who.domain) else { return };
        let domain_runs = domain_may_run(domain);
        let Some(vcpu) = domain.vcpu_mut(who.vcpu) else { return };
        self.scheduler.charge(who, ran);
        vcpu.sched.running = false;
        vcpu.sched.queued = domain_runs && vcpu_may_run(vcpu);
        let state = match (vcpu.sched.queued, vcpu.sched.blocked) {
            (true, _) => RUNSTATE_RUNNABLE,
            (false, true) => RUNSTATE_BLOCKED,
            (false, false) => RUNSTATE_OFFLINE,
        };
        vcpu.sched.runstate.enter(state, now);
        if vcpu.sched.queued {
            self.scheduler.ready(who);
        }
    }
}

/// Asks the policy until it names a vCPU that may run and that no CPU runs; marks that as running on `cpu`.
pub fn choose(policy: &mut impl Scheduler, domains: &mut DomainTable, cpu: CpuId, now: u64) -> Option<(VcpuRef, u64)> {
    for _ in 0..PATIENCE {
        let (who, slice) = policy.pick(cpu, now)?;
        let Some(domain) = domains.get_mut(who.domain) else { continue };
        let domain_runs = domain_may_run(domain);
        let Some(vcpu) = domain.vcpu_mut(who.vcpu) else { continue };
        vcpu.sched.queued = false;
        if vcpu.sched.running || !domain_runs || !vcpu_may_run(vcpu) {
            continue;
        }
        vcpu.sched.running = true;
        vcpu.sched.cpu = cpu as u16;
        vcpu.sched.runstate.enter(RUNSTATE_RUNNING, now);
        return Some((who, slice));
    }
    None
}
