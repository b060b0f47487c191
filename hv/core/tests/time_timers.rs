//! Timers: each fires once, when it is due and not before, whatever else is set, and the CPU always has an interrupt ahead for the next.

mod sched_world;

use abi::event::VIRQ_TIMER;
use domus_hv_core::hypercalls::{set_timer_op, vcpu_op};
use domus_hv_core::ids::VcpuRef;
use domus_hv_core::sched::Next;
use sched_world::{World, vcpu};

const MS: u64 = 1_000_000;
const V: VcpuRef = VcpuRef { domain: 1, vcpu: 0 };

/// A vCPU that runs, without a periodic timer, and the port of its timer.
fn world() -> (World, u32) {
    let mut world = World::new();
    world.domain(1, 1);
    let port = world.virq(V, VIRQ_TIMER);
    world.hv().set_periodic(V, None);
    world.pass(5 * MS);
    world.run(V);
    (world, port)
}

/// The interrupt that the machine was asked for comes: once.
fn interrupt(world: &mut World) {
    let deadline = world.kit.hv.machine.timer.take().expect("an interrupt is due");
    let now = world.now().max(deadline);
    world.kit.hv.machine.time.set(now);
    world.hv().timer_interrupt(0, now);
}

/// Time passes until `end`, with the interrupts that were asked for.
fn pass_until(world: &mut World, end: u64) {
    while world.kit.hv.machine.timer.get().is_some_and(|deadline| deadline <= end) {
        interrupt(world);
        if world.kit.hv.cpus[0].reschedule {
            world.schedule();
        }
    }
    world.kit.hv.machine.time.set(end);
}

#[test]
fn a_one_shot_timer_fires_when_due_and_once() {
    let (mut world, port) = world();
    let start = world.now();
    world.hv().set_singleshot(V, start + 3 * MS);
    world.hv().arm_timer(0);
    pass_until(&mut world, start + 3 * MS - 1);
    assert!(!world.pending(1, port));
    pass_until(&mut world, start + 3 * MS);
    assert!(world.pending(1, port));
    world.take_events(V);
    pass_until(&mut world, start + 100 * MS);
    assert!(!world.pending(1, port));
}

#[test]
fn a_time_that_has_passed_fires_at_once() {
    let (mut world, port) = world();
    for deadline in [0, 1, world.now() - 1, world.now()] {
        world.hv().set_singleshot(V, deadline);
        assert!(world.pending(1, port), "{deadline}");
        world.take_events(V);
        assert_eq!(world.state(V).time.singleshot, 0);
    }
}

#[test]
fn a_stopped_timer_does_not_fire() {
    let (mut world, port) = world();
    let start = world.now();
    world.hv().set_singleshot(V, start + MS);
    world.hv().stop_singleshot(V);
    world.hv().arm_timer(0);
    pass_until(&mut world, start + 50 * MS);
    assert!(!world.pending(1, port));
}

#[test]
fn set_timer_op_stops_at_zero_and_mistrusts_times_beyond_reason() {
    let (mut world, port) = world();
    let now = world.now();
    for (given, armed) in [
        (now + MS, now + MS),
        (0, 0),
        (u64::MAX, now + 100 * MS),
        (i64::MAX as u64 + 1, now + 100 * MS),
        (now + (1 << 50), now + 100 * MS),
        (now + (1 << 50) - 1, now + (1 << 50) - 1),
    ] {
        assert_eq!(world.call(V, set_timer_op::handler, [given, 0, 0, 0, 0]), 0);
        assert_eq!(world.state(V).time.singleshot, armed, "{given:#x}");
    }
    assert!(!world.pending(1, port));
    world.call(V, set_timer_op::handler, [1, 0, 0, 0, 0]);
    assert!(world.pending(1, port));
}

#[test]
fn a_far_deadline_never_comes_and_blocks_no_other() {
    let (mut world, port) = world();
    world.hv().set_singleshot(V, u64::MAX);
    let now = world.now();
    world.hv().set_poll_timeout(V, Some(now + MS));
    world.hv().set_poll_timeout(V, None);
    world.domain(2, 1);
    let other = vcpu(2, 0);
    let other_port = world.virq(other, VIRQ_TIMER);
    let start = world.now();
    world.hv().set_singleshot(other, start + MS);
    world.pass(2 * MS);
    world.hv().expire(start + 2 * MS);
    assert!(world.pending(2, other_port) && !world.pending(1, port));
}

#[test]
fn the_timer_wakes_a_vcpu_that_blocks() {
    let (mut world, _) = world();
    let start = world.now();
    world.hv().set_singleshot(V, start + 7 * MS);
    world.hv().block(V);
    assert_eq!(world.schedule(), Next::Idle);
    assert_eq!(world.kit.hv.machine.timer.get(), Some(start + 7 * MS));
    interrupt(&mut world);
    assert!(world.kit.hv.cpus[0].reschedule);
    assert_eq!(world.schedule(), Next::Run(V));
}

#[test]
fn an_idle_cpu_without_timers_asks_for_no_interrupt() {
    let (mut world, _) = world();
    world.hv().block(V);
    assert_eq!(world.schedule(), Next::Idle);
    assert_eq!(world.kit.hv.machine.timer.get(), None);
}

#[test]
fn the_periodic_timer_ticks_while_its_vcpu_runs_and_only_then() {
    let (mut world, port) = world();
    world.hv().set_periodic(V, Some(4 * MS));
    world.hv().arm_timer(0);
    let start = world.now();
    let mut ticks = 0;
    for step in 1..=40 {
        pass_until(&mut world, start + step * MS);
        ticks += u32::from(world.pending(1, port));
        world.take_events(V);
    }
    assert_eq!(ticks, 10);
    world.hv().block(V);
    assert_eq!(world.schedule(), Next::Idle);
    let asleep = world.now();
    pass_until(&mut world, asleep + 100 * MS);
    assert!(!world.pending(1, port), "a tick woke a vCPU that blocks");
    // What it missed comes as one tick when it runs again.
    world.hv().wake(V);
    world.schedule();
    assert!(world.pending(1, port));
}

#[test]
fn a_new_vcpu_ticks_a_hundred_times_a_second_until_told_otherwise() {
    let mut world = World::new();
    world.domain(1, 1);
    let port = world.virq(V, VIRQ_TIMER);
    world.pass(100 * MS);
    world.run(V);
    assert!(world.pending(1, port), "it has not ticked since boot");
    world.take_events(V);
    let start = world.now();
    pass_until(&mut world, start + 10 * MS - 1);
    assert!(!world.pending(1, port));
    pass_until(&mut world, start + 10 * MS);
    assert!(world.pending(1, port));
    world.take_events(V);
    assert_eq!(world.call(V, vcpu_op::handler, [7, 0, 0, 0, 0]), 0);
    pass_until(&mut world, start + 500 * MS);
    assert!(!world.pending(1, port));
}

#[test]
fn a_poll_gives_up_at_its_time_and_an_old_timeout_ends_no_new_poll() {
    let (mut world, _) = world();
    let port = world.port(V);
    let start = world.now();
    assert_eq!(world.hv().poll(V, &[port]), Ok(true));
    world.hv().set_poll_timeout(V, Some(start + 5 * MS));
    assert_eq!(world.schedule(), Next::Idle);
    interrupt(&mut world);
    assert_eq!(world.now(), start + 5 * MS);
    assert_eq!(world.schedule(), Next::Run(V));
    // Woken by its port, it leaves a time-out behind.
    world.hv().poll(V, &[port]).unwrap();
    world.hv().set_poll_timeout(V, Some(start + 20 * MS));
    world.send(1, port);
    world.schedule();
    world.take_events(V);
    world.hv().poll(V, &[port]).unwrap();
    world.hv().set_poll_timeout(V, None);
    assert_eq!(world.schedule(), Next::Idle);
    pass_until(&mut world, start + 60 * MS);
    assert_eq!(world.schedule(), Next::Idle);
    // Nor does one of a poll end a block.
    world.hv().wake(V);
    world.schedule();
    let now = world.now();
    world.hv().set_poll_timeout(V, Some(now + MS));
    world.hv().block(V);
    assert_eq!(world.schedule(), Next::Idle);
    pass_until(&mut world, now + 9 * MS);
    assert_eq!(world.schedule(), Next::Idle);
}

#[test]
fn the_slice_ends_with_an_interrupt_and_the_next_has_its_turn() {
    let (mut world, _) = world();
    world.domain(2, 1);
    world.hv().set_periodic(vcpu(2, 0), None);
    let (mut turns, mut last) = ([0u32; 3], None);
    world.schedule();
    for _ in 0..100 {
        interrupt(&mut world);
        if world.kit.hv.cpus[0].reschedule {
            let Next::Run(who) = world.schedule() else { panic!("both want to run") };
            turns[usize::from(who.domain)] += 1;
            assert!(last != Some(who) || turns[usize::from(who.domain)] < 3, "no turn for the other");
            last = Some(who);
        }
    }
    assert!(turns[1].abs_diff(turns[2]) <= 1 && turns[1] > 20, "{turns:?}");
}

#[test]
fn a_domain_that_ends_leaves_no_timer_behind() {
    let (mut world, _) = world();
    let start = world.now();
    world.hv().set_singleshot(V, start + MS);
    assert_eq!(world.hv().timers.earliest(), Some(start + MS));
    world.hv().forget_timers(1);
    assert_eq!(world.hv().timers.earliest(), None);
    // Also if the domain is gone when its deadline comes.
    world.hv().set_singleshot(V, start + 2 * MS);
    world.hv().cpus[0] = domus_hv_core::cpu::Cpu::default();
    world.hv().domains.remove(1);
    world.hv().expire(start + 3 * MS);
    assert_eq!(world.hv().timers.earliest(), None);
}

/// Random timers of eight vCPUs against the obvious list.
#[test]
fn random_timers_fire_when_a_plain_list_says() {
    let mut world = World::new();
    let all: Vec<VcpuRef> = (1..=4).flat_map(|domain| [vcpu(domain, 0), vcpu(domain, 1)]).collect();
    for domain in 1..=4 {
        world.domain(domain, 2);
    }
    let ports: Vec<u32> = all.iter().map(|&who| world.virq(who, VIRQ_TIMER)).collect();
    let mut list = [None::<u64>; 8];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for _ in 0..20_000 {
        let index = next(8) as usize;
        let (who, now) = (all[index], world.now());
        match next(4) {
            0 => {
                world.hv().stop_singleshot(who);
                list[index] = None;
            }
            1 | 2 => {
                let deadline = now + 1 + next(1_000);
                world.hv().set_singleshot(who, deadline);
                list[index] = Some(deadline);
            }
            _ => {
                world.pass(next(300));
                let now = world.now();
                world.hv().expire(now);
                for (index, &who) in all.iter().enumerate() {
                    let due = list[index].take_if(|deadline| *deadline <= now).is_some();
                    assert_eq!(world.pending(who.domain, ports[index]), due);
                }
                all.iter().for_each(|&who| world.take_events(who));
            }
        }
        assert_eq!(world.hv().timers.earliest(), list.iter().flatten().copied().min());
    }
}

#[test]
fn more_due_domains_than_one_call_serves_are_served_by_the_next() {
    let mut world = World { kit: domus_hv_core::fake::Kit::new(4096) };
    let domains: Vec<u16> = (1..=100).collect();
    for &domain in &domains {
        world.domain(domain, 1);
        world.hv().set_singleshot(vcpu(domain, 0), 1 + u64::from(domain));
    }
    world.pass(MS);
    world.hv().timer_interrupt(0, MS);
    let left = world.hv().timers.earliest().expect("not all at once");
    assert_eq!(world.kit.hv.machine.timer.get(), Some(left), "the rest has to wait");
    world.hv().timer_interrupt(0, MS);
    assert_eq!(world.hv().timers.earliest(), None);
}
