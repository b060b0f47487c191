//! Event channels by hypercall: each operation, each check of its arguments, and the invariants of the tables under random use.

mod events_world;

use abi::Errno;
use abi::event::*;
use domus_hv_core::call::Outcome;
use domus_hv_core::events;
use domus_hv_core::fake::Random;
use domus_hv_core::ids::VcpuRef;
use events_world::{Number, World};

const SELF: u16 = 0x7ff0;

fn error(errno: Errno) -> i64 {
    errno.as_ret()
}

/// Domain 0 (privileged), domains 1 and 2, two vCPUs each.
fn world() -> World {
    let mut world = World::new();
    for id in 0..3 {
        world.domain(id, 2);
    }
    world
}

fn alloc(world: &mut World, caller: u16, dom: u16, remote_dom: u16) -> Result<u32, i64> {
    let mut request = AllocUnbound { dom, remote_dom, port: 0 };
    match world.event_op(caller, OP_ALLOC_UNBOUND, &mut request) {
        0 => Ok(request.port),
        error => Err(error),
    }
}

fn bind(world: &mut World, caller: u16, remote_dom: u16, remote_port: u32) -> Result<u32, i64> {
    let mut request = BindInterdomain { remote_dom, remote_port, ..BindInterdomain::default() };
    match world.event_op(caller, OP_BIND_INTERDOMAIN, &mut request) {
        0 => Ok(request.local_port),
        error => Err(error),
    }
}

fn virq(world: &mut World, caller: u16, virq: u32, vcpu: u32) -> Result<u32, i64> {
    let mut request = BindVirq { virq, vcpu, port: 0 };
    match world.event_op(caller, OP_BIND_VIRQ, &mut request) {
        0 => Ok(request.port),
        error => Err(error),
    }
}

fn ipi(world: &mut World, caller: u16, vcpu: u32) -> Result<u32, i64> {
    let mut request = BindIpi { vcpu, port: 0 };
    match world.event_op(caller, OP_BIND_IPI, &mut request) {
        0 => Ok(request.port),
        error => Err(error),
    }
}

fn with_port(world: &mut World, caller: u16, operation: u32, port: u32) -> i64 {
    world.event_op(caller, operation, &mut Port { port })
}

fn bind_vcpu(world: &mut World, caller: u16, port: u32, vcpu: u32) -> i64 {
    world.event_op(caller, OP_BIND_VCPU, &mut BindVcpu { port, vcpu })
}

fn status(world: &mut World, caller: u16, dom: u16, port: u32) -> Result<Status, i64> {
    let mut request = Status { dom, port, ..Status::default() };
    match world.event_op(caller, OP_STATUS, &mut request) {
        0 => Ok(request),
        error => Err(error),
    }
}

/// A channel between domains 1 and 2: their ports.
fn channel(world: &mut World) -> (u32, u32) {
    let one = alloc(world, 1, SELF, 2).unwrap();
    let two = bind(world, 2, 1, one).unwrap();
    (one, two)
}

#[test]
fn a_channel_carries_events_both_ways() {
    let mut world = world();
    let (one, two) = channel(&mut world);
    assert_eq!((one, two), (1, 1), "the lowest free port, never 0");
    assert_eq!(world.take_upcall(2, 0), [two], "the binder's own port is pending");
    assert!(!world.upcall_due(1, 0));
    assert_eq!(with_port(&mut world, 1, OP_SEND, one), 0);
    assert!(world.is_pending(2, two) && world.upcall_due(2, 0) && world.selector(2, 0) == 1);
    assert_eq!(world.take_upcall(2, 0), [two]);
    assert_eq!(with_port(&mut world, 2, OP_SEND, two), 0);
    assert_eq!(world.take_upcall(1, 0), [one]);
    world.check();
}

#[test]
fn an_event_that_is_pending_already_raises_nothing() {
    let mut world = world();
    let (one, two) = channel(&mut world);
    assert!(world.is_pending(2, two));
    world.drop_upcall(2, 0);
    assert_eq!(with_port(&mut world, 1, OP_SEND, one), 0);
    assert!(!world.upcall_due(2, 0) && world.selector(2, 0) == 0);
}

#[test]
fn only_the_named_domain_binds_and_only_once() {
    let mut world = world();
    let one = alloc(&mut world, 1, SELF, 2).unwrap();
    assert_eq!(bind(&mut world, 0, 1, one), Err(error(Errno::INVAL)), "waits for another");
    assert_eq!(bind(&mut world, 2, 9, one), Err(error(Errno::SRCH)));
    assert_eq!(bind(&mut world, 2, 1, one + 1), Err(error(Errno::INVAL)), "free");
    assert_eq!(bind(&mut world, 2, 1, 0), Err(error(Errno::INVAL)), "reserved");
    assert_eq!(bind(&mut world, 2, 1, 4096), Err(error(Errno::INVAL)));
    assert_eq!(bind(&mut world, 2, 1, u32::MAX), Err(error(Errno::INVAL)));
    bind(&mut world, 2, 1, one).unwrap();
    assert_eq!(bind(&mut world, 2, 1, one), Err(error(Errno::INVAL)), "bound already");
    assert_eq!(world.hv.domain(2).unwrap().events.open(), 1, "failures take no port");
    world.check();
}

#[test]
fn a_domain_can_talk_to_itself() {
    let mut world = world();
    let near = alloc(&mut world, 1, SELF, SELF).unwrap();
    let far = bind(&mut world, 1, SELF, near).unwrap();
    world.take_upcall(1, 0);
    assert_eq!(with_port(&mut world, 1, OP_SEND, near), 0);
    assert_eq!(world.take_upcall(1, 0), [far]);
    assert_eq!(with_port(&mut world, 1, OP_CLOSE, near), 0);
    assert_eq!(status(&mut world, 1, SELF, far).unwrap().status, STATUS_UNBOUND);
    world.check();
}

#[test]
fn ports_of_others_are_for_the_privileged() {
    let mut world = world();
    assert_eq!(alloc(&mut world, 1, 2, 1), Err(error(Errno::PERM)));
    assert_eq!(alloc(&mut world, 0, 9, 1), Err(error(Errno::SRCH)));
    let port = alloc(&mut world, 0, 1, SELF).unwrap();
    let seen = status(&mut world, 0, 1, port).unwrap();
    assert_eq!((seen.status, seen.u0, seen.dom, seen.port), (STATUS_UNBOUND, 0, 1, port), "SELF is the caller");
    assert_eq!(status(&mut world, 2, 1, port), Err(error(Errno::PERM)));
    assert_eq!(world.event_op(2, OP_RESET, &mut Reset { dom: 1 }), error(Errno::PERM));
    assert_eq!(world.event_op(0, OP_RESET, &mut Reset { dom: 1 }), error(Errno::INVAL), "it runs");
    world.hv.domains.get_mut(1).unwrap().paused = true;
    assert_eq!(world.event_op(0, OP_RESET, &mut Reset { dom: 1 }), 0);
    assert_eq!(world.hv.domain(1).unwrap().events.open(), 0);
}

#[test]
fn closing_leaves_the_other_end_waiting() {
    let mut world = world();
    let (one, two) = channel(&mut world);
    assert_eq!(with_port(&mut world, 1, OP_SEND, one), 0);
    assert_eq!(with_port(&mut world, 2, OP_CLOSE, two), 0);
    assert!(!world.is_pending(2, two), "a later user of the port does not get the event");
    let left = status(&mut world, 1, SELF, one).unwrap();
    assert_eq!((left.status, left.u0), (STATUS_UNBOUND, 2));
    assert_eq!(status(&mut world, 2, SELF, two).unwrap().status, STATUS_CLOSED);
    assert_eq!(with_port(&mut world, 1, OP_SEND, one), 0, "dropped, not refused");
    assert_eq!(with_port(&mut world, 2, OP_CLOSE, two), error(Errno::INVAL), "twice");
    assert_eq!(with_port(&mut world, 2, OP_CLOSE, 0), error(Errno::INVAL), "reserved");
    assert_eq!(with_port(&mut world, 2, OP_CLOSE, 4096), error(Errno::INVAL));
    assert_eq!(bind(&mut world, 2, 1, one), Ok(two), "and can be bound again");
    world.check();
}

#[test]
fn only_what_can_receive_is_sent_to() {
    let mut world = world();
    let timer = virq(&mut world, 1, VIRQ_TIMER, 0).unwrap();
    assert_eq!(with_port(&mut world, 1, OP_SEND, timer), error(Errno::INVAL), "a virtual interrupt");
    for port in [0, timer + 1, 511, 512, 4095, 4096, u32::MAX] {
        assert_eq!(with_port(&mut world, 1, OP_SEND, port), error(Errno::INVAL), "port {port}");
    }
    assert!(!world.upcall_due(1, 0));
    let waiting = alloc(&mut world, 1, SELF, 2).unwrap();
    assert_eq!(with_port(&mut world, 1, OP_SEND, waiting), 0);
}

#[test]
fn a_masked_event_waits_for_the_unmask() {
    let mut world = world();
    let (one, two) = channel(&mut world);
    world.take_upcall(2, 0);
    world.set_mask(2, two);
    with_port(&mut world, 1, OP_SEND, one);
    assert!(world.is_pending(2, two) && !world.upcall_due(2, 0) && world.selector(2, 0) == 0);
    assert_eq!(with_port(&mut world, 2, OP_UNMASK, two), 0);
    assert!(world.upcall_due(2, 0));
    assert_eq!(world.take_upcall(2, 0), [two]);
    assert_eq!(with_port(&mut world, 2, OP_UNMASK, two), 0);
    assert!(!world.upcall_due(2, 0), "nothing pending");
    assert_eq!(with_port(&mut world, 2, OP_UNMASK, 4096), error(Errno::INVAL));
    world.set_mask(2, two + 1);
    assert_eq!(with_port(&mut world, 2, OP_UNMASK, two + 1), 0);
    assert!(world.is_masked(2, two + 1), "a free port is left alone");
}

#[test]
fn virtual_interrupts_are_bound_once_and_by_whom_they_are_for() {
    let mut world = world();
    let timer = virq(&mut world, 1, VIRQ_TIMER, 1).unwrap();
    assert_eq!(virq(&mut world, 1, VIRQ_TIMER, 1), Err(error(Errno::EXIST)));
    virq(&mut world, 1, VIRQ_TIMER, 0).unwrap();
    assert_eq!(virq(&mut world, 1, VIRQ_DEBUG, 2), Err(error(Errno::NOENT)));
    assert_eq!(virq(&mut world, 1, VIRQ_DEBUG, u32::MAX), Err(error(Errno::NOENT)));
    assert_eq!(virq(&mut world, 1, VIRQ_DEBUG, 256), Err(error(Errno::NOENT)), "not cut to 8 bits");
    assert_eq!(virq(&mut world, 1, NR_VIRQS, 0), Err(error(Errno::INVAL)));
    assert_eq!(virq(&mut world, 1, u32::MAX, 0), Err(error(Errno::INVAL)));
    assert_eq!(virq(&mut world, 0, VIRQ_CONSOLE, 1), Err(error(Errno::INVAL)), "of the whole domain");
    for global in [VIRQ_CONSOLE, VIRQ_DOM_EXC] {
        assert_eq!(virq(&mut world, 1, global, 0), Err(error(Errno::BUSY)));
    }
    let console = virq(&mut world, 0, VIRQ_CONSOLE, 0).unwrap();
    events::send_global_virq(&mut world.hv, 0, VIRQ_CONSOLE);
    assert_eq!(world.take_upcall(0, 0), [console]);
    events::send_virq(&mut world.hv, VcpuRef { domain: 1, vcpu: 1 }, VIRQ_TIMER);
    assert!(!world.upcall_due(1, 0));
    assert_eq!(world.take_upcall(1, 1), [timer]);
    assert_eq!(with_port(&mut world, 1, OP_CLOSE, timer), 0);
    events::send_virq(&mut world.hv, VcpuRef { domain: 1, vcpu: 1 }, VIRQ_TIMER);
    assert!(!world.upcall_due(1, 1), "unbound");
    assert_eq!(virq(&mut world, 1, VIRQ_TIMER, 1), Ok(timer), "can be bound again");
    events::send_virq(&mut world.hv, VcpuRef { domain: 1, vcpu: 7 }, VIRQ_TIMER);
    events::send_virq(&mut world.hv, VcpuRef { domain: 7, vcpu: 0 }, VIRQ_TIMER);
    events::send_virq(&mut world.hv, VcpuRef { domain: 1, vcpu: 0 }, NR_VIRQS);
    world.check();
}

#[test]
fn a_global_interrupt_that_moved_is_found_when_closed() {
    let mut world = world();
    let console = virq(&mut world, 0, VIRQ_CONSOLE, 0).unwrap();
    assert_eq!(bind_vcpu(&mut world, 0, console, 1), 0);
    events::send_global_virq(&mut world.hv, 0, VIRQ_CONSOLE);
    assert_eq!(world.take_upcall(0, 1), [console]);
    world.check();
    assert_eq!(with_port(&mut world, 0, OP_CLOSE, console), 0);
    assert_eq!(virq(&mut world, 0, VIRQ_CONSOLE, 0), Ok(console));
    world.check();
}

#[test]
fn interrupts_between_vcpus_and_who_may_move() {
    let mut world = world();
    let to_one = ipi(&mut world, 1, 1).unwrap();
    assert_eq!(ipi(&mut world, 1, 2), Err(error(Errno::NOENT)));
    assert_eq!(with_port(&mut world, 1, OP_SEND, to_one), 0);
    assert!(!world.upcall_due(1, 0));
    assert_eq!(world.take_upcall(1, 1), [to_one]);
    assert_eq!(bind_vcpu(&mut world, 1, to_one, 0), error(Errno::INVAL), "bound for good");
    let timer = virq(&mut world, 1, VIRQ_TIMER, 0).unwrap();
    assert_eq!(bind_vcpu(&mut world, 1, timer, 1), error(Errno::INVAL), "bound for good");
    let (one, two) = channel(&mut world);
    assert_eq!(bind_vcpu(&mut world, 2, two, 2), error(Errno::NOENT));
    assert_eq!(bind_vcpu(&mut world, 2, two + 1, 1), error(Errno::INVAL), "free");
    assert_eq!(bind_vcpu(&mut world, 2, 4096, 1), error(Errno::INVAL));
    world.take_upcall(2, 0);
    assert_eq!(bind_vcpu(&mut world, 2, two, 1), 0);
    with_port(&mut world, 1, OP_SEND, one);
    assert!(!world.upcall_due(2, 0));
    assert_eq!(world.take_upcall(2, 1), [two]);
    let seen = status(&mut world, 2, SELF, two).unwrap();
    assert_eq!((seen.status, seen.vcpu, seen.u0, seen.u1), (STATUS_INTERDOMAIN, 1, 1, one));
    with_port(&mut world, 2, OP_CLOSE, two);
    assert_eq!(alloc(&mut world, 2, SELF, 1), Ok(two));
    assert_eq!(status(&mut world, 2, SELF, two).unwrap().vcpu, 0, "a port that is used again notifies vCPU 0");
    assert_eq!(status(&mut world, 1, SELF, to_one).unwrap().status, STATUS_IPI);
    assert_eq!(status(&mut world, 1, SELF, timer).unwrap().status, STATUS_VIRQ);
    assert_eq!(status(&mut world, 1, SELF, 4096), Err(error(Errno::INVAL)));
}

#[test]
fn the_limit_holds_and_tables_are_paid_for() {
    let mut world = world();
    let before = world.hv.frames.of(1).overhead;
    world.hv.domains.get_mut(1).unwrap().events.set_limit(600);
    for expected in 1..=600 {
        assert_eq!(alloc(&mut world, 1, SELF, 2), Ok(expected));
    }
    assert_eq!(alloc(&mut world, 1, SELF, 2), Err(error(Errno::NOSPC)));
    assert_eq!(ipi(&mut world, 1, 0), Err(error(Errno::NOSPC)));
    assert_eq!(world.hv.frames.of(1).overhead, before + 2, "two buckets");
    assert_eq!(with_port(&mut world, 1, OP_CLOSE, 17), 0);
    assert_eq!(alloc(&mut world, 1, SELF, 2), Ok(17), "the lowest free one");
    world.hv.domains.get_mut(1).unwrap().events.set_limit(u32::MAX);
    assert_eq!(world.hv.domain(1).unwrap().events.limit(), 4095);
    assert_eq!(alloc(&mut world, 1, SELF, 2), Ok(601));
    world.hv.domains.get_mut(2).unwrap().events.set_limit(0);
    assert_eq!(alloc(&mut world, 2, SELF, 1), Err(error(Errno::NOSPC)));
    world.check();
}

#[test]
fn the_last_ports_work() {
    let mut world = world();
    world.hv.domains.get_mut(1).unwrap().events.set_limit(4095);
    while alloc(&mut world, 1, SELF, 1).is_ok() {}
    assert_eq!(world.hv.domain(1).unwrap().events.open(), 4095);
    assert_eq!(with_port(&mut world, 1, OP_CLOSE, 1), 0);
    assert_eq!(bind(&mut world, 1, 1, 4095), Ok(1));
    world.take_upcall(1, 0);
    assert_eq!(with_port(&mut world, 1, OP_SEND, 1), 0);
    assert_eq!(world.selector(1, 0), 1 << 63);
    assert_eq!(world.take_upcall(1, 0), [4095]);
}

#[test]
fn a_dying_domain_gets_no_port_and_leaves_nothing() {
    let mut world = world();
    let free = world.hv.frames.stats().free;
    for _ in 0..300 {
        channel(&mut world);
    }
    virq(&mut world, 1, VIRQ_TIMER, 0).unwrap();
    ipi(&mut world, 1, 1).unwrap();
    world.hv.domains.get_mut(1).unwrap().dying = true;
    assert_eq!(alloc(&mut world, 0, 1, 0), Err(error(Errno::INVAL)));
    let mut slices = 1;
    while !events::close_all(&mut world.hv, 1) {
        slices += 1;
        world.check();
    }
    assert!(slices > 4, "in slices");
    assert_eq!(world.hv.domain(1).unwrap().events.open(), 0);
    assert_eq!(world.hv.domain(1).unwrap().events.frames(), 0);
    assert_eq!(status(&mut world, 2, SELF, 5).unwrap().status, STATUS_UNBOUND);
    assert_eq!(with_port(&mut world, 2, OP_SEND, 5), 0);
    assert_eq!(bind(&mut world, 2, 1, 5), Err(error(Errno::INVAL)));
    assert!(events::close_all(&mut world.hv, 1) && events::close_all(&mut world.hv, 99));
    world.hv.domains.get_mut(2).unwrap().dying = true;
    while !events::close_all(&mut world.hv, 2) {}
    assert_eq!(world.hv.frames.stats().free, free, "all memory is back");
    world.check();
}

#[test]
fn reset_closes_all_in_slices_and_the_domain_goes_on() {
    let mut world = world();
    for _ in 0..100 {
        channel(&mut world);
    }
    world.write(1, 0x100, &Reset { dom: SELF });
    let args = [u64::from(OP_RESET), 0x100, 0, 0, 0];
    assert_eq!(world.try_call(1, Number::Events, args), Outcome::Again(args));
    assert_eq!(world.call(1, Number::Events, args), 0);
    assert_eq!(world.hv.domain(1).unwrap().events.open(), 0);
    assert_eq!(alloc(&mut world, 1, SELF, 2), Ok(1));
    world.check();
}

#[test]
fn hostile_addresses_fault_and_take_nothing() {
    let mut world = world();
    let port = alloc(&mut world, 1, SELF, 2).unwrap();
    for operation in 0..=OP_RESET {
        for address in [0x4000, 0x7fff_ffff_f000, 0x8000_0000_0000, 0xffff_8000_0000_0000, u64::MAX - 1, 0x3fff] {
            let args = [u64::from(operation), address, 0, 0, 0];
            assert_eq!(world.call(1, Number::Events, args), error(Errno::FAULT), "operation {operation} at {address:#x}");
        }
    }
    assert_eq!(world.hv.domain(1).unwrap().events.open(), 1);
    // An answer that cannot be written: the page before is writable, the one behind is missing.
    let edge = 0x4000 - 8;
    world.write(1, edge, &AllocUnbound { dom: SELF, remote_dom: 2, port: 0 });
    read_only(&mut world, 1, 3);
    assert_eq!(world.call(1, Number::Events, [u64::from(OP_ALLOC_UNBOUND), edge, 0, 0, 0]), error(Errno::FAULT));
    assert_eq!(world.hv.domain(1).unwrap().events.open(), 1, "the port that nobody was told of is closed");
    assert_eq!(with_port(&mut world, 1, OP_CLOSE, port), 0);
    world.check();
}

/// Makes one of a domain's first pages read-only.
fn read_only(world: &mut World, domain: u16, page: usize) {
    use domus_hv_core::{ids::Mfn, machine::Machine};
    let root = Mfn(world.vcpu(domain, 0).kernel_table);
    let slot = world.hv.mm().walk(root, (page as u64) << 12).unwrap();
    let word = world.hv.machine.word(slot.table, slot.index);
    word.fetch_and(!abi::mmu::pte::RW, core::sync::atomic::Ordering::SeqCst);
    world.hv.frames.load_page_table(&world.hv.machine, 0, root);
}

#[test]
fn unknown_and_left_out_operations_are_refused() {
    let mut world = world();
    for operation in [OP_INIT_CONTROL, OP_EXPAND_ARRAY, OP_SET_PRIORITY, 14, 15, 99, u32::MAX] {
        assert_eq!(world.call(1, Number::Events, [u64::from(operation), 0x100, 0, 0, 0]), error(Errno::NOSYS));
    }
    for (pirq, refused) in [(0, Errno::PERM), (31, Errno::PERM), (32, Errno::INVAL), (u32::MAX, Errno::INVAL)] {
        world.write(1, 0x100, &BindPirq { pirq, ..BindPirq::default() });
        assert_eq!(world.call(1, Number::Events, [u64::from(OP_BIND_PIRQ), 0x100, 0, 0, 0]), error(refused));
    }
}

#[test]
fn a_moved_vcpu_info_misses_nothing() {
    let mut world = world();
    let (one, two) = channel(&mut world);
    let page = world.hv.frames.allocate_for(&world.hv.machine, 2).unwrap();
    with_port(&mut world, 1, OP_SEND, one);
    let who = VcpuRef { domain: 2, vcpu: 0 };
    world.vcpu(2, 0).info_mfn = page.0;
    world.vcpu(2, 0).info_offset = 0xfc0;
    world.vcpu(2, 0).sched.blocked = true;
    events::vcpu_info_moved(&mut world.hv, who);
    assert_eq!(world.selector(2, 0), u64::MAX);
    assert!(!world.vcpu(2, 0).sched.blocked, "it is woken");
    assert_eq!(world.take_upcall(2, 0), [two]);
    with_port(&mut world, 1, OP_SEND, one);
    assert_eq!(world.take_upcall(2, 0), [two], "later events arrive at the new place");
}

#[test]
fn a_vcpu_on_another_cpu_is_made_to_look() {
    let mut world = world();
    let (one, _) = channel(&mut world);
    world.take_upcall(2, 0);
    world.vcpu(2, 0).sched.running = true;
    world.vcpu(2, 0).sched.cpu = 5;
    world.hv.machine.kicks.borrow_mut().clear();
    with_port(&mut world, 1, OP_SEND, one);
    assert_eq!(*world.hv.machine.kicks.borrow(), [5]);
    with_port(&mut world, 1, OP_SEND, one);
    assert_eq!(*world.hv.machine.kicks.borrow(), [5], "pending already");
}

#[test]
fn sleepers_and_pollers_are_woken() {
    let mut world = world();
    let (one, two) = channel(&mut world);
    world.take_upcall(2, 0);
    world.vcpu(2, 0).sched.blocked = true;
    with_port(&mut world, 1, OP_SEND, one);
    assert!(!world.vcpu(2, 0).sched.blocked);
    world.take_upcall(2, 0);
    // Unmasking wakes the vCPU that the port notifies, whoever unmasks.
    world.set_mask(2, two);
    world.vcpu(2, 0).sched.blocked = true;
    with_port(&mut world, 1, OP_SEND, one);
    assert!(world.vcpu(2, 0).sched.blocked);
    assert_eq!(with_port(&mut world, 2, OP_UNMASK, two), 0);
    assert!(!world.vcpu(2, 0).sched.blocked);
    world.take_upcall(2, 0);
    // vCPU 1 polls a port that is masked and notifies vCPU 0.
    world.set_mask(2, two);
    assert_eq!(world.hv.poll(VcpuRef { domain: 2, vcpu: 1 }, &[two]), Ok(true));
    assert_eq!(events::is_pending(&world.hv, 2, two), Ok(false));
    with_port(&mut world, 1, OP_SEND, one);
    assert!(!world.vcpu(2, 1).sched.blocked, "a masked event answers a poll");
    assert_eq!(events::is_pending(&world.hv, 2, two), Ok(true));
    assert_eq!(events::is_pending(&world.hv, 2, 4096), Err(Errno::INVAL));
    with_port(&mut world, 2, OP_CLOSE, two);
    world.set_pending(2, two);
    assert_eq!(events::is_pending(&world.hv, 2, two), Ok(false), "a free port, whatever the guest wrote");
}

/// Random operations of three domains. After each the tables hold together, and no unmasked event is without its upcall.
#[test]
fn random_use_keeps_every_invariant() {
    for seed in 1..=10u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut world = world();
        for _ in 0..300 {
            let who = random.below(3) as u16;
            let other = random.below(4) as u16;
            let (port, far) = (random.below(12) as u32, random.below(12) as u32);
            match random.below(11) {
                0 => drop(alloc(&mut world, who, SELF, other)),
                1 | 2 => drop(bind(&mut world, who, other, far)),
                3 => drop(virq(&mut world, who, far, u32::from(other % 3))),
                4 => drop(ipi(&mut world, who, u32::from(other % 3))),
                5 => drop(with_port(&mut world, who, OP_CLOSE, port)),
                6 => drop(bind_vcpu(&mut world, who, port, u32::from(other % 3))),
                7 if !world.is_pending(who, port) => world.set_mask(who, port),
                8 => drop(with_port(&mut world, who, OP_UNMASK, port)),
                9 => drop(world.take_upcall(who, other % 2)),
                _ => drop(with_port(&mut world, who, OP_SEND, port)),
            }
            world.check();
            delivered(&world, seed);
        }
    }
}

/// Every pending, unmasked port is named by the selector of some vCPU whose upcall is due (rebinding leaves it with the old one).
fn delivered(world: &World, seed: u64) {
    for domain in 0..3 {
        for port in (0..64).filter(|&port| world.is_pending(domain, port) && !world.is_masked(domain, port)) {
            let due = (0..2).any(|vcpu| world.upcall_due(domain, vcpu) && world.selector(domain, vcpu) & 1 << (port / 64) != 0);
            assert!(due, "port {port} of domain {domain} is lost (seed {seed})");
        }
    }
}
