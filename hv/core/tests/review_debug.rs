//! Breakpoints, where vCPUs share the registers: what one leaves in the hardware is not what another gets.

mod sched_world;

use domus_hv_core::hypercalls::set_debugreg;
use domus_hv_core::ids::VcpuRef;
use sched_world::World;

const V: VcpuRef = VcpuRef { domain: 1, vcpu: 0 };

#[test]
fn breakpoints_that_are_enabled_late_are_the_guests_own() {
    let mut world = World::new();
    world.domain(0, 1);
    world.domain(1, 1);
    world.pass(1_000_000_000);
    world.state(V).debug[7] = 0x400;
    assert_eq!(world.call(V, set_debugreg::handler, [0, 0x1000, 0, 0, 0]), 0);
    assert_eq!(world.call(V, set_debugreg::handler, [3, 0x4000, 0, 0, 0]), 0);
    // Another vCPU had breakpoints meanwhile; those of one that has none enabled are not loaded when it comes back.
    world.kit.hv.machine.debug.set([0xa000, 0xb000, 0xc000, 0xd000, 0, 0, 0, 0x400]);
    assert_eq!(world.call(V, set_debugreg::handler, [7, 1, 0, 0, 0]), 0);
    let hardware = world.kit.hv.machine.debug.get();
    assert_eq!((&hardware[..4], hardware[7]), (&[0x1000, 0, 0, 0x4000][..], 0x401));
}
