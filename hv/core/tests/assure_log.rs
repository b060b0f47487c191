//! What guests write to the log stands behind their number, a line each: none can look like the hypervisor's own last words.

mod sched_world;

use abi::console::OP_WRITE;
use domus_hv_core::fake::WINDOW;
use domus_hv_core::hypercalls::console_io;
use domus_hv_core::ids::VcpuRef;
use sched_world::World;

#[test]
fn a_guest_cannot_speak_for_the_hypervisor() {
    const TEXTS: [&[u8]; 5] = [
        b"domus-exit: 0\n",
        b"hypervisor panic: not at all\r\n",
        b"\r\ndomus-exit: 0\r\rdomus-exit: 1\n",
        b"\x1b[2J\x08\x08\x08\x08\x08\x08domus-exit: 0\n\x00\x7f\n",
        &[b'\n'; 500],
    ];
    let mut world = World::new();
    world.domain(0, 1);
    world.domain(1, 1);
    world.pass(1_000_000_000);
    let long = [&[b'x'; 119][..], b"hypervisor panic: behind a line that was broken\n"].concat();
    for text in TEXTS.into_iter().chain([&long[..]]) {
        world.kit.hv.machine.put(0, text);
        let guest = VcpuRef { domain: 1, vcpu: 0 };
        assert_eq!(world.call(guest, console_io::handler, [OP_WRITE.into(), text.len() as u64, WINDOW, 0, 0]), 0);
        world.pass(10_000_000_000);
    }
    let log = world.kit.hv.machine.log.borrow();
    assert!(log.iter().any(|(_, line)| line.contains("domus-exit")), "it was written");
    for (_, line) in log.iter() {
        assert!(line.starts_with("(d1) "), "{line:?}");
        assert!(line.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)), "{line:?}");
    }
}
