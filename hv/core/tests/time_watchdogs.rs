//! Watchdogs: made, put off, ended, and what becomes of a domain that forgets one.

mod sched_world;

use abi::errno::Errno;
use abi::sched::{OP_WATCHDOG, SHUTDOWN_CRASH, SHUTDOWN_WATCHDOG, Watchdog};
use domus_hv_core::hypercalls::sched_op;
use domus_hv_core::ids::VcpuRef;
use sched_world::{HOSTILE, World};

const V: VcpuRef = VcpuRef { domain: 1, vcpu: 0 };
const SECOND: u64 = 1_000_000_000;

fn world() -> World {
    let mut world = World::new();
    world.domain(0, 1);
    world.domain(1, 1);
    world
}

fn watchdog(world: &mut World, id: u32, timeout: u32) -> i64 {
    world.op(V, sched_op::handler, OP_WATCHDOG, &Watchdog { id, timeout })
}

/// Lets time pass and the timers fire; the reason for which the domain is shut down then.
fn after(world: &mut World, nanoseconds: u64) -> Option<u32> {
    world.pass(nanoseconds);
    let now = world.now();
    world.hv().expire(now);
    let domain = world.hv().domain(1).unwrap();
    domain.shut_down.then_some(domain.shutdown_reason)
}

#[test]
fn there_are_two_and_each_has_a_number() {
    let mut world = world();
    assert_eq!([0, 0, 0].map(|id| watchdog(&mut world, id, 5)), [1, 2, Errno::NOSPC.as_ret()]);
    assert_eq!([3, 99, u32::MAX].map(|id| watchdog(&mut world, id, 5)), [Errno::INVAL.as_ret(); 3]);
    assert_eq!((watchdog(&mut world, 1, 0), watchdog(&mut world, 1, 0)), (0, Errno::INVAL.as_ret()), "ended once");
    assert_eq!((watchdog(&mut world, 1, 5), watchdog(&mut world, 0, 5)), (Errno::INVAL.as_ret(), 1));
    for address in HOSTILE {
        assert_eq!(world.call(V, sched_op::handler, [OP_WATCHDOG.into(), address, 0, 0, 0]), Errno::FAULT.as_ret());
    }
}

#[test]
fn who_does_not_put_it_off_is_shut_down() {
    let mut world = world();
    assert_eq!(watchdog(&mut world, 0, 2), 1);
    assert_eq!(after(&mut world, 2 * SECOND - 1), None);
    assert_eq!(watchdog(&mut world, 1, 2), 0);
    assert_eq!(after(&mut world, 2 * SECOND - 1), None, "it was put off");
    assert_eq!(after(&mut world, 1), Some(SHUTDOWN_WATCHDOG));
    assert_eq!(world.hv().timers.earliest(), None);
    assert!(world.hv().machine.log_text().contains("domain 1 did not put off its watchdog"));
}

#[test]
fn an_ended_one_does_not_fire_and_one_for_at_once_does() {
    let mut world = world();
    assert_eq!((watchdog(&mut world, 0, 1), watchdog(&mut world, 1, 0)), (1, 0));
    assert_eq!((world.hv().timers.earliest(), after(&mut world, 100 * SECOND)), (None, None));
    assert_eq!((watchdog(&mut world, 0, u32::MAX), watchdog(&mut world, 0, 0)), (1, 2));
    assert_eq!(after(&mut world, 0), Some(SHUTDOWN_WATCHDOG));
}

#[test]
fn whoever_has_ended_by_then_keeps_the_reason() {
    let mut world = world();
    assert_eq!(watchdog(&mut world, 0, 1), 1);
    world.hv().shut_down(1, SHUTDOWN_CRASH);
    assert_eq!(after(&mut world, 2 * SECOND), Some(SHUTDOWN_CRASH));
    assert!(!world.hv().machine.log_text().contains("watchdog"));
}

#[test]
fn a_domain_that_is_taken_apart_leaves_none_behind() {
    let mut world = world();
    assert_eq!(watchdog(&mut world, 0, 1), 1);
    world.hv().forget_timers(1);
    assert_eq!((world.hv().timers.earliest(), after(&mut world, 2 * SECOND)), (None, None));
}
