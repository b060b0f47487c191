//! The scheduling policy, simulated: shares by weight within 10 %, prompt answers next to guests that only compute, no starvation.

use std::collections::BTreeMap;

use domus_hv_core::ids::{DomId, VcpuRef};
use domus_hv_core::sched::fair::{MIN_SLICE, SLICE};
use domus_hv_core::sched::{Policy, Scheduler};

const MS: u64 = 1_000_000;

/// How a simulated vCPU behaves.
#[derive(Clone, Copy)]
enum Habit {
    /// Always wants to run.
    Spins,
    /// Runs for `burst`, then sleeps for `sleep` (ns), counted from when it fell asleep.
    Works { burst: u64, sleep: u64 },
    /// Offers its place after running for `every`.
    Yields { every: u64 },
}

struct Actor {
    who: VcpuRef,
    habit: Habit,
    /// Asleep until then.
    wakes_at: Option<u64>,
    /// Left of the burst.
    burst: u64,
    ran: u64,
    ready_since: u64,
    worst_wait: u64,
}

struct World {
    policy: Box<Policy>,
    actors: Vec<Actor>,
    now: u64,
}

impl World {
    fn new(actors: &[(DomId, u16, Habit)]) -> World {
        let mut policy = Box::new(Policy::new());
        let actors = actors.iter().map(|&(domain, vcpu, habit)| actor(VcpuRef { domain, vcpu }, habit)).collect::<Vec<_>>();
        for actor in &actors {
            policy.ready(actor.who);
        }
        World { policy, actors, now: 0 }
    }

    fn index(&self, who: VcpuRef) -> usize {
        self.actors.iter().position(|actor| actor.who == who).expect("the policy invents nobody")
    }

    /// Runs the world on one CPU until `end`.
    fn run(&mut self, end: u64) {
        while self.now < end {
            self.wake_sleepers(None, 0);
            match self.policy.pick(0, self.now) {
                Some((who, slice)) => self.turn(who, slice),
                None => self.now = self.next_wake().unwrap_or(end),
            }
        }
    }

    fn next_wake(&self) -> Option<u64> {
        self.actors.iter().filter_map(|actor| actor.wakes_at).min()
    }

    /// Wakes who is due; after how long a run of `running`, which has run for `ran`, one of them should take its place.
    fn wake_sleepers(&mut self, running: Option<VcpuRef>, ran: u64) -> Option<u64> {
        let mut preempted = None;
        for index in 0..self.actors.len() {
            if self.actors[index].wakes_at.is_some_and(|at| at <= self.now) {
                let who = self.actors[index].who;
                self.actors[index].wakes_at = None;
                self.actors[index].ready_since = self.now;
                self.policy.ready(who);
                let after = running.and_then(|running| self.policy.preempts(who, running, ran));
                preempted = [preempted, after].into_iter().flatten().min();
            }
        }
        preempted
    }

    /// One turn on the processor: until the slice or the burst ends, or someone preempts.
    fn turn(&mut self, who: VcpuRef, slice: u64) {
        assert!((MIN_SLICE..=SLICE).contains(&slice));
        let index = self.index(who);
        assert!(self.actors[index].wakes_at.is_none(), "a sleeper was chosen");
        self.actors[index].worst_wait = self.actors[index].worst_wait.max(self.now - self.actors[index].ready_since);
        let start = self.now;
        let want = match self.actors[index].habit {
            Habit::Spins => slice,
            Habit::Works { .. } => self.actors[index].burst.min(slice),
            Habit::Yields { every } => every.min(slice),
        };
        let mut end = start + want;
        while self.now < end {
            self.now = self.next_wake().filter(|&at| at < end).map_or(end, |at| at.max(self.now));
            if let Some(after) = self.wake_sleepers(Some(who), self.now - start) {
                end = end.min(self.now.max(start + after));
            }
        }
        self.finish_turn(index, self.now - start, self.now == start + want);
    }

    fn finish_turn(&mut self, index: usize, ran: u64, complete: bool) {
        let who = self.actors[index].who;
        self.policy.charge(who, ran);
        let actor = &mut self.actors[index];
        actor.ran += ran;
        actor.ready_since = self.now;
        if let Habit::Works { burst, sleep } = actor.habit {
            actor.burst -= ran;
            if actor.burst == 0 {
                actor.burst = burst;
                actor.wakes_at = Some(self.now + sleep);
                return;
            }
        }
        if complete && matches!(actor.habit, Habit::Yields { .. }) {
            self.policy.give_way(who);
        }
        self.policy.ready(who);
    }

    /// Processor time of each domain.
    fn by_domain(&self) -> BTreeMap<DomId, u64> {
        let mut times = BTreeMap::new();
        for actor in &self.actors {
            *times.entry(actor.who.domain).or_insert(0) += actor.ran;
        }
        times
    }

    /// Asserts that each domain's part of the time is `share` of the whole, within 10 % of it.
    fn assert_shares(&self, shares: &[(DomId, f64)]) {
        let times = self.by_domain();
        for &(domain, share) in shares {
            let got = times[&domain] as f64 / self.now as f64;
            assert!((got - share).abs() <= share / 10.0, "domain {domain} got {got:.4} instead of {share:.4}");
        }
    }
}

fn actor(who: VcpuRef, habit: Habit) -> Actor {
    let burst = if let Habit::Works { burst, .. } = habit { burst } else { 0 };
    Actor { who, habit, wakes_at: None, burst, ran: 0, ready_since: 0, worst_wait: 0 }
}

const PROMPT: Habit = Habit::Works { burst: 2 * MS, sleep: 48 * MS };

#[test]
fn three_that_compute_share_equally() {
    let mut world = World::new(&[(0, 0, Habit::Spins), (1, 0, Habit::Spins), (2, 0, Habit::Spins)]);
    world.run(3_000 * MS);
    world.assert_shares(&[(0, 1.0 / 3.0), (1, 1.0 / 3.0), (2, 1.0 / 3.0)]);
    // Among equals the order of one round may be another in the next: at most two rounds lie between turns.
    assert!(world.actors.iter().all(|actor| actor.worst_wait <= 4 * SLICE));
}

#[test]
fn a_prompt_answers_at_once_next_to_two_that_compute() {
    let mut world = World::new(&[(0, 0, PROMPT), (1, 0, Habit::Spins), (2, 0, Habit::Spins)]);
    world.run(5_000 * MS);
    assert!(world.actors[0].worst_wait <= 10 * MS, "waited {} ns", world.actors[0].worst_wait);
    // It asks for 4 % and gets it; the others share the rest.
    world.assert_shares(&[(0, 0.04), (1, 0.48), (2, 0.48)]);
}

#[test]
fn a_prompt_that_becomes_busy_gets_its_share_and_no_more() {
    let busy = Habit::Works { burst: 400 * MS, sleep: MS };
    let mut world = World::new(&[(0, 0, busy), (1, 0, Habit::Spins), (2, 0, Habit::Spins)]);
    world.run(10_000 * MS);
    world.assert_shares(&[(0, 1.0 / 3.0), (1, 1.0 / 3.0), (2, 1.0 / 3.0)]);
    assert!(world.actors[0].worst_wait <= 100 * MS);
}

#[test]
fn waking_often_steals_nothing() {
    // Sleeps for a moment after each burst, so as to be given the credit of a sleeper again and again.
    let sly = Habit::Works { burst: 9 * MS, sleep: MS / 10 };
    let mut world = World::new(&[(1, 0, sly), (2, 0, Habit::Spins)]);
    world.run(5_000 * MS);
    world.assert_shares(&[(1, 0.5), (2, 0.5)]);
}

#[test]
fn many_vcpus_are_worth_no_more_than_one() {
    let mut actors = vec![(2, 0, Habit::Spins)];
    actors.extend((0..32).map(|vcpu| (1, vcpu, Habit::Spins)));
    let mut world = World::new(&actors);
    world.run(20_000 * MS);
    world.assert_shares(&[(1, 0.5), (2, 0.5)]);
    // And they share among themselves.
    let times: Vec<u64> = world.actors.iter().filter(|actor| actor.who.domain == 1).map(|actor| actor.ran).collect();
    let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(most - least <= most / 10, "{least} to {most}");
}

#[test]
fn weights_are_kept() {
    let mut world = World::new(&[(1, 0, Habit::Spins), (2, 0, Habit::Spins), (3, 0, Habit::Spins)]);
    world.policy.set_weight(1, 512);
    world.policy.set_weight(3, 64);
    world.run(20_000 * MS);
    let whole = 512.0 + 256.0 + 64.0;
    world.assert_shares(&[(1, 512.0 / whole), (2, 256.0 / whole), (3, 64.0 / whole)]);
}

#[test]
fn the_lightest_does_not_starve_next_to_the_heaviest() {
    let mut world = World::new(&[(1, 0, Habit::Spins), (2, 0, Habit::Spins)]);
    world.policy.set_weight(1, u32::MAX);
    world.policy.set_weight(2, 0);
    assert_eq!((world.policy.weight(1), world.policy.weight(2)), (65535, 1));
    world.run(2_000_000 * MS);
    let times = world.by_domain();
    assert!(times[&2] > 0 && times[&1] > 1_000 * times[&2]);
}

#[test]
fn ten_guests_that_compute_and_a_prompt() {
    let mut actors: Vec<_> = (1..=10).map(|domain| (domain, 0, Habit::Spins)).collect();
    actors.push((0, 0, PROMPT));
    let mut world = World::new(&actors);
    world.run(20_000 * MS);
    assert!(world.actors[10].worst_wait <= 10 * MS);
    let shares: Vec<_> = (1..=10).map(|domain| (domain, 0.096)).collect();
    world.assert_shares(&shares);
    assert!(world.actors.iter().all(|actor| actor.worst_wait <= 100 * MS));
}

#[test]
fn whoever_yields_lets_others_go_first() {
    let polite = Habit::Yields { every: MS / 10 };
    let mut world = World::new(&[(1, 0, polite), (2, 0, Habit::Spins)]);
    world.run(1_000 * MS);
    let times = world.by_domain();
    assert!(times[&2] > 20 * times[&1], "{times:?}");
    assert!(times[&1] > 0);
}

#[test]
fn a_yield_between_siblings_costs_the_domain_nothing() {
    let polite = Habit::Yields { every: MS };
    let mut world = World::new(&[(1, 0, polite), (1, 1, polite), (2, 0, Habit::Spins)]);
    world.run(5_000 * MS);
    world.assert_shares(&[(1, 0.5), (2, 0.5)]);
}

#[test]
fn one_who_slept_for_long_does_not_take_the_processor_for_long() {
    let habits = [(1, 0, Habit::Works { burst: 1_000 * MS, sleep: 10_000 * MS }), (2, 0, Habit::Spins)];
    let mut world = World::new(&habits);
    world.run(40_000 * MS);
    assert!(world.actors[1].worst_wait <= 2 * SLICE + MS, "waited {} ns", world.actors[1].worst_wait);
}

#[test]
fn a_number_that_is_used_again_starts_afresh() {
    let mut policy = Box::new(Policy::new());
    let (old, other) = (VcpuRef { domain: 7, vcpu: 3 }, VcpuRef { domain: 8, vcpu: 0 });
    policy.set_weight(7, 1);
    policy.ready(old);
    policy.charge(old, 1_000_000 * MS);
    policy.reset(7);
    assert_eq!(policy.pick(0, 0), None);
    assert_eq!(policy.weight(7), 256);
    policy.ready(other);
    policy.ready(old);
    let first: Vec<_> = (0..2).map(|_| policy.pick(0, 0).unwrap().0.domain).collect();
    assert!(first.contains(&7) && first.contains(&8));
}

#[test]
fn every_runnable_vcpu_of_a_full_table_gets_its_turn() {
    let mut policy = Box::new(Policy::new());
    let all = (0..512u16).flat_map(|domain| (0..32u16).map(move |vcpu| VcpuRef { domain, vcpu }));
    all.clone().for_each(|who| policy.ready(who));
    let mut turns = vec![0u32; 512 * 32];
    for now in 0..512 * 32 {
        let (who, slice) = policy.pick(0, now).expect("all are ready");
        assert_eq!(slice, MIN_SLICE);
        turns[usize::from(who.domain) * 32 + usize::from(who.vcpu)] += 1;
        policy.charge(who, slice);
        policy.ready(who);
    }
    assert!(turns.iter().all(|&turns| turns == 1));
    all.for_each(|who| policy.unready(who));
    assert_eq!(policy.pick(0, 0), None);
}
