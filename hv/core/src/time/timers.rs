//! The timers of vCPUs: setting, firing, and when this CPU needs its next interrupt.
//!
//! The periodic timer only ticks while its vCPU runs (as on Xen: a vCPU that blocks is not woken by it), so it needs no place in the
//! queue: it is looked at when the vCPU begins to run and when an interrupt of the CPU that runs it is due.

use abi::event::VIRQ_TIMER;

use crate::events;
use crate::hypervisor::Hypervisor;
use crate::ids::{CpuId, DomId, MAX_VCPUS, VcpuRef};
use crate::machine::Machine;

use super::queue::NEVER;
use super::watchdog::WATCHDOGS;

/// How many domains' deadlines one call serves: what is left makes the next interrupt come at once.
const BATCH: usize = 64;

/// `set_timer_op` takes a time further ahead than this (2^50 ns, 13 days) for an error of the guest's arithmetic, as Xen does.
const HUGE: u64 = 1 << 50;

/// What it does then: fire in 100 ms.
const SOON: u64 = 100_000_000;

impl<M: Machine> Hypervisor<M> {
    /// Sets the one-shot timer of a vCPU to fire at `deadline` (ns since boot), at once if that has passed.
    pub fn set_singleshot(&mut self, who: VcpuRef, deadline: u64) {
        if deadline <= self.machine.now() {
            self.set_deadlines(who, |time| time.singleshot = 0);
            events::send_virq(self, who, VIRQ_TIMER);
        } else {
            self.set_deadlines(who, |time| time.singleshot = deadline.min(NEVER));
        }
    }

    /// Stops the one-shot timer of a vCPU.
    pub fn stop_singleshot(&mut self, who: VcpuRef) {
        self.set_deadlines(who, |time| time.singleshot = 0);
    }

    /// The one-shot timer as `set_timer_op` sets it: 0 stops it, a time beyond reason fires soon.
    pub fn set_timer(&mut self, who: VcpuRef, deadline: u64) {
        let now = self.machine.now();
        if deadline == 0 {
            self.stop_singleshot(who);
        } else if deadline.saturating_sub(now) >= HUGE {
            self.set_singleshot(who, now.saturating_add(SOON));
        } else {
            self.set_singleshot(who, deadline);
        }
    }

    /// Sets when the poll of a blocked vCPU gives up (ns since boot); `None` is never.
    pub fn set_poll_timeout(&mut self, who: VcpuRef, deadline: Option<u64>) {
        self.set_deadlines(who, |time| time.poll_timeout = deadline.map_or(0, |deadline| deadline.clamp(1, NEVER)));
    }

    /// Sets the period of the periodic timer in nanoseconds, or stops it.
    pub fn set_periodic(&mut self, who: VcpuRef, period: Option<u64>) {
        let now = self.machine.now();
        if let Some(vcpu) = self.vcpu_mut(who) {
            vcpu.time.periodic_stopped = period.is_none();
            vcpu.time.period_set = period.unwrap_or(0);
            vcpu.time.ticked = now;
        }
    }

    /// When `cpu` needs an interrupt (ns since boot): the end of a slice, a tick of the vCPU that runs there, or a deadline.
    #[inline]
    pub fn next_deadline(&self, cpu: CpuId) -> Option<u64> {
        let state = self.cpus.get(cpu)?;
        let timers = self.timers.earliest();
        let Some(who) = state.running else { return timers };
        let slice = timers.map_or(state.slice_end, |timers| timers.min(state.slice_end));
        let tick = self.vcpu(who).and_then(|vcpu| vcpu.time.next_tick());
        Some(tick.map_or(slice, |tick| tick.min(slice)))
    }

    /// Asks the machine for the interrupt that this CPU, which must be `cpu`, needs next. After `schedule`, and after timers changed. One
    /// that comes sooner is left as it is and asks again then: vCPUs take turns far more often than slices end, and the machine is slow to ask.
    #[inline]
    pub fn arm_timer(&mut self, cpu: CpuId) {
        let next = self.next_deadline(cpu);
        let enough = |armed: Option<u64>| armed == next || armed.zip(next).is_some_and(|(armed, next)| armed < next);
        if let Some(state) = self.cpus.get_mut(cpu).filter(|state| !enough(state.armed)) {
            state.armed = next;
            self.machine.set_timer(next);
        }
    }

    /// The timer interrupt of `cpu`, at `now` (ns since boot): fires what is due, ends the slice if it is over, arms the next.
    pub fn timer_interrupt(&mut self, cpu: CpuId, now: u64) {
        if let Some(state) = self.cpus.get_mut(cpu) {
            state.armed = None;
        }
        self.expire(now);
        self.tick_running(cpu, now);
        if self.cpus.get(cpu).is_some_and(|state| state.running.is_some() && state.slice_end <= now) {
            self.cpus[cpu].reschedule = true;
        }
        self.arm_timer(cpu);
    }

    /// Fires every deadline at or before `now`, at most [`BATCH`] domains' of them.
    pub fn expire(&mut self, now: u64) {
        for _ in 0..BATCH {
            let Some(domain) = self.timers.due(now) else { return };
            self.expire_domain(domain, now);
        }
    }

    /// Forgets the timers of a domain that ends.
    pub fn forget_timers(&mut self, domain: DomId) {
        self.timers.set(domain, None);
        if let Some(state) = self.domains.get_mut(domain) {
            state.time.deadlines = [0; MAX_VCPUS];
            state.time.watchdogs = [0; WATCHDOGS];
        }
    }

    /// Fires the periodic timer of the vCPU that runs on `cpu`, if it is due.
    pub fn tick_running(&mut self, cpu: CpuId, now: u64) {
        let Some(who) = self.cpus.get(cpu).and_then(|state| state.running) else { return };
        let Some(vcpu) = self.vcpu_mut(who) else { return };
        if vcpu.time.next_tick().is_some_and(|tick| tick <= now) {
            vcpu.time.ticked = now;
            events::send_virq(self, who, VIRQ_TIMER);
        }
    }

    fn expire_domain(&mut self, domain: DomId, now: u64) {
        let Some(state) = self.domains.get(domain) else {
            return self.timers.set(domain, None);
        };
        let deadlines = state.time.deadlines;
        for (vcpu, _) in deadlines.iter().enumerate().filter(|&(_, &deadline)| deadline != 0 && deadline <= now) {
            self.expire_vcpu(VcpuRef { domain, vcpu: vcpu as u16 }, now);
        }
        self.expire_watchdogs(domain, now);
    }

    fn expire_vcpu(&mut self, who: VcpuRef, now: u64) {
        let is_due = |deadline: u64| deadline != 0 && deadline <= now;
        let Some(time) = self.vcpu(who).map(|vcpu| &vcpu.time) else {
            return self.note_deadline(who, 0);
        };
        let (singleshot, poll) = (is_due(time.singleshot), is_due(time.poll_timeout));
        self.set_deadlines(who, |time| {
            time.singleshot = if singleshot { 0 } else { time.singleshot };
            time.poll_timeout = if poll { 0 } else { time.poll_timeout };
        });
        if singleshot {
            events::send_virq(self, who, VIRQ_TIMER);
        }
        if poll && self.polls(who) {
            self.wake(who);
        }
    }

    #[inline]
    fn set_deadlines(&mut self, who: VcpuRef, change: impl FnOnce(&mut super::VcpuTime)) {
        if let Some(vcpu) = self.vcpu_mut(who) {
            change(&mut vcpu.time);
            let deadline = vcpu.time.deadline();
            self.note_deadline(who, deadline);
        }
    }

    #[inline]
    fn note_deadline(&mut self, who: VcpuRef, deadline: u64) {
        let Some(domain) = self.domains.get_mut(who.domain) else { return };
        if let Some(place) = domain.time.deadlines.get_mut(usize::from(who.vcpu)).filter(|place| **place != deadline) {
            *place = deadline;
            let earliest = domain.time.earliest();
            self.timers.set(who.domain, earliest);
        }
    }
}
