//! The mechanism against policies that are wrong: nobody runs twice, or against the rules, whatever a policy answers.

mod sched_world;

use domus_hv_core::ids::{CpuId, DomId, VcpuRef};
use domus_hv_core::sched::dispatch::choose;
use domus_hv_core::sched::fair::UNDISTURBED;
use domus_hv_core::sched::{Next, Scheduler};
use sched_world::{World, vcpu};

/// Answers what it was told to, in turn, over and over.
struct Wrong {
    answers: Vec<VcpuRef>,
    asked: usize,
}

impl Scheduler for Wrong {
    fn reset(&mut self, _: DomId) {}
    fn set_weight(&mut self, _: DomId, _: u32) {}
    fn weight(&self, _: DomId) -> u32 {
        1
    }
    fn ready(&mut self, _: VcpuRef) {}
    fn unready(&mut self, _: VcpuRef) {}
    fn pick(&mut self, _: CpuId, _: u64) -> Option<(VcpuRef, u64)> {
        self.asked += 1;
        self.answers.get((self.asked - 1) % self.answers.len().max(1)).map(|&who| (who, 1))
    }
    fn charge(&mut self, _: VcpuRef, _: u64) {}
    fn give_way(&mut self, _: VcpuRef) {}
    fn preempts(&self, _: VcpuRef, _: VcpuRef, _: u64) -> Option<u64> {
        Some(0)
    }
}

fn chosen(world: &mut World, answers: &[VcpuRef]) -> Option<VcpuRef> {
    let mut policy = Wrong { answers: answers.to_vec(), asked: 0 };
    let chosen = choose(&mut policy, &mut world.hv().domains, 1, 0).map(|(who, _)| who);
    assert!(policy.asked <= 8, "its patience ends");
    chosen
}

#[test]
fn a_vcpu_that_runs_is_not_run_again() {
    let mut world = World::new();
    world.domain(1, 2);
    let (first, second) = (vcpu(1, 0), vcpu(1, 1));
    assert_eq!(chosen(&mut world, &[first]), Some(first));
    assert!(world.state(first).sched.running);
    assert_eq!(chosen(&mut world, &[first]), None);
    assert_eq!(chosen(&mut world, &[first, first, second]), Some(second));
    assert_eq!((world.state(first).sched.cpu, world.state(second).sched.cpu), (1, 1));
}

#[test]
fn neither_is_one_that_must_not_run() {
    let mut world = World::new();
    world.domain(1, 1);
    let who = vcpu(1, 0);
    let breaks: [fn(&mut World, bool); 6] = [
        |world, on| world.state(vcpu(1, 0)).sched.blocked = on,
        |world, on| world.state(vcpu(1, 0)).sched.online = !on,
        |world, on| world.state(vcpu(1, 0)).initialised = !on,
        |world, on| world.hv().domains.get_mut(1).unwrap().paused = on,
        |world, on| world.hv().domains.get_mut(1).unwrap().shut_down = on,
        |world, on| world.hv().domains.get_mut(1).unwrap().dying = on,
    ];
    for (index, spoil) in breaks.into_iter().enumerate() {
        spoil(&mut world, true);
        assert_eq!(chosen(&mut world, &[who]), None, "{index}");
        assert!(!world.kit.hv.may_run(who));
        spoil(&mut world, false);
    }
    for nobody in [vcpu(1, 1), vcpu(1, 31), vcpu(1, 32), vcpu(1, u16::MAX), vcpu(2, 0), vcpu(512, 0), vcpu(u16::MAX, 0)] {
        assert_eq!(chosen(&mut world, &[nobody]), None);
    }
    assert_eq!(chosen(&mut world, &[]), None);
    assert_eq!(chosen(&mut world, &[who]), Some(who));
}

#[test]
fn a_domain_that_goes_away_while_it_runs_or_waits_runs_no_more() {
    let mut world = World::new();
    world.domain(1, 2);
    world.domain(2, 1);
    world.run(vcpu(1, 0));
    world.hv().domains.get_mut(1).unwrap().dying = true;
    world.hv().retire_domain(1);
    assert!(world.kit.hv.runs(1) && world.kit.hv.cpus[0].reschedule);
    for _ in 0..10 {
        world.pass(20_000_000);
        assert_eq!(world.schedule(), Next::Run(vcpu(2, 0)));
    }
    assert!(!world.kit.hv.runs(1));
    world.hv().domains.remove(2);
    assert_eq!(world.schedule(), Next::Idle);
}

#[test]
fn two_cpus_run_different_vcpus_and_who_wakes_gets_the_idle_one() {
    let mut world = World::new();
    world.domain(1, 2);
    let (first, second) = (vcpu(1, 0), vcpu(1, 1));
    assert_eq!(world.hv().schedule(0, 0), Next::Run(first));
    assert_eq!(world.hv().schedule(1, 0), Next::Run(second));
    world.hv().block(second);
    assert_eq!(world.hv().schedule(1, 5), Next::Idle);
    world.kit.hv.machine.kicks.borrow_mut().clear();
    world.hv().wake(second);
    assert!(world.kit.hv.cpus[1].reschedule && !world.kit.hv.cpus[0].reschedule);
    assert_eq!(*world.kit.hv.machine.kicks.borrow(), [1]);
    assert_eq!(world.hv().schedule(1, 6), Next::Run(second));
    // An event for one that runs elsewhere: its CPU must look.
    world.kit.hv.machine.kicks.borrow_mut().clear();
    world.hv().wake(second);
    assert_eq!(*world.kit.hv.machine.kicks.borrow(), [1]);
}

#[test]
fn who_wakes_preempts_one_that_has_run_for_longer_and_nobody_else() {
    let mut world = World::new();
    world.domain(1, 1);
    world.domain(2, 1);
    let (spins, sleeps) = (vcpu(1, 0), vcpu(2, 0));
    world.run(sleeps);
    world.hv().block(sleeps);
    world.run(spins);
    for _ in 0..10 {
        world.pass(10_000_000);
        world.schedule();
    }
    world.hv().wake(sleeps);
    assert!(world.kit.hv.cpus[0].reschedule);
    assert_eq!(world.schedule(), Next::Run(sleeps));
    world.hv().block(sleeps);
    world.schedule();
    // It has had more than its share: it waits for the end of the slice.
    world.hv().scheduler.charge(sleeps, 500_000_000);
    world.hv().wake(sleeps);
    assert!(!world.kit.hv.cpus[0].reschedule);
}

/// Domain 0, far behind a guest that has just begun to run, which sends to it.
fn sent_to_dom0() -> World {
    let mut world = World::new();
    world.domain(0, 1);
    world.domain(1, 1);
    world.domain(2, 1);
    world.run(vcpu(0, 0));
    world.hv().block(vcpu(0, 0));
    world.hv().block(vcpu(2, 0));
    world.run(vcpu(1, 0));
    for _ in 0..10 {
        world.pass(10_000_000);
        assert_eq!(world.schedule(), Next::Run(vcpu(1, 0)));
    }
    world.pass(1000);
    world.hv().wake(vcpu(0, 0));
    world
}

#[test]
fn dom0_lets_a_guest_run_for_a_while() {
    let mut world = sent_to_dom0();
    let cpu = world.kit.hv.cpus[0];
    assert!(!cpu.reschedule);
    assert_eq!(cpu.slice_end, cpu.since + UNDISTURBED);
    assert!(cpu.armed.is_some_and(|armed| armed <= cpu.slice_end), "it ends by itself");
    world.pass(UNDISTURBED - 1000);
    let now = world.now();
    world.hv().timer_interrupt(0, now);
    assert!(world.kit.hv.cpus[0].reschedule);
    assert_eq!(world.schedule(), Next::Run(vcpu(0, 0)));
    // One that has run for so long gives way at once, and guests among themselves do anyway.
    world.hv().block(vcpu(0, 0));
    world.run(vcpu(1, 0));
    world.pass(UNDISTURBED);
    world.hv().wake(vcpu(0, 0));
    assert_eq!(world.schedule(), Next::Run(vcpu(0, 0)));
    world.hv().block(vcpu(0, 0));
    world.run(vcpu(1, 0));
    world.hv().wake(vcpu(2, 0));
    assert_eq!(world.schedule(), Next::Run(vcpu(2, 0)));
}

#[test]
fn dom0_runs_sooner_if_the_guest_waits_yields_stops_or_another_is_due() {
    let ways: [fn(&mut World); 3] =
        [|world| world.hv().block(vcpu(1, 0)), |world| world.hv().give_way(0, vcpu(1, 0)), |world| world.hv().pause(1).unwrap()];
    for (index, way) in ways.into_iter().enumerate() {
        let mut world = sent_to_dom0();
        way(&mut world);
        assert!(world.kit.hv.cpus[0].reschedule);
        assert_eq!(world.schedule(), Next::Run(vcpu(0, 0)), "{index}");
    }
    let mut world = sent_to_dom0();
    world.hv().wake(vcpu(2, 0));
    assert_ne!(world.schedule(), Next::Run(vcpu(1, 0)), "a guest that is behind does not wait");
}

#[test]
fn pausing_stops_a_domain_and_the_time_it_used_is_known() {
    let mut world = World::new();
    world.domain(1, 1);
    world.domain(2, 1);
    world.run(vcpu(1, 0));
    world.pass(3_000_000);
    world.hv().pause(1).unwrap();
    assert!(world.kit.hv.cpus[0].reschedule);
    let used = world.kit.hv.processor_time(1);
    assert_eq!(used, 3_000_000);
    for _ in 0..5 {
        assert_eq!(world.schedule(), Next::Run(vcpu(2, 0)));
        world.pass(50_000_000);
    }
    assert_eq!(world.kit.hv.processor_time(1), used);
    world.hv().unpause(1).unwrap();
    world.run(vcpu(1, 0));
    assert!(world.hv().pause(9).is_err() && world.hv().unpause(9).is_err() && world.hv().set_weight(9, 1).is_err());
    world.hv().set_weight(1, 512).unwrap();
    assert_eq!(world.hv().scheduler.weight(1), 512);
}
