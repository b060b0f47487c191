//! The policy in use: every domain gets processor time in proportion to its weight, and whoever mostly sleeps runs at once when it wakes.
//!
//! Each domain has a *virtual time*, which grows while its vCPUs run, the slower the heavier the domain. The domain that is furthest behind
//! runs next; its vCPUs take turns. Time belongs to domains and not to vCPUs, so a guest gains nothing by having many vCPUs, and the
//! tables are as long as there can be domains: nothing here can run out.
//!
//! A domain that slept is not paid for all the time that it missed: when it wakes its virtual time is brought to at least
//! [`WAKE_CREDIT`] behind the others. That credit is what lets it preempt a domain that only computes, and it bounds how long it can
//! keep the processor because of it, so nobody starves.
//!
//! The control domain, which mostly sleeps, would so take the processor from a guest at the first of many things that it is asked for, and
//! give it back to be asked for the next: it lets a guest run for [`UNDISTURBED`] first.

use crate::ids::{CpuId, DOM0, DomId, MAX_DOMAINS, VcpuRef};
use crate::keyed_heap::{KeyedHeap, before, later};

use super::policy::{DEFAULT_WEIGHT, MAX_WEIGHT, Scheduler};

/// How long a vCPU runs if others wait: long enough that switching costs nothing to speak of.
pub const SLICE: u64 = 10_000_000;

/// The shortest slice, however many wait.
pub const MIN_SLICE: u64 = 1_000_000;

/// Everyone's turn should come within this time, as long as slices of [`MIN_SLICE`] allow it.
pub const ROUND: u64 = 40_000_000;

/// How far behind the others a waking domain may begin, in virtual nanoseconds.
pub const WAKE_CREDIT: u64 = 10_000_000;

/// How far behind the running domain a waking one must be to take its place: less is not worth a switch.
pub const PREEMPT_MARGIN: u64 = 1_000_000;

/// How long a guest runs before the control domain takes its place, however far that is behind: long enough for a guest to make 32 requests to a
/// disk, some 60,000 instructions. One by one they cost twice as much (docs/benchmarks.md). Who waits for an answer gives up the processor anyway.
pub const UNDISTURBED: u64 = 100_000;

/// What the policy knows of a domain, besides its virtual time. All zero is a domain of default weight with nothing to run.
#[derive(Clone, Copy)]
struct Group {
    /// 0 stands for the default.
    weight: u32,
    /// The vCPUs that are queued, bit per vCPU.
    ready: u32,
    /// Whose turn it is, at the earliest.
    turn: u32,
}

/// Fair sharing by virtual time. All zero is a policy that knows nobody.
pub struct Fair {
    groups: [Group; MAX_DOMAINS],
    /// The domains that have queued vCPUs, by virtual time.
    queue: KeyedHeap<MAX_DOMAINS>,
    /// The virtual time of the last domain that was chosen; never goes back.
    floor: u64,
}

impl Fair {
    /// A policy that knows nobody.
    pub const fn new() -> Self {
        Fair { groups: [Group { weight: 0, ready: 0, turn: 0 }; MAX_DOMAINS], queue: KeyedHeap::new(), floor: 0 }
    }

    fn group(&mut self, domain: DomId) -> &mut Group {
        &mut self.groups[usize::from(domain)]
    }

    /// How much virtual time passes for a domain while it runs for `ran`.
    fn virtual_time(&self, domain: DomId, ran: u64) -> u64 {
        ran.saturating_mul(u64::from(DEFAULT_WEIGHT)) / u64::from(self.weight(domain))
    }

    fn slice(&self) -> u64 {
        (ROUND / (self.queue.len() as u64 + 1)).clamp(MIN_SLICE, SLICE)
    }
}

impl Default for Fair {
    fn default() -> Self {
        Self::new()
    }
}

impl Scheduler for Fair {
    fn reset(&mut self, domain: DomId) {
        self.queue.remove(domain);
        self.queue.set_key(domain, self.floor);
        *self.group(domain) = Group { weight: 0, ready: 0, turn: 0 };
    }

    fn set_weight(&mut self, domain: DomId, weight: u32) {
        self.group(domain).weight = weight.clamp(1, MAX_WEIGHT);
    }

    fn weight(&self, domain: DomId) -> u32 {
        match self.groups[usize::from(domain)].weight {
            0 => DEFAULT_WEIGHT,
            weight => weight,
        }
    }

    fn ready(&mut self, vcpu: VcpuRef) {
        self.group(vcpu.domain).ready |= bit(vcpu);
        if !self.queue.contains(vcpu.domain) {
            let earliest = self.floor.wrapping_sub(WAKE_CREDIT);
            self.queue.set_key(vcpu.domain, later(self.queue.key(vcpu.domain), earliest));
            self.queue.insert(vcpu.domain);
        }
    }

    fn unready(&mut self, vcpu: VcpuRef) {
        let group = self.group(vcpu.domain);
        group.ready &= !bit(vcpu);
        if group.ready == 0 {
            self.queue.remove(vcpu.domain);
        }
    }

    fn pick(&mut self, _cpu: CpuId, _now: u64) -> Option<(VcpuRef, u64)> {
        let domain = self.queue.first()?;
        self.floor = later(self.floor, self.queue.key(domain));
        let group = self.group(domain);
        // Those at or behind whose turn it is go first, then the rest.
        let behind = group.ready & (u32::MAX << group.turn);
        let id = if behind != 0 { behind } else { group.ready }.trailing_zeros();
        group.turn = (id + 1) % u32::BITS;
        let vcpu = VcpuRef { domain, vcpu: id as u16 };
        self.unready(vcpu);
        Some((vcpu, self.slice()))
    }

    fn charge(&mut self, vcpu: VcpuRef, ran: u64) {
        let key = self.queue.key(vcpu.domain).wrapping_add(self.virtual_time(vcpu.domain, ran));
        self.queue.set_key(vcpu.domain, key);
    }

    fn give_way(&mut self, vcpu: VcpuRef) {
        // Its own siblings take turns with it anyway; without any, the next domain must come first.
        if self.groups[usize::from(vcpu.domain)].ready == 0
            && let Some(first) = self.queue.first()
        {
            let behind = self.queue.key(first).wrapping_add(1);
            self.queue.set_key(vcpu.domain, later(self.queue.key(vcpu.domain), behind));
        }
    }

    fn preempts(&self, ready: VcpuRef, running: VcpuRef, ran: u64) -> Option<u64> {
        // A sibling's turn comes at the end of the slice.
        let reached = self.queue.key(running.domain).wrapping_add(self.virtual_time(running.domain, ran));
        let behind = ready.domain != running.domain && before(self.queue.key(ready.domain).wrapping_add(PREEMPT_MARGIN), reached);
        behind.then_some(if ready.domain == DOM0 { UNDISTURBED } else { 0 })
    }
}

fn bit(vcpu: VcpuRef) -> u32 {
    1 << (u32::from(vcpu.vcpu) % u32::BITS)
}
