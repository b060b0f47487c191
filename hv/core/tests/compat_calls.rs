//! The first forms of three hypercalls (what they have in common with their successors, the successors' tests try).

mod sched_world;

use abi::errno::Errno;
use abi::event::{OP_BIND_IPI, OP_BIND_PIRQ, OP_RESET};
use abi::sched::{OP_POLL, OP_SHUTDOWN, SHUTDOWN_CRASH, SHUTDOWN_REBOOT};
use domus_hv_core::fake::WINDOW;
use domus_hv_core::hypercalls::compat;
use domus_hv_core::ids::VcpuRef;
use sched_world::{HOSTILE, World};

const V: VcpuRef = VcpuRef { domain: 1, vcpu: 0 };

fn world() -> World {
    let mut world = World::new();
    world.domain(0, 1);
    world.domain(1, 1);
    world
}

#[test]
fn a_shutdown_of_old_has_its_reason_as_argument() {
    for (argument, reason) in [(1u64, SHUTDOWN_REBOOT), (3, SHUTDOWN_CRASH), (0x101, SHUTDOWN_REBOOT)] {
        let mut world = world();
        assert_eq!(world.call(V, compat::sched, [OP_SHUTDOWN.into(), argument, 0, 0, 0]), 0);
        let domain = world.hv().domain(1).unwrap();
        assert_eq!((domain.shut_down, domain.shutdown_reason), (true, reason));
    }
    let mut world = world();
    for operation in [OP_POLL, 4, 99] {
        assert_eq!(world.call(V, compat::sched, [operation.into(), WINDOW, 0, 0, 0]), Errno::NOSYS.as_ret());
    }
}

#[test]
fn an_event_channel_operation_of_old_is_in_memory_with_its_structure() {
    let mut world = world();
    let mut call = |words: [u32; 4]| {
        world.put(0, &words);
        (world.call(V, compat::event_channel, [WINDOW, 0, 0, 0, 0]), world.take::<[u32; 4]>(0))
    };
    assert_eq!(call([OP_BIND_IPI, 0, 0, 7]), (0, [OP_BIND_IPI, 0, 1, 7]));
    assert_eq!(call([OP_BIND_PIRQ, 0, 0, 0]).0, Errno::PERM.as_ret());
    for operation in [OP_RESET, OP_RESET + 1, u32::MAX] {
        assert_eq!(call([operation, 0x7ff0, 0, 0]).0, Errno::NOSYS.as_ret());
    }
}

#[test]
fn what_cannot_be_read_is_a_fault() {
    for address in HOSTILE {
        let mut world = world();
        assert_eq!(world.call(V, compat::event_channel, [address, 0, 0, 0, 0]), Errno::FAULT.as_ret());
        assert_eq!(world.call(V, compat::physdev, [address, 0, 0, 0, 0]), Errno::FAULT.as_ret());
    }
}
