//! Interrupts of PCI functions: an entry of an MSI-X table becomes an event, and only as long as its port is open.

mod sched_world;

use abi::control::{self, MsiBind, VERSION};
use abi::errno::Errno;
use abi::event::{BindVcpu, OP_BIND_VCPU, OP_CLOSE, OP_SEND, Port, STATUS_PIRQ};
use domus_hv_core::devices::{Function, msi};
use domus_hv_core::events;
use domus_hv_core::fake::kit::{RO, entry};
use domus_hv_core::firmware::Ecam;
use domus_hv_core::hypercalls::{control as call, event_channel_op};
use domus_hv_core::ids::VcpuRef;
use domus_hv_core::lifecycle::{self, Limits, Progress};
use domus_hv_core::machine::Machine;
use sched_world::{HOSTILE, World, vcpu};

const DOM0: VcpuRef = VcpuRef { domain: 0, vcpu: 0 };
/// Configuration space of bus 2, the first of segment 1.
const ECAM: u64 = 0x4000_0000;
const BUS: u8 = 2;
const DEVFN: u8 = 3 << 3 | 1;
const FUNCTION: u64 = ECAM + ((BUS as u64) << 20) + ((DEVFN as u64) << 12);
/// Its address register 2 (64 bits wide), and where in it the table is.
const BAR: u64 = 0x2_0000_0000;
const TABLE: u64 = BAR + 0x2000;
const ENTRIES: u32 = 300;
const CONTROL: u64 = FUNCTION + 0x50;
const ENABLE: u32 = 1 << 31;
const MASK_ALL: u32 = 1 << 30;

fn world() -> World {
    let mut world = World::new();
    world.domain(0, 2);
    world.domain(1, 1);
    world.hv().platform.ecam[0] = Some(Ecam { base: ECAM, segment: 1, first_bus: 2, last_bus: 3 });
    let words = [
        (0x00, 0x1234_1af4),
        (0x04, 0x0010_0006),
        (0x0c, 0),
        (0x18, BAR as u32 | 4),
        (0x1c, (BAR >> 32) as u32),
        (0x34, 0x40),
        (0x40, 0x0000_5009),
        (0x50, 0x0011 | (ENTRIES - 1) << 16 | MASK_ALL),
        (0x54, 0x2000 | 2),
        (0x58, 0x1000 | 2),
    ];
    for (offset, word) in words {
        set(&world, FUNCTION + offset, word);
    }
    // What firmware left: entries that would send to anywhere.
    for entry in 0..u64::from(ENTRIES) {
        [0x1111_1110, 0, 0x99, 0].iter().zip(0..).for_each(|(&word, index)| set(&world, TABLE + 16 * entry + 4 * index, word));
    }
    world
}

fn set(world: &World, register: u64, word: u32) {
    world.kit.hv.machine.registers.borrow_mut().insert(register, word);
}

fn read(world: &World, register: u64) -> u32 {
    world.kit.hv.machine.registers.borrow()[&register]
}

/// Address (low, high), data and control of an entry.
fn message(world: &World, entry: u32) -> [u32; 4] {
    [0, 4, 8, 12].map(|word| read(world, TABLE + 16 * u64::from(entry) + word))
}

fn masked(world: &World, entry: u32) -> bool {
    message(world, entry)[3] & 1 != 0
}

fn error(errno: Errno) -> i64 {
    errno.as_ret()
}

fn wanted(entry: u32) -> MsiBind {
    MsiBind { segment: 1, bus: BUS, devfn: DEVFN, entry, port: 0, _pad: 0 }
}

fn ask(world: &mut World, request: MsiBind) -> Result<u32, i64> {
    let result = world.op(DOM0, with_version, control::OP_MSI_BIND, &request);
    check(world);
    if result == 0 { Ok(world.take::<MsiBind>(0).port) } else { Err(result) }
}

fn bind(world: &mut World, entry: u32) -> Result<u32, i64> {
    ask(world, wanted(entry))
}

/// `control` with the version where it belongs.
fn with_version(
    call: &mut domus_hv_core::call::Call<'_, domus_hv_core::fake::FakeMachine>,
    args: [u64; 5],
) -> domus_hv_core::call::Outcome {
    call::handler(call, [args[0], VERSION.into(), args[1], 0, 0])
}

fn close(world: &mut World, port: u32) -> i64 {
    let result = world.op(DOM0, event_channel_op::handler, OP_CLOSE, &Port { port });
    check(world);
    result
}

fn check(world: &World) {
    for domain in 0..2 {
        events::check(&world.kit.hv, domain).expect("ports and interrupts name each other");
    }
}

#[test]
fn a_message_becomes_an_event() {
    let mut world = world();
    let port = bind(&mut world, 7).expect("it is free");
    let (address, data) = world.kit.hv.machine.message(0);
    assert_eq!(message(&world, 7), [address as u32, 0, data, 0], "the hypervisor's own message, unmasked");
    assert_eq!(read(&world, CONTROL) & (ENABLE | MASK_ALL), ENABLE);
    assert!((0..ENTRIES).all(|entry| entry == 7 || masked(&world, entry)), "what the firmware left sends nothing");
    let status = events::status(&world.kit.hv, 0, port).expect("it is open");
    assert_eq!((status.status, status.vcpu, status.u0), (STATUS_PIRQ, 0, 0));
    assert!(!world.pending(0, port));
    msi::interrupt(world.hv(), 0);
    assert!(world.pending(0, port));
    msi::interrupt(world.hv(), 0);
    world.take_events(DOM0);
    assert!(!world.pending(0, port), "two at once are one event");
    // It wakes whom it notifies, also another vCPU, and is no channel to send through.
    assert_eq!(world.op(DOM0, event_channel_op::handler, OP_BIND_VCPU, &BindVcpu { port, vcpu: 1 }), 0);
    world.set_mask(vcpu(0, 1), false);
    msi::interrupt(world.hv(), 0);
    assert!(world.deliverable(vcpu(0, 1)) && !world.deliverable(DOM0));
    assert_eq!(world.op(DOM0, event_channel_op::handler, OP_SEND, &Port { port }), error(Errno::INVAL));
}

#[test]
fn closing_ends_it() {
    let mut world = world();
    let (first, second) = (bind(&mut world, 0).expect("free"), bind(&mut world, 1).expect("free"));
    assert_eq!((close(&mut world, first), masked(&world, 0), masked(&world, 1)), (0, true, false));
    msi::interrupt(world.hv(), 0);
    msi::interrupt(world.hv(), 1);
    msi::interrupt(world.hv(), 77);
    msi::interrupt(world.hv(), 100_000);
    assert!(world.pending(0, second));
    // The place is had again, by another entry and the same port.
    assert_eq!(bind(&mut world, 5), Ok(first));
    assert!(!world.pending(0, first), "a late interrupt is nobody's");
    assert_eq!(message(&world, 5)[2], world.kit.hv.machine.message(0).1);
    while !events::close_all(world.hv(), 0) {}
    check(&world);
    assert!((0..ENTRIES).all(|entry| masked(&world, entry)), "and with the last port all is silent");
    assert_eq!(msi::bound_to(&world.kit.hv, 0), None);
}

#[test]
fn what_is_not_there_is_not_bound() {
    let mut world = world();
    bind(&mut world, 7).expect("free");
    assert_eq!(bind(&mut world, 7), Err(error(Errno::EXIST)));
    for request in [MsiBind { entry: ENTRIES, ..wanted(0) }, MsiBind { entry: u32::MAX, ..wanted(0) }, MsiBind { _pad: 1, ..wanted(0) }] {
        assert_eq!(ask(&mut world, request), Err(error(Errno::INVAL)));
    }
    for request in [
        MsiBind { segment: 0, ..wanted(0) },
        MsiBind { bus: 1, ..wanted(0) },
        MsiBind { bus: 4, ..wanted(0) },
        MsiBind { bus: 3, ..wanted(0) },
        MsiBind { devfn: 0, ..wanted(0) },
    ] {
        assert_eq!(ask(&mut world, request), Err(error(Errno::NODEV)), "{request:?}");
    }
    // No MSI-X; addresses for ports; memory that it does not answer at.
    for (offset, word) in [(0x50, 0x12), (0x18, 1), (0x04, 0x0010_0004)] {
        let before = read(&world, FUNCTION + offset);
        set(&world, FUNCTION + offset, word);
        assert_eq!(bind(&mut world, 0), Err(error(Errno::NODEV)), "{offset:#x}");
        set(&world, FUNCTION + offset, before);
    }
    assert!(bind(&mut world, 0).is_ok());
}

#[test]
fn a_table_is_written_only_where_a_table_may_be() {
    let mut world = world();
    let bar = |world: &World, address: u64| {
        set(world, FUNCTION + 0x18, address as u32 | 4);
        set(world, FUNCTION + 0x1c, (address >> 32) as u32);
    };
    // A domain moved it into memory, over the interrupt controller, or into what it may map.
    world.hv().platform.own_devices[0] = Some((0xfee0_0000, 0xfee0_1000));
    world.hv().frames.devices.permit(0, 0x77000, 0x77001).expect("room");
    for (address, answer) in [(0x10_0000, Errno::NODEV), (0xfedf_e000, Errno::NODEV), (0x76ff_f000 - 0x1000, Errno::PERM)] {
        bar(&world, address);
        assert_eq!(bind(&mut world, 290), Err(error(answer)), "{address:#x}");
    }
    bar(&world, BAR);
    let port = bind(&mut world, 3).expect("back in its place");
    // The same while it is bound: closing writes nothing there. (The machine of the host panics if memory is written as a register.)
    bar(&world, 0x10_0000);
    assert_eq!(close(&mut world, port), 0);
    bar(&world, BAR);
    let port = bind(&mut world, 3).expect("free again");
    set(&world, FUNCTION, u32::MAX);
    assert_eq!(close(&mut world, port), 0, "the function is gone");
}

#[test]
fn a_table_beyond_the_processors_addresses_is_not_touched() {
    let mut world = world();
    let bar = |world: &World, low: u32, high: u32| {
        set(world, FUNCTION + 0x18, low | 4);
        set(world, FUNCTION + 0x1c, high);
    };
    // The last one is what a driver reads that asks for the register's size.
    for (low, high) in [(0, 1 << 4), (0xffff_d000, 0xf), (0, 1 << 20), (0xffff_c000, u32::MAX)] {
        bar(&world, low, high);
        assert_eq!(bind(&mut world, 0), Err(error(Errno::NODEV)), "{high:#x}{low:08x}");
        bar(&world, BAR as u32, (BAR >> 32) as u32);
        let port = bind(&mut world, 0).expect("back in its place");
        bar(&world, low, high);
        assert_eq!(close(&mut world, port), 0);
    }
}

#[test]
fn a_function_that_sends_already_sends_what_is_bound_alone() {
    let mut world = world();
    // By the firmware, or by the domain that writes configuration space.
    set(&world, CONTROL, read(&world, CONTROL) & !MASK_ALL | ENABLE);
    bind(&mut world, 7).expect("it is free");
    assert!((0..ENTRIES).all(|entry| (entry == 7) != masked(&world, entry)));
    bind(&mut world, 8).expect("it is free");
    assert!((0..ENTRIES).all(|entry| (7..9).contains(&entry) != masked(&world, entry)));
}

#[test]
fn there_are_so_many_vectors_and_ports() {
    let mut world = world();
    let ports: Vec<u32> = (0..63).map(|entry| bind(&mut world, entry).expect("free")).collect();
    assert_eq!(bind(&mut world, 63), Err(error(Errno::NOSPC)), "no port");
    assert!(masked(&world, 63));
    world.hv().domains.get_mut(0).expect("it exists").events.set_limit(1023);
    for entry in 63..msi::MAX_MESSAGES as u32 {
        bind(&mut world, entry).expect("free");
    }
    assert_eq!(bind(&mut world, 200), Err(error(Errno::NOSPC)), "no vector");
    assert_eq!(close(&mut world, ports[20]), 0);
    assert_eq!(bind(&mut world, 200), Ok(ports[20]));
}

#[test]
fn a_domain_that_ends_frees_its_vectors() {
    let mut world = world();
    let limits = Limits { vcpus: 1, frames: 16, event_channels: 1023, grant_frames: 1, maptrack_frames: 1 };
    let id = lifecycle::create(world.hv(), None, &limits, [0; 16]).expect("memory for a domain");
    let function = Function { segment: 1, bus: BUS, devfn: DEVFN };
    // More than are closed in a slice.
    for entry in 0..100 {
        msi::bind(world.hv(), id, function, entry).expect("free");
    }
    assert_eq!(bind(&mut world, 7), Err(error(Errno::EXIST)));
    world.kit.run(0);
    let mut slices = 0;
    while lifecycle::destroy(world.hv(), id) != Ok(Progress::Gone) {
        slices += 1;
        assert!(slices < 1000, "the end of a domain goes on for ever");
    }
    assert!((0..100).all(|entry| masked(&world, entry)), "no message comes any more");
    assert!((0..=u8::MAX).all(|slot| msi::bound_to(&world.kit.hv, slot).is_none()));
    // A late one is nobody's.
    msi::interrupt(world.hv(), 7);
    assert!(bind(&mut world, 7).is_ok());
    check(&world);
}

#[test]
fn who_may_not_or_cannot_be_told_gets_nothing() {
    let mut world = world();
    assert_eq!(world.op(vcpu(1, 0), with_version, control::OP_MSI_BIND, &wanted(0)), error(Errno::PERM));
    for address in HOSTILE {
        assert_eq!(world.call(DOM0, with_version, [control::OP_MSI_BIND.into(), address, 0, 0, 0]), error(Errno::FAULT));
    }
    // The request can be read, and the answer not written.
    let page = world.domain(2, 1).frames[8];
    let (mfn, va) = (page, 8 << 12);
    world.hv().domains.get_mut(2).expect("it exists").privileged = true;
    world.kit.hv.machine.write_frame(mfn, 0, zerocopy::IntoBytes::as_bytes(&wanted(0)));
    assert_eq!(world.kit.update_va(2, va, entry(mfn, RO), 0), 0);
    assert_eq!(world.call(vcpu(2, 0), with_version, [control::OP_MSI_BIND.into(), va, 0, 0, 0]), error(Errno::FAULT));
    assert_eq!((msi::bound_to(&world.kit.hv, 0), masked(&world, 0)), (None, true));
    assert!(bind(&mut world, 0).is_ok());
}
