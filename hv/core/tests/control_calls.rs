//! The control hypercall, as a toolstack uses it: a domain from nothing to running to gone, and what is refused on the way.

mod sched_world;

use abi::context::{VGCF_IN_KERNEL, VGCF_ONLINE, VcpuGuestContext};
use abi::control::{self, Domain, DomainCreate, DomainInfo, DomainLimits, LogRead, MachineInfo, Power, VERSION, VcpuContext};
use abi::errno::Errno;
use abi::memory::OP_POPULATE_PHYSMAP;
use domus_hv_core::fake::kit::{RO, RW, entry};
use domus_hv_core::fake::{Kit, WINDOW};
use domus_hv_core::hypercalls::control::handler;
use domus_hv_core::ids::{Mfn, VcpuRef};
use domus_hv_core::machine::{Level, Machine};
use domus_hv_core::sched::MachineExit;
use sched_world::{HOSTILE, World, vcpu};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

const DOM0: VcpuRef = VcpuRef { domain: 0, vcpu: 0 };
/// Where a context lies in the window.
const CONTEXT: usize = 0x1000;

fn world() -> World {
    let mut world = World::new();
    world.domain(0, 1);
    world.domain(1, 1);
    world
}

fn error(errno: Errno) -> i64 {
    errno.as_ret()
}

/// An operation by domain 0; its result, and the structure afterwards.
fn op<T: FromBytes + IntoBytes + Immutable>(world: &mut World, operation: u32, argument: &T) -> (i64, T) {
    world.put(0, argument);
    let result = world.call(DOM0, handler, [operation.into(), VERSION.into(), WINDOW, 0, 0]);
    (result, world.take(0))
}

fn named(world: &mut World, operation: u32, domid: u32) -> i64 {
    op(world, operation, &Domain { domid, _pad: 0 }).0
}

fn info(world: &mut World, domid: u32) -> Option<DomainInfo> {
    let (result, info) = op(world, control::OP_DOMAIN_INFO, &DomainInfo { domid, ..DomainInfo::default() });
    (result == 0).then_some(info)
}

fn machine(world: &mut World) -> MachineInfo {
    op(world, control::OP_MACHINE_INFO, &MachineInfo::default()).1
}

fn wanted(domid: u32) -> DomainCreate {
    DomainCreate {
        domid,
        max_vcpus: 2,
        max_frames: 40,
        max_event_channels: 63,
        max_grant_frames: 1,
        max_maptrack_frames: 1,
        handle: *b"a handle of 16 b",
        ..DomainCreate::default()
    }
}

fn create(world: &mut World, domid: u32) -> (i64, DomainCreate) {
    op(world, control::OP_DOMAIN_CREATE, &wanted(domid))
}

/// Gives a domain five frames, four of them its page tables, filled by domain 0's hand; tells them.
fn fill(kit: &mut Kit, domid: u16) -> Vec<u64> {
    let (done, frames) = kit.reservation(0, OP_POPULATE_PHYSMAP, domid, 0, &[0, 1, 2, 3, 4]);
    assert_eq!(done, 5);
    let word = |table: usize, index: usize, value| {
        kit.hv.machine.word(Mfn(frames[table]), index).store(value, std::sync::atomic::Ordering::SeqCst)
    };
    (0..3).for_each(|level| word(level, 0, entry(Mfn(frames[level + 1]), RW)));
    (0..5).for_each(|page| word(3, page, entry(Mfn(frames[page]), if page < 4 { RO } else { RW })));
    frames
}

fn set_context(world: &mut World, domid: u32, set: u32, context: &VcpuGuestContext) -> i64 {
    world.put(CONTEXT, context);
    let request = VcpuContext { domid, vcpu: 0, set, _pad: 0, context: WINDOW + CONTEXT as u64 };
    op(world, control::OP_VCPU_CONTEXT, &request).0
}

#[test]
fn another_version_is_refused_and_told() {
    let mut world = world();
    for version in [0, VERSION + 1, u32::MAX] {
        assert_eq!(world.call(DOM0, handler, [control::OP_VERSION.into(), version.into(), 0, 0, 0]), VERSION.into());
        for operation in [control::OP_MACHINE_INFO, control::OP_POWER, 99] {
            assert_eq!(world.call(DOM0, handler, [operation.into(), version.into(), WINDOW, 0, 0]), error(Errno::PROTONOSUPPORT));
        }
    }
    assert_eq!(world.call(DOM0, handler, [99, VERSION.into(), WINDOW, 0, 0]), error(Errno::NOSYS));
    for operation in 1..=12 {
        for address in HOSTILE {
            assert_eq!(world.call(DOM0, handler, [operation, VERSION.into(), address, 0, 0]), error(Errno::FAULT), "{operation}");
        }
    }
    assert_eq!(world.kit.hv.machine_exit, None);
}

#[test]
fn a_domain_is_made_filled_started_paused_and_taken_back() {
    let mut world = world();
    let before = machine(&mut world);
    let (result, made) = create(&mut world, control::DOMID_ANY);
    assert_eq!((result, made.domid), (0, 2), "the next number");
    let new = info(&mut world, 2).expect("it exists");
    assert_eq!((new.domid, new.max_vcpu, new.vcpus_online, new.handle), (2, 2, 0, *b"a handle of 16 b"));
    assert_eq!((new.max_frames, new.shared_info_mfn), (40, made.shared_info_mfn));
    assert_eq!(new.flags & (control::FLAG_PAUSED | control::FLAG_PRIVILEGED), control::FLAG_PAUSED);
    let frames = fill(&mut world.kit, 2);
    let mut context = VcpuGuestContext::new_zeroed();
    context.flags = VGCF_IN_KERNEL | VGCF_ONLINE;
    context.user_regs.rip = 0x4321;
    context.ctrlreg[3] = frames[0] << 12;
    assert_eq!(set_context(&mut world, 2, 0, &context), error(Errno::NODATA), "there is nothing to read yet");
    assert_eq!(named(&mut world, control::OP_DOMAIN_UNPAUSE, 2), error(Errno::INVAL), "it has nothing to run");
    assert_eq!(set_context(&mut world, 2, 1, &context), 0);
    assert_eq!(set_context(&mut world, 2, 2, &context), error(Errno::INVAL));
    assert_eq!(set_context(&mut world, 2, 0, &VcpuGuestContext::new_zeroed()), 0);
    assert_eq!(world.take::<VcpuGuestContext>(CONTEXT).user_regs.rip, 0x4321);
    assert!(!world.kit.hv.may_run(vcpu(2, 0)));
    assert_eq!(named(&mut world, control::OP_DOMAIN_UNPAUSE, 2), 0);
    assert_eq!(set_context(&mut world, 2, 0, &context), error(Errno::BUSY), "it may change at any time");
    world.run(vcpu(2, 0));
    assert_eq!(info(&mut world, 2).map(|info| (info.vcpus_online, info.page_table_frames)), Some((1, 4)));
    assert_eq!(named(&mut world, control::OP_DOMAIN_PAUSE, 2), 0);
    assert!(!world.kit.hv.may_run(vcpu(2, 0)));
    world.schedule();
    world.kit.check();
    assert_eq!(named(&mut world, control::OP_DOMAIN_DESTROY, 2), 0);
    assert!(info(&mut world, 2).is_none());
    let after = machine(&mut world);
    assert_eq!((after.free_frames, after.domains, after.hypervisor_frames), (before.free_frames, 2, before.hypervisor_frames));
    world.kit.check();
}

#[test]
fn a_domain_that_dies_gets_no_context() {
    let mut world = world();
    assert_eq!(create(&mut world, 2).0, 0);
    let last = fill(&mut world.kit, 2)[4];
    // Domain 0 maps a frame of it, so it cannot go yet.
    let own = world.kit.hv.vcpu(DOM0).expect("it runs").kernel_table;
    let place = world.kit.hv.mm().walk(Mfn(own), 100 << 12).expect("it has a table there");
    let place = place.table.address() + 8 * place.index as u64;
    world.kit.permitted.mappings.push((0, Mfn(last)));
    assert_eq!(world.kit.mmu_update_for(0, &[(place, entry(Mfn(last), RO))], 2), 0);
    assert_eq!(named(&mut world, control::OP_DOMAIN_DESTROY, 2), 0);
    assert!(info(&mut world, 2).is_some_and(|info| info.flags & control::FLAG_DYING != 0));
    // Its vCPU would hold the frame as its page table, and the domain would stay when domain 0 lets go.
    let mut context = VcpuGuestContext::new_zeroed();
    context.flags = VGCF_IN_KERNEL;
    context.ctrlreg[3] = last << 12;
    assert_eq!(set_context(&mut world, 2, 1, &context), error(Errno::SRCH));
    assert_eq!(world.kit.mmu_update(0, &[(place, 0)]), 0);
    machine(&mut world);
    assert!(info(&mut world, 2).is_none());
    world.kit.check();
}

#[test]
fn numbers_are_reused_as_late_as_possible() {
    let mut world = world();
    assert_eq!(create(&mut world, control::DOMID_ANY).1.domid, 2);
    assert_eq!(named(&mut world, control::OP_DOMAIN_DESTROY, 2), 0);
    assert_eq!(create(&mut world, control::DOMID_ANY).1.domid, 3);
    assert_eq!(create(&mut world, 2).0, 0, "by name it may be had at once");
    assert_eq!(create(&mut world, 2).0, error(Errno::EXIST));
    assert_eq!(create(&mut world, 0).0, error(Errno::EXIST));
    for number in [512, 0x7ff0, 0x1_0002] {
        assert_eq!(create(&mut world, number).0, error(Errno::INVAL), "{number:#x}");
    }
}

#[test]
fn a_domain_that_cannot_be_made_leaves_nothing() {
    let mut world = world();
    let before = machine(&mut world);
    let wrong = [
        (DomainCreate { max_vcpus: 0, ..wanted(5) }, Errno::INVAL),
        (DomainCreate { max_vcpus: 33, ..wanted(5) }, Errno::INVAL),
        (DomainCreate { flags: 1, ..wanted(5) }, Errno::INVAL),
    ];
    for (request, errno) in wrong {
        assert_eq!(op(&mut world, control::OP_DOMAIN_CREATE, &request).0, error(errno));
    }
    // Take most of the memory, so that it runs out at different places.
    for left in 0..before.free_frames.min(24) {
        let taken = world.kit.hv.frames.stats().free - left;
        world.kit.empty_domain(9, taken);
        let held = std::iter::from_fn(|| world.kit.hv.frames.allocate_for(&world.kit.hv.machine, 9).ok()).count();
        assert_eq!(held as u64, taken);
        let (result, _) = create(&mut world, 5);
        assert!(result == 0 || result == error(Errno::NOMEM), "{left} frames: {result}");
        if result == 0 {
            assert_eq!(named(&mut world, control::OP_DOMAIN_DESTROY, 5), 0);
        }
        assert_eq!(world.kit.hv.frames.stats().free, left);
        world.kit.destroy(9);
    }
    assert_eq!(machine(&mut world).free_frames, before.free_frames);
}

#[test]
fn a_list_goes_from_domain_to_domain() {
    let mut world = world();
    assert_eq!(create(&mut world, 7).0, 0);
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(info) = info(&mut world, next) {
        found.push(info.domid);
        next = info.domid + 1;
    }
    assert_eq!(found, [0, 1, 7]);
    assert!(info(&mut world, u32::MAX).is_none());
    assert_ne!(info(&mut world, 0).unwrap().flags & control::FLAG_PRIVILEGED, 0);
}

#[test]
fn nobody_controls_itself_or_what_is_not_there() {
    let mut world = world();
    for operation in [control::OP_DOMAIN_DESTROY, control::OP_DOMAIN_PAUSE, control::OP_DOMAIN_UNPAUSE] {
        assert_eq!(named(&mut world, operation, 0), error(Errno::INVAL));
        for number in [5, 0x7ff0, 0x1_0001, u32::MAX] {
            assert_eq!(named(&mut world, operation, number), error(Errno::SRCH), "{number:#x}");
        }
    }
    assert_eq!(set_context(&mut world, 0, 0, &VcpuGuestContext::new_zeroed()), error(Errno::INVAL));
    assert_eq!(set_context(&mut world, 5, 0, &VcpuGuestContext::new_zeroed()), error(Errno::NOENT));
}

#[test]
fn limits_change_what_is_not_zero() {
    let mut world = world();
    let mut change = |limits: DomainLimits| op(&mut world, control::OP_DOMAIN_LIMITS, &limits).0;
    let nothing = DomainLimits { domid: 1, ..DomainLimits::default() };
    assert_eq!(change(DomainLimits { weight: 512, ..nothing }), 0);
    assert_eq!(change(DomainLimits { max_frames: 3, cap: control::CAP_NONE, ..nothing }), 0);
    assert_eq!(change(nothing), 0);
    assert_eq!(change(DomainLimits { cap: 50, weight: 7, ..nothing }), error(Errno::OPNOTSUPP));
    assert_eq!(change(DomainLimits { domid: 5, ..nothing }), error(Errno::SRCH));
    let told = info(&mut world, 1).unwrap();
    assert_eq!((told.weight, told.max_frames), (512, 3));
    assert!(world.kit.hv.frames.allocate_for(&world.kit.hv.machine, 1).is_err(), "it has more already");
}

#[test]
fn the_log_is_read_in_pieces() {
    let mut world = world();
    let long: String = (0..100).map(|number| format!("line {number}, ")).collect();
    world.kit.hv.machine.log(Level::Info, format_args!("{long}"));
    assert_eq!(machine(&mut world).log_end, long.len() as u64 + 1);
    let (mut read, mut sequence) = (Vec::new(), 0);
    loop {
        let request = LogRead { buffer: WINDOW + CONTEXT as u64, length: 300, written: 77, sequence };
        let (result, told) = op(&mut world, control::OP_LOG_READ, &request);
        assert_eq!(result, 0);
        if told.written == 0 {
            break;
        }
        assert!(told.written <= 300 && told.sequence == sequence + u64::from(told.written));
        read.extend(world.kit.hv.machine.take(CONTEXT, told.written as usize));
        sequence = told.sequence;
    }
    assert_eq!(String::from_utf8(read).unwrap(), format!("{long}\n"));
    let request = LogRead { buffer: HOSTILE[0], length: 300, written: 0, sequence: 0 };
    assert_eq!(op(&mut world, control::OP_LOG_READ, &request).0, error(Errno::FAULT));
}

#[test]
fn power_ends_the_machine_with_a_status() {
    let ends = [(control::POWER_OFF, MachineExit::PowerOff { status: 3 }), (control::POWER_REBOOT, MachineExit::Reboot { status: 3 })];
    for (action, exit) in ends {
        let mut world = world();
        assert_eq!(op(&mut world, control::OP_POWER, &Power { action: 2, status: 3 }).0, error(Errno::INVAL));
        assert_eq!(world.kit.hv.machine_exit, None);
        assert_eq!(op(&mut world, control::OP_POWER, &Power { action, status: 3 }).0, 0);
        assert_eq!(world.kit.hv.machine_exit, Some(exit));
        assert!(world.kit.hv.cpus[0].reschedule);
    }
}

#[test]
fn reserved_fields_must_be_zero() {
    let mut world = world();
    let create = DomainCreate { _reserved: 1, ..wanted(control::DOMID_ANY) };
    assert_eq!(op(&mut world, control::OP_DOMAIN_CREATE, &create).0, error(Errno::INVAL));
    assert_eq!(op(&mut world, control::OP_DOMAIN_PAUSE, &Domain { domid: 1, _pad: 1 }).0, error(Errno::INVAL));
    let limits = DomainLimits { domid: 1, _pad: 1, ..DomainLimits::default() };
    assert_eq!(op(&mut world, control::OP_DOMAIN_LIMITS, &limits).0, error(Errno::INVAL));
    let context = VcpuContext { domid: 1, _pad: 1, ..VcpuContext::default() };
    assert_eq!(op(&mut world, control::OP_VCPU_CONTEXT, &context).0, error(Errno::INVAL));
}
