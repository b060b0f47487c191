//! The hypercalls of the scheduler, of vCPUs and of time: what they do, and that each hostile argument gets its error and changes nothing.

mod sched_world;

use abi::context::{VGCF_IN_KERNEL, VGCF_ONLINE, VcpuGuestContext};
use abi::errno::Errno;
use abi::event::{VIRQ_DOM_EXC, VIRQ_TIMER};
use abi::sched::*;
use abi::vcpu::{self as op, RegisterArea, RegisterVcpuInfo, RunstateInfo, SetPeriodicTimer, SetSingleshotTimer};
use domus_hv_core::fake::WINDOW;
use domus_hv_core::hypercalls::{sched_op, vcpu_op};
use domus_hv_core::ids::{Mfn, VcpuRef};
use domus_hv_core::sched::{MachineExit, Next};
use sched_world::{HOSTILE, World, vcpu};
use zerocopy::FromZeros;

const MS: u64 = 1_000_000;
const V: VcpuRef = VcpuRef { domain: 1, vcpu: 0 };
const SECOND: VcpuRef = VcpuRef { domain: 1, vcpu: 1 };

fn error(errno: Errno) -> i64 {
    errno.as_ret()
}

/// Domain 0, and domain 1 with two vCPUs, of which the first runs.
fn world() -> World {
    let mut world = World::new();
    world.domain(0, 1);
    world.domain(1, 2);
    world.pass(MS);
    world.run(V);
    world
}

fn vcpu_call(world: &mut World, operation: u32, number: u64, address: u64) -> i64 {
    world.call(V, vcpu_op::handler, [operation.into(), number, address, 0, 0])
}

// sched_op

#[test]
fn block_unmasks_and_waits_unless_an_event_is_there() {
    let mut world = world();
    let port = world.port(V);
    world.set_mask(V, true);
    world.send(1, port);
    assert!(!world.deliverable(V));
    assert_eq!(world.call(V, sched_op::handler, [OP_BLOCK.into(), 0, 0, 0, 0]), 0);
    assert!(world.deliverable(V) && !world.state(V).sched.blocked);
    world.take_events(V);
    world.call(V, sched_op::handler, [OP_BLOCK.into(), 0, 0, 0, 0]);
    assert!(world.state(V).sched.blocked && world.kit.hv.cpus[0].reschedule);
}

#[test]
fn poll_waits_for_its_ports_masked_or_not_and_for_no_other() {
    let mut world = world();
    let (mine, other) = (world.port(V), world.port(V));
    world.set_mask(V, true);
    world.put(64, &[mine]);
    let poll = Poll { ports: WINDOW + 64, nr_ports: 1, ..Poll::default() };
    assert_eq!(world.op(V, sched_op::handler, OP_POLL, &poll), 0);
    assert!(world.state(V).sched.blocked && world.kit.hv.polls(V));
    // Leave the upcall pending beforehand, so that only the poll can wake it.
    world.state(V).sched.blocked = false;
    world.hv().domains.get_mut(1).unwrap().events.pollers = 0;
    world.send(1, other);
    assert_eq!(world.op(V, sched_op::handler, OP_POLL, &poll), 0);
    assert_ne!(world.schedule(), Next::Run(V));
    assert!(world.kit.hv.polls(V), "another port woke it");
    world.send(1, mine);
    assert!(!world.kit.hv.polls(V) && !world.state(V).sched.blocked);
    world.run(V);
    assert_eq!(world.op(V, sched_op::handler, OP_POLL, &poll), 0);
    assert!(!world.state(V).sched.blocked, "its port is pending already");
}

#[test]
fn poll_of_several_ports_and_with_a_deliverable_event() {
    let mut world = world();
    let ports = [world.port(SECOND), world.port(SECOND), world.port(V)];
    world.put(64, &ports);
    let poll = Poll { ports: WINDOW + 64, nr_ports: 3, ..Poll::default() };
    assert_eq!(world.op(V, sched_op::handler, OP_POLL, &poll), 0);
    assert!(world.kit.hv.polls(V));
    world.send(1, ports[1]);
    assert!(!world.kit.hv.polls(V), "the second of its ports is pending");
    world.take_events(V);
    world.take_events(SECOND);
    let unpolled = world.port(V);
    world.send(1, unpolled);
    assert_eq!(world.op(V, sched_op::handler, OP_POLL, &poll), 0);
    assert!(!world.state(V).sched.blocked, "it has an event to take");
}

#[test]
fn poll_ends_at_once_if_its_time_has_passed() {
    let mut world = world();
    let port = world.port(V);
    world.put(64, &[port]);
    for (timeout, blocked) in [(1, false), (world.now(), false), (world.now() + 1, true)] {
        let poll = Poll { ports: WINDOW + 64, nr_ports: 1, timeout, ..Poll::default() };
        assert_eq!(world.op(V, sched_op::handler, OP_POLL, &poll), 0);
        assert_eq!(world.state(V).sched.blocked, blocked, "{timeout}");
    }
    assert!(world.kit.hv.machine.timer.get().is_some_and(|timer| timer <= world.now() + 1), "an interrupt by then");
}

#[test]
fn poll_refuses_what_it_cannot_wait_for() {
    let mut world = world();
    let port = world.port(V);
    world.put(64, &[port, 4095, 9, u32::MAX]);
    let mut refused = |ports, nr_ports, errno: Errno| {
        let poll = Poll { ports, nr_ports, ..Poll::default() };
        assert_eq!(world.op(V, sched_op::handler, OP_POLL, &poll), error(errno), "{ports:#x}, {nr_ports}");
        assert!(!world.state(V).sched.blocked && !world.kit.hv.polls(V));
    };
    refused(WINDOW + 64, 129, Errno::INVAL);
    refused(WINDOW + 64, u32::MAX, Errno::INVAL);
    refused(WINDOW + 64, 2, Errno::INVAL);
    refused(WINDOW + 76, 1, Errno::INVAL);
    for address in HOSTILE {
        refused(address, 1, Errno::FAULT);
        refused(address, 128, Errno::FAULT);
    }
}

#[test]
fn structures_out_of_reach_are_faults_and_unknown_operations_are_not_there() {
    let mut world = world();
    for address in HOSTILE {
        for operation in [OP_POLL, OP_SHUTDOWN, OP_REMOTE_SHUTDOWN, OP_SHUTDOWN_CODE] {
            assert_eq!(world.call(V, sched_op::handler, [operation.into(), address, 0, 0, 0]), error(Errno::FAULT));
        }
        for operation in [
            op::OP_GET_RUNSTATE_INFO,
            op::OP_REGISTER_RUNSTATE_MEMORY_AREA,
            op::OP_SET_PERIODIC_TIMER,
            op::OP_SET_SINGLESHOT_TIMER,
            op::OP_REGISTER_VCPU_INFO,
            op::OP_REGISTER_VCPU_TIME_MEMORY_AREA,
        ] {
            assert_eq!(vcpu_call(&mut world, operation, 0, address), error(Errno::FAULT), "{operation}");
        }
    }
    assert_eq!(world.call(V, sched_op::handler, [OP_PIN_OVERRIDE.into(), WINDOW, 0, 0, 0]), error(Errno::PERM));
    for operation in [8, u32::MAX] {
        assert_eq!(world.call(V, sched_op::handler, [operation.into(), WINDOW, 0, 0, 0]), error(Errno::NOSYS));
    }
    assert_eq!(vcpu_call(&mut world, op::OP_GET_PHYSID, 0, WINDOW), error(Errno::INVAL));
    for operation in [op::OP_SEND_NMI, 14, u32::MAX] {
        assert_eq!(vcpu_call(&mut world, operation, 0, WINDOW), error(Errno::NOSYS));
    }
    assert!(!world.kit.hv.domain(1).unwrap().shut_down);
}

#[test]
fn yielding_lets_another_run() {
    let mut world = world();
    world.call(V, sched_op::handler, [OP_YIELD.into(), 0, 0, 0, 0]);
    assert!(world.kit.hv.cpus[0].reschedule);
    assert_ne!(world.schedule(), Next::Run(V));
}

// Shutting down

#[test]
fn a_domain_that_shuts_down_stops_and_domain_0_hears_of_it() {
    let mut world = world();
    let port = world.virq(vcpu(0, 0), VIRQ_DOM_EXC);
    assert_eq!(world.op(V, sched_op::handler, OP_SHUTDOWN, &Shutdown { reason: SHUTDOWN_REBOOT }), 0);
    let domain = world.kit.hv.domain(1).unwrap();
    assert!(domain.shut_down && domain.shutdown_reason == SHUTDOWN_REBOOT);
    assert!(world.pending(0, port) && world.kit.hv.machine_exit.is_none());
    assert!(world.kit.hv.cpus[0].reschedule);
    assert_eq!(world.schedule(), Next::Run(vcpu(0, 0)));
    world.take_events(vcpu(0, 0));
    world.hv().shut_down(1, SHUTDOWN_POWEROFF);
    assert_eq!(world.kit.hv.domain(1).unwrap().shutdown_reason, SHUTDOWN_REBOOT);
    assert!(!world.pending(0, port), "it cannot end twice");
    world.hv().resume_domain(1);
    world.run(V);
}

#[test]
fn a_latched_reason_wins_over_all_but_a_crash() {
    for (reason, told) in [(SHUTDOWN_POWEROFF, SHUTDOWN_WATCHDOG), (SHUTDOWN_CRASH, SHUTDOWN_CRASH)] {
        let mut world = world();
        for latched in [SHUTDOWN_WATCHDOG, SHUTDOWN_REBOOT] {
            assert_eq!(world.op(V, sched_op::handler, OP_SHUTDOWN_CODE, &Shutdown { reason: latched }), 0);
        }
        assert!(!world.kit.hv.domain(1).unwrap().shut_down);
        world.hv().shut_down(1, reason);
        assert_eq!(world.kit.hv.domain(1).unwrap().shutdown_reason, told);
    }
}

#[test]
fn the_end_of_the_first_domain_is_the_machines() {
    let exits = [
        (SHUTDOWN_POWEROFF, MachineExit::PowerOff { status: 0 }),
        (SHUTDOWN_REBOOT, MachineExit::Reboot { status: 0 }),
        (SHUTDOWN_CRASH, MachineExit::PowerOff { status: 1 }),
        (SHUTDOWN_WATCHDOG, MachineExit::PowerOff { status: 1 }),
        (77, MachineExit::PowerOff { status: 1 }),
    ];
    for (reason, exit) in exits {
        let mut world = world();
        world.run(vcpu(0, 0));
        world.op(vcpu(0, 0), sched_op::handler, OP_SHUTDOWN, &Shutdown { reason });
        assert_eq!(world.kit.hv.machine_exit, Some(exit));
        assert!(world.kit.hv.cpus[0].reschedule);
    }
}

#[test]
fn a_crash_is_logged_once_and_stops_the_domain() {
    let mut world = world();
    world.hv().crash_domain(1, format_args!("it did {}", "wrong"));
    world.hv().crash_domain(1, format_args!("again"));
    assert_eq!(world.kit.hv.machine.log_text(), "domain 1 crashed: it did wrong\n");
    assert_eq!(world.kit.hv.domain(1).unwrap().shutdown_reason, SHUTDOWN_CRASH);
    assert!(!world.kit.hv.may_run(V) && !world.kit.hv.may_run(SECOND));
    world.hv().crash_domain(99, format_args!("nobody"));
    world.hv().crash_domain(0, format_args!("the first"));
    assert_eq!(world.kit.hv.machine_exit, Some(MachineExit::PowerOff { status: 1 }));
}

#[test]
fn only_a_privileged_domain_ends_another() {
    let mut world = world();
    world.domain(2, 1);
    let request = RemoteShutdown { domain_id: 2, reason: SHUTDOWN_CRASH, ..RemoteShutdown::default() };
    assert_eq!(world.op(V, sched_op::handler, OP_REMOTE_SHUTDOWN, &request), error(Errno::PERM));
    assert!(!world.kit.hv.domain(2).unwrap().shut_down);
    let unknown = RemoteShutdown { domain_id: 9, ..request };
    assert_eq!(world.op(vcpu(0, 0), sched_op::handler, OP_REMOTE_SHUTDOWN, &unknown), error(Errno::SRCH));
    assert_eq!(world.op(vcpu(0, 0), sched_op::handler, OP_REMOTE_SHUTDOWN, &request), 0);
    assert_eq!(world.kit.hv.domain(2).unwrap().shutdown_reason, SHUTDOWN_CRASH);
}

// vcpu_op

#[test]
fn vcpus_go_down_and_up_and_the_last_takes_its_domain_with_it() {
    let mut world = world();
    assert_eq!(vcpu_call(&mut world, op::OP_IS_UP, 1, 0), 1);
    assert_eq!(vcpu_call(&mut world, op::OP_DOWN, 1, 0), 0);
    assert_eq!(vcpu_call(&mut world, op::OP_IS_UP, 1, 0), 0);
    assert!(!world.kit.hv.may_run(SECOND));
    assert_eq!(vcpu_call(&mut world, op::OP_UP, 1, 0), 0);
    world.run(SECOND);
    world.run(V);
    vcpu_call(&mut world, op::OP_DOWN, 1, 0);
    assert_eq!(vcpu_call(&mut world, op::OP_DOWN, 0, 0), 0);
    let domain = world.kit.hv.domain(1).unwrap();
    assert!(domain.shut_down && domain.shutdown_reason == SHUTDOWN_POWEROFF);
}

#[test]
fn vcpus_that_do_not_exist_or_have_no_state_are_refused() {
    let mut world = world();
    for number in [2, 31, 32, 0xffff, 0x1_0000, 0xffff_ffff] {
        for operation in [op::OP_INITIALISE, op::OP_UP, op::OP_DOWN, op::OP_IS_UP, 99] {
            assert_eq!(vcpu_call(&mut world, operation, number, 0), error(Errno::NOENT), "{operation} {number:#x}");
        }
    }
    world.state(SECOND).initialised = false;
    world.state(SECOND).sched.online = false;
    assert_eq!(vcpu_call(&mut world, op::OP_UP, 1, 0), error(Errno::INVAL));
    assert_eq!(vcpu_call(&mut world, op::OP_IS_UP, 1, 0), 0);
}

#[test]
fn one_shot_timers_are_for_the_caller_and_may_have_passed() {
    let mut world = world();
    let port = world.virq(V, VIRQ_TIMER);
    let past = SetSingleshotTimer { timeout_abs_ns: 5, ..SetSingleshotTimer::default() };
    // As on Xen the flag means nothing.
    let insisting = SetSingleshotTimer { flags: op::SSHOTTMR_FUTURE, ..past };
    world.put(0, &insisting);
    assert_eq!(vcpu_call(&mut world, op::OP_SET_SINGLESHOT_TIMER, 0, WINDOW), 0);
    assert!(world.pending(1, port));
    let future = SetSingleshotTimer { timeout_abs_ns: world.now() + MS, flags: op::SSHOTTMR_FUTURE, _pad: 0 };
    world.put(0, &future);
    assert_eq!(vcpu_call(&mut world, op::OP_SET_SINGLESHOT_TIMER, 0, WINDOW), 0);
    assert!(world.kit.hv.machine.timer.get().is_some_and(|timer| timer <= future.timeout_abs_ns), "an interrupt by then");
    assert_eq!(vcpu_call(&mut world, op::OP_SET_SINGLESHOT_TIMER, 1, WINDOW), error(Errno::INVAL));
    assert_eq!(vcpu_call(&mut world, op::OP_STOP_SINGLESHOT_TIMER, 1, 0), error(Errno::INVAL));
    assert_eq!(world.state(V).time.singleshot, future.timeout_abs_ns);
    assert_eq!(vcpu_call(&mut world, op::OP_STOP_SINGLESHOT_TIMER, 0, 0), 0);
    assert_eq!(world.state(V).time.singleshot, 0);
}

#[test]
fn periods_are_bounded() {
    let mut world = world();
    for (period_ns, result) in [
        (0, error(Errno::INVAL)),
        (MS - 1, error(Errno::INVAL)),
        (MS, 0),
        (1 << 50, 0),
        ((1 << 50) + 1, error(Errno::INVAL)),
        (u64::MAX, error(Errno::INVAL)),
    ] {
        world.put(0, &SetPeriodicTimer { period_ns });
        assert_eq!(vcpu_call(&mut world, op::OP_SET_PERIODIC_TIMER, 1, WINDOW), result, "{period_ns}");
    }
    assert_eq!(world.state(SECOND).time.period(), Some(1 << 50));
    assert_eq!(vcpu_call(&mut world, op::OP_STOP_PERIODIC_TIMER, 1, 0), 0);
    assert_eq!(world.state(SECOND).time.period(), None);
}

#[test]
fn runstates_are_told_and_areas_registered_only_where_guests_live() {
    let mut world = world();
    world.pass(4 * MS);
    assert_eq!(vcpu_call(&mut world, op::OP_GET_RUNSTATE_INFO, 0, WINDOW), 0);
    let info: RunstateInfo = world.take(0);
    assert_eq!((info.state, info.time.iter().sum::<u64>()), (op::RUNSTATE_RUNNING, world.now()));
    assert!(info.time[0] >= 4 * MS);
    for operation in [op::OP_REGISTER_RUNSTATE_MEMORY_AREA, op::OP_REGISTER_VCPU_TIME_MEMORY_AREA] {
        for addr in [0xffff_8000_0000_0000, 0xffff_87ff_ffff_ffff, 0x8000_0000_0000] {
            world.put(0, &RegisterArea { addr });
            assert_eq!(vcpu_call(&mut world, operation, 0, WINDOW), error(Errno::FAULT));
        }
        // Written at once if it can be, and no error if not; NULL unregisters.
        for addr in [6 << 12, sched_world::UNMAPPED, 0] {
            world.put(0, &RegisterArea { addr });
            assert_eq!(vcpu_call(&mut world, operation, 0, WINDOW), 0);
        }
    }
    let machine = &world.kit.hv.machine;
    assert_ne!(machine.guest_read(6 << 12).unwrap() >> 32, u64::from(u32::MAX));
    assert_ne!(machine.guest_read((6 << 12) + 24).unwrap(), 0, "the clock's rate, or time spent");
    assert_eq!((world.state(V).time.runstate_area, world.state(V).time.time_area), (0, 0));
}

fn register_info(world: &mut World, number: u64, mfn: Mfn, offset: u32) -> i64 {
    world.put(0, &RegisterVcpuInfo { mfn: mfn.0, offset, ..RegisterVcpuInfo::default() });
    vcpu_call(world, op::OP_REGISTER_VCPU_INFO, number, WINDOW)
}

#[test]
fn vcpu_info_moves_once_and_takes_its_state_along() {
    let mut world = World::new();
    let guest = world.domain(1, 2);
    world.domain(2, 1);
    world.run(V);
    let page = guest.frames[8];
    let port = world.port(V);
    world.set_mask(V, true);
    world.send(1, port);
    assert_eq!(register_info(&mut world, 0, page, 128), 0);
    let moved: abi::shared_info::VcpuInfo = world.read(page, 128);
    assert_eq!((moved.evtchn_upcall_pending, moved.evtchn_upcall_mask), (1, 1));
    assert_eq!(moved.evtchn_pending_sel, u64::MAX, "every port is looked at");
    assert_ne!(moved.time.tsc_to_system_mul, 0);
    assert_eq!(register_info(&mut world, 0, page, 0), error(Errno::INVAL));
    // The frame is held as writable: it cannot become a table.
    assert_ne!(world.kit.ext(1, abi::mmu::EXT_PIN_L1_TABLE, page.0, 0), 0);
    assert_eq!(world.state(V).info_offset, 128);
}

#[test]
fn vcpu_info_goes_to_no_table_no_strangers_frame_and_across_no_edge() {
    let mut world = World::new();
    let guest = world.domain(1, 2);
    let stranger = world.domain(2, 1);
    world.run(V);
    for offset in [4, 4096 - 56, 4096, u32::MAX - 7] {
        assert_eq!(register_info(&mut world, 0, guest.frames[8], offset), error(Errno::NXIO), "{offset}");
    }
    for (mfn, offset) in
        [(guest.l1(), 0), (guest.l4(), 0), (stranger.frames[8], 0), (Mfn(0), 0), (Mfn(511), 0), (Mfn(512), 0), (Mfn(u64::MAX), 0)]
    {
        assert_eq!(register_info(&mut world, 0, mfn, offset), error(Errno::INVAL), "{mfn:?} {offset}");
    }
    let shared_info = world.kit.hv.domain(1).unwrap().shared_info;
    assert_eq!((world.state(V).info_mfn, world.state(V).info_registered), (shared_info, false));
    assert_eq!(register_info(&mut world, 1, guest.frames[8], 4096 - 64), 0);
}

// vcpu_op initialise

fn fresh_vcpu() -> (World, domus_hv_core::fake::kit::Guest, VcpuGuestContext) {
    let mut world = World::new();
    let guest = world.domain(1, 2);
    world.run(V);
    vcpu_call(&mut world, op::OP_DOWN, 1, 0);
    domus_hv_core::mm::base::drop_tables(world.hv(), SECOND);
    world.state(SECOND).initialised = false;
    let mut context = VcpuGuestContext::new_zeroed();
    context.flags = VGCF_IN_KERNEL;
    context.ctrlreg[3] = guest.l4().address();
    (world, guest, context)
}

fn initialise(world: &mut World, context: &VcpuGuestContext) -> i64 {
    world.put(1024, context);
    vcpu_call(world, op::OP_INITIALISE, 1, WINDOW + 1024)
}

#[test]
fn a_vcpu_gets_the_state_that_it_was_given_made_harmless() {
    let (mut world, guest, mut context) = fresh_vcpu();
    context.flags |= VGCF_ONLINE | abi::context::VGCF_SYSCALL_DISABLES_EVENTS | abi::context::VGCF_I387_VALID;
    context.fpu_ctxt = [0xff; 512];
    context.user_regs.rip = 0x1234;
    context.user_regs.rflags = u64::MAX;
    context.user_regs.cs = 8;
    context.user_regs.ss = 0x10;
    context.kernel_ss = 0x18;
    context.kernel_sp = 0xffff_8800_0000_1000;
    context.trap_ctxt[14].address = 0x5678;
    context.syscall_callback_eip = 0x9abc;
    context.ctrlreg[4] = u64::MAX;
    context.debugreg[7] = 0xd800;
    context.gs_base_kernel = 0xffff_ffff_8000_0000;
    assert_eq!(initialise(&mut world, &context), 0);
    let state = world.state(SECOND);
    assert_eq!((state.kernel_table, state.user_table), (guest.l4().0, 0));
    assert_eq!((state.regs.rip, state.regs.cs, state.regs.ss, state.kernel_ss), (0x1234, 0xb, 0x13, 0x1b));
    assert_eq!(state.regs.rflags & (0x2_3000 | 1 << 14), 0, "I/O privilege, VM86 or nested task");
    assert_eq!(state.regs.rflags & 0x202, 0x202);
    assert_eq!(state.iopl, 0x3000);
    assert_eq!(state.fpu[26..28], [0, 0], "reserved bits of MXCSR");
    assert_eq!((state.traps[14].address, state.traps[14].cs & 3), (0x5678, 3));
    assert_eq!((state.callbacks[2].address, state.callbacks[2].flags), (0x9abc, 1));
    assert_eq!((state.debug[6], state.debug[7]), (0xffff_0ff0, 0x400));
    assert_eq!(state.cr4 & 1 << 20, 0, "SMEP is not the guest's");
    assert_eq!(state.gs_base_kernel, 0xffff_ffff_8000_0000);
    assert!(world.kit.hv.may_run(SECOND));
    assert_eq!(initialise(&mut world, &context), error(Errno::EXIST));
    world.run(SECOND);
    let told = domus_hv_core::context::get(&world.kit.hv, V);
    assert!(told.is_ok(), "it is not on the CPU");
    assert_eq!(domus_hv_core::context::get(&world.kit.hv, SECOND).unwrap_err(), Errno::BUSY);
    world.kit.check();
}

#[test]
fn without_an_fpu_state_a_vcpu_starts_as_after_a_reset_and_offline() {
    let (mut world, _, context) = fresh_vcpu();
    assert_eq!(initialise(&mut world, &context), 0);
    let state = world.state(SECOND);
    assert_eq!((&state.fpu[..2], &state.fpu[24..28]), (&[0x7f, 3][..], &[0x80, 0x1f, 0, 0][..]));
    assert!(!world.kit.hv.may_run(SECOND));
    assert_eq!(vcpu_call(&mut world, op::OP_UP, 1, 0), 0);
    assert!(world.kit.hv.may_run(SECOND));
}

/// Makes one thing in a context wrong, with an address that is not canonical if it needs one.
type Spoil = fn(&mut VcpuGuestContext, u64);

#[test]
fn contexts_that_may_not_be_are_refused_and_leave_nothing_behind() {
    let bad = 0x8000_0000_0000_u64;
    let spoil: [(&str, Spoil); 26] = [
        ("rip", |c, bad| c.user_regs.rip = bad),
        ("rsp", |c, bad| c.user_regs.rsp = bad),
        ("kernel_sp", |c, bad| c.kernel_sp = bad),
        ("fs_base", |c, bad| c.fs_base = bad),
        ("gs_base_kernel", |c, bad| c.gs_base_kernel = bad),
        ("gs_base_user", |c, bad| c.gs_base_user = bad),
        ("event callback", |c, bad| c.event_callback_eip = bad),
        ("failsafe callback", |c, bad| c.failsafe_callback_eip = bad),
        ("syscall callback", |c, bad| c.syscall_callback_eip = bad),
        ("a trap", |c, bad| c.trap_ctxt[255].address = bad),
        ("LDT not canonical", |c, bad| (c.ldt_ents, c.ldt_base) = (1, bad)),
        ("LDT in the hypervisor", |c, _| (c.ldt_ents, c.ldt_base) = (1, 0xffff_8000_0000_0000)),
        ("LDT not aligned", |c, _| (c.ldt_ents, c.ldt_base) = (1, 0x1008)),
        ("LDT too long", |c, _| c.ldt_ents = 8193),
        ("GDT too long", |c, _| c.gdt_ents = 7169),
        ("GDT huge", |c, _| c.gdt_ents = u64::MAX),
        ("GDT of a stranger", |c, _| (c.gdt_ents, c.gdt_frames[0]) = (1, 0)),
        ("breakpoint", |c, _| c.debugreg[3] = 0xffff_8000_0000_0000),
        ("DR6", |c, _| c.debugreg[6] = 1 << 32),
        ("DR7", |c, _| c.debugreg[7] = 1 << 13),
        ("assists", |c, _| c.vm_assist = 1 << 33),
        ("user mode without a table", |c, _| c.flags = 0),
        ("no kernel table", |c, _| c.ctrlreg[3] = 0),
        ("kernel table outside memory", |c, _| c.ctrlreg[3] = u64::MAX),
        ("user table outside memory", |c, _| c.ctrlreg[1] = 0x7fff_f000),
        ("user table that is none", |c, _| c.ctrlreg[1] = c.ctrlreg[3] + 0x1000),
    ];
    let (mut world, _, good) = fresh_vcpu();
    for (what, spoil) in spoil {
        let mut context = good;
        spoil(&mut context, bad);
        assert_eq!(initialise(&mut world, &context), error(Errno::INVAL), "{what}");
        let state = world.state(SECOND);
        assert!(!state.initialised && state.kernel_table == 0 && state.gdt_entries == 0 && state.ldt_entries == 0, "{what}");
        world.kit.check();
    }
    for address in HOSTILE {
        assert_eq!(vcpu_call(&mut world, op::OP_INITIALISE, 1, address), error(Errno::FAULT));
    }
    assert_eq!(initialise(&mut world, &good), 0);
}

#[test]
fn a_vcpu_that_has_tables_keeps_them() {
    use domus_hv_core::context;
    let (mut world, _, good) = fresh_vcpu();
    assert_eq!(initialise(&mut world, &good), 0);
    let spoil: [fn(&mut VcpuGuestContext); 5] =
        [|c| c.ctrlreg[3] += 0x1000, |c| c.ctrlreg[1] = c.ctrlreg[3], |c| c.gdt_ents = 1, |c| c.gdt_frames[15] = 1, |c| c.ldt_ents = 1];
    for (index, spoil) in spoil.into_iter().enumerate() {
        let mut context = context::get(&world.kit.hv, SECOND).unwrap();
        spoil(&mut context);
        let result = context::set(world.hv(), SECOND, &context);
        // A frame beyond the table's length means nothing.
        assert_eq!(result, if index == 3 { Ok(()) } else { Err(Errno::OPNOTSUPP) }, "{index}");
    }
    let mut context = context::get(&world.kit.hv, SECOND).unwrap();
    context.user_regs.rax = 77;
    assert_eq!(context::set(world.hv(), SECOND, &context), Ok(()));
    assert_eq!(context::get(&world.kit.hv, SECOND).unwrap().user_regs.rax, 77);
    assert_eq!(context::set(world.hv(), V, &context), Err(Errno::BUSY));
    assert_eq!(context::set(world.hv(), vcpu(1, 9), &context), Err(Errno::NOENT));
    world.state(SECOND).initialised = false;
    assert_eq!(context::get(&world.kit.hv, SECOND).unwrap_err(), Errno::NODATA);
}

#[test]
fn a_descriptor_table_is_taken_with_the_page_tables_or_not_at_all() {
    let (mut world, guest, good) = fresh_vcpu();
    // A frame that the guest maps writable is no descriptor table; one that it does not map may be.
    let mut context = good;
    (context.gdt_ents, context.gdt_frames[0]) = (512, guest.frames[9].0);
    assert_eq!(initialise(&mut world, &context), error(Errno::INVAL));
    assert_eq!(world.kit.update_va(1, guest.va(9), 0, 0), 0);
    context.ctrlreg[3] = 0;
    assert_eq!(initialise(&mut world, &context), error(Errno::INVAL));
    let state = world.state(SECOND);
    assert_eq!((state.gdt_entries, state.gdt_frames[0]), (0, 0));
    world.kit.check();
    context.ctrlreg[3] = good.ctrlreg[3];
    assert_eq!(initialise(&mut world, &context), 0);
    let state = world.state(SECOND);
    assert_eq!((state.gdt_entries, state.gdt_frames[0]), (512, guest.frames[9].0));
    world.kit.check();
}

#[test]
fn a_registered_vcpu_info_lets_its_frame_go_even_if_it_is_shared_info() {
    let mut world = World::new();
    let guest = world.domain(1, 2);
    world.run(V);
    let shared_info = Mfn(world.kit.hv.domain(1).unwrap().shared_info);
    for (number, mfn) in [(0, shared_info), (1, guest.frames[8])] {
        let refs = |world: &World| world.kit.hv.frames.get(mfn).unwrap().refs();
        let before = refs(&world);
        assert_eq!(register_info(&mut world, number, mfn, 3200), 0);
        assert_eq!(refs(&world), before + 1);
        domus_hv_core::context::vcpu_info::release(world.hv(), vcpu(1, number as u16));
        assert_eq!(refs(&world), before);
    }
}
