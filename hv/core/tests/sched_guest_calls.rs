//! The small hypercalls by which a guest sets up its vCPU and talks to the console, and batches of calls.

mod sched_world;

use abi::callback::{self, Register, Unregister};
use abi::console::{OP_READ, OP_WRITE};
use abi::errno::Errno;
use abi::hypercall as number;
use abi::multicall::MulticallEntry;
use abi::physdev::{OP_SET_IOBITMAP, OP_SET_IOPL, SetIobitmap, SetIopl};
use abi::trap::TrapInfo;
use abi::version::{self, FeatureInfo, PlatformParameters};
use domus_hv_core::call::Outcome;
use domus_hv_core::console::guest_lines::BURST;
use domus_hv_core::fake::{FakeMachine, WINDOW};
use domus_hv_core::hypercalls::{
    Handler, callback_op, console_io, fpu_taskswitch, get_debugreg, multicall, physdev_op, set_callbacks, set_debugreg, set_segment_base,
    set_trap_table, stack_switch, vm_assist, xen_version,
};
use domus_hv_core::ids::VcpuRef;
use sched_world::{HOSTILE, READ_ONLY, UNMAPPED, World};
use zerocopy::IntoBytes;

const V: VcpuRef = VcpuRef { domain: 1, vcpu: 0 };
const FIRST: VcpuRef = VcpuRef { domain: 0, vcpu: 0 };
const NOT_CANONICAL: u64 = 0x8000_0000_0000;

fn error(errno: Errno) -> i64 {
    errno.as_ret()
}

fn world() -> World {
    let mut world = World::new();
    world.domain(0, 1);
    world.domain(1, 1);
    world.pass(1_000_000_000);
    world
}

// xen_version

fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|&byte| byte == 0).expect("a NUL ends it");
    core::str::from_utf8(&bytes[..end]).expect("text")
}

fn ask(world: &mut World, who: VcpuRef, operation: u32, address: u64) -> i64 {
    world.call(who, xen_version::handler, [operation.into(), address, 0, 0, 0])
}

#[test]
fn the_hypervisor_says_what_it_is() {
    let mut world = world();
    assert_eq!(ask(&mut world, V, version::OP_VERSION, 0), 4 << 16 | 17);
    world.put(0, &[0xffu8; 1100]);
    assert_eq!(ask(&mut world, V, version::OP_EXTRAVERSION, WINDOW), 0);
    assert!(text(&world.take::<[u8; 16]>(0)).contains("domus"));
    assert_eq!(world.take::<[u8; 17]>(0)[16], 0xff, "sixteen bytes and no more");
    assert_eq!(ask(&mut world, V, version::OP_CAPABILITIES, WINDOW), 0);
    let capabilities: [u8; 1025] = world.take(0);
    assert_eq!((text(&capabilities), capabilities[1023], capabilities[1024]), ("xen-3.0-x86_64 ", 0, 0xff));
    assert_eq!(ask(&mut world, V, version::OP_PLATFORM_PARAMETERS, WINDOW), 0);
    assert_eq!(world.take::<PlatformParameters>(0).virt_start, 0xffff_8000_0000_0000);
    assert_eq!(ask(&mut world, V, version::OP_PAGESIZE, 0), 4096);
    assert_eq!(ask(&mut world, V, version::OP_PAGESIZE, WINDOW), error(Errno::INVAL));
    world.hv().domains.get_mut(1).unwrap().handle = *b"0123456789abcdef";
    assert_eq!(ask(&mut world, V, version::OP_GUEST_HANDLE, WINDOW), 0);
    assert_eq!(&world.take::<[u8; 16]>(0), b"0123456789abcdef");
    for operation in [version::OP_COMPILE_INFO, version::OP_CHANGESET] {
        assert_eq!(ask(&mut world, V, operation, WINDOW), 0);
    }
    assert_eq!(ask(&mut world, V, version::OP_COMMANDLINE, WINDOW), 0);
    assert_eq!(&world.take::<[u8; 9]>(0), b"<denied>\0");
    assert_eq!(ask(&mut world, V, version::OP_BUILD_ID, WINDOW), error(Errno::PERM));
    assert_eq!(ask(&mut world, FIRST, version::OP_BUILD_ID, WINDOW), error(Errno::NODATA));
    assert_eq!(ask(&mut world, V, 11, WINDOW), error(Errno::NOSYS));
    for operation in [1, 2, 3, 4, 5, 8] {
        assert_eq!(ask(&mut world, V, operation, READ_ONLY), error(Errno::FAULT), "{operation}");
        for address in HOSTILE {
            assert_eq!(ask(&mut world, V, operation, address), error(Errno::FAULT), "{operation} at {address:#x}");
        }
    }
}

#[test]
fn features_are_those_that_linux_needs_and_those_of_the_first_domain() {
    let mut world = world();
    let mut features = |who, submap_idx| {
        world.put(0, &FeatureInfo { submap_idx, submap: 0 });
        let result = ask(&mut world, who, version::OP_GET_FEATURES, WINDOW);
        (result, world.take::<FeatureInfo>(0).submap)
    };
    assert_eq!(features(V, 0), (0, 1 << 5 | 1 << 6 | 1 << 7 | 1 << 17));
    assert_eq!(features(FIRST, 0), (0, 1 << 5 | 1 << 6 | 1 << 7 | 1 << 11 | 1 << 17));
    assert_eq!(features(V, 1).0, error(Errno::INVAL));
    assert_eq!(ask(&mut world, V, version::OP_GET_FEATURES, UNMAPPED), error(Errno::FAULT));
    assert_eq!(world.call(V, vm_assist::handler, [0, 3, 0, 0, 0]), 0);
    world.put(0, &FeatureInfo::default());
    ask(&mut world, V, version::OP_GET_FEATURES, WINDOW);
    assert_eq!(world.take::<FeatureInfo>(0).submap & 1 << 4, 1 << 4);
}

#[test]
fn assists_are_switched_and_the_unknown_refused() {
    let mut world = world();
    let mut assist = |command, kind| world.call(V, vm_assist::handler, [command, kind, 0, 0, 0]);
    for kind in [0, 1, 2, 3, 4, 5, 32] {
        assert_eq!(assist(0, kind), 0);
    }
    assert_eq!(assist(1, 3), 0);
    for kind in [6, 31, 33, 63, 64, 65, 0xffff_ffff] {
        assert_eq!(assist(0, kind), error(Errno::INVAL), "{kind}");
    }
    assert_eq!(assist(2, 2), error(Errno::NOSYS));
    assert_eq!(world.hv().domain(1).unwrap().assists, 0b11_0111 | 1 << 32);
}

// console_io

fn write(world: &mut World, who: VcpuRef, text: &[u8]) -> i64 {
    world.kit.hv.machine.put(0, text);
    world.call(who, console_io::handler, [OP_WRITE.into(), text.len() as u64, WINDOW, 0, 0])
}

#[test]
fn the_first_domain_writes_raw_and_others_to_the_log() {
    let mut world = world();
    let long: Vec<u8> = (0..1000u32).map(|index| index as u8).collect();
    world.kit.hv.machine.interrupt_every.set(2);
    assert_eq!(write(&mut world, FIRST, &long), 0);
    assert_eq!(*world.kit.hv.machine.console.borrow(), long);
    assert_eq!(write(&mut world, V, b"hal"), 0);
    assert_eq!(write(&mut world, V, b"lo\nwel\x1bt\n"), 0);
    assert_eq!(world.kit.hv.machine.log_text(), "(d1) hallo\n(d1) welt\n");
    assert_eq!(world.kit.hv.machine.console.borrow().len(), long.len());
}

#[test]
fn a_flood_does_not_fill_the_log() {
    let mut world = world();
    for _ in 0..20 {
        write(&mut world, V, &[b'\n'; 500]);
    }
    assert_eq!(world.kit.hv.machine.log.borrow().len() as u64, BURST);
    world.pass(60_000_000_000);
    write(&mut world, V, b"calm\n");
    let text = world.kit.hv.machine.log_text();
    assert!(text.ends_with(&format!("(d1) [{} lines dropped: too many a second]\n(d1) calm\n", 10_000 - BURST)));
}

#[test]
fn what_was_typed_goes_to_the_first_domain_only() {
    let mut world = world();
    for byte in b"typed" {
        world.hv().console_input.push(*byte);
    }
    let read = |world: &mut World, who, count, address| world.call(who, console_io::handler, [OP_READ.into(), count, address, 0, 0]);
    assert_eq!(read(&mut world, V, 10, WINDOW), error(Errno::PERM));
    assert_eq!(read(&mut world, FIRST, 1 << 31, WINDOW), error(Errno::TOOBIG));
    assert_eq!(read(&mut world, FIRST, 3, WINDOW), 3);
    assert_eq!(&world.take::<[u8; 3]>(0), b"typ");
    for address in HOSTILE {
        assert_eq!(read(&mut world, FIRST, 9, address), error(Errno::FAULT));
    }
    assert_eq!(read(&mut world, FIRST, 9, WINDOW), 2, "a fault loses nothing");
    assert_eq!(&world.take::<[u8; 2]>(0), b"ed");
    assert_eq!(read(&mut world, FIRST, 9, WINDOW), 0);
    for address in HOSTILE {
        assert_eq!(world.call(V, console_io::handler, [OP_WRITE.into(), 3, address, 0, 0]), error(Errno::FAULT));
    }
    assert_eq!(world.call(V, console_io::handler, [OP_WRITE.into(), u64::MAX, WINDOW, 0, 0]), error(Errno::FAULT));
    assert_eq!(world.call(V, console_io::handler, [2, 0, 0, 0, 0]), error(Errno::NOSYS));
}

// Traps and callbacks

fn trap(vector: u8, address: u64) -> TrapInfo {
    TrapInfo { vector, flags: 3, cs: 0xe030, address, ..TrapInfo::default() }
}

#[test]
fn a_trap_table_is_taken_up_to_its_end_and_cleared_by_null() {
    let mut world = world();
    world.put(0, &[trap(14, 0x1000), trap(255, 0xffff_8800_0000_0000), trap(0, 0), trap(3, 0x2000)]);
    assert_eq!(world.call(V, set_trap_table::handler, [WINDOW, 0, 0, 0, 0]), 0);
    let traps = &world.state(V).traps;
    assert_eq!((traps[14].address, traps[14].cs, traps[14].flags), (0x1000, 0xe033, 3));
    assert_eq!((traps[255].address, traps[3].address), (0xffff_8800_0000_0000, 0));
    world.put(0, &[trap(1, 0x3000), trap(2, NOT_CANONICAL), trap(3, 0x4000), trap(0, 0)]);
    assert_eq!(world.call(V, set_trap_table::handler, [WINDOW, 0, 0, 0, 0]), error(Errno::INVAL));
    assert_eq!((world.state(V).traps[1].address, world.state(V).traps[2].address), (0x3000, 0));
    for address in HOSTILE {
        assert_eq!(world.call(V, set_trap_table::handler, [address, 0, 0, 0, 0]), error(Errno::FAULT));
    }
    assert_eq!(world.call(V, set_trap_table::handler, [0; 5]), 0);
    assert!(world.state(V).traps.iter().all(|trap| trap.address == 0));
}

#[test]
fn a_list_without_end_is_taken_in_slices() {
    let mut world = world();
    world.kit.hv.machine.put(0, vec![trap(7, 0x7000); 4096].as_bytes());
    world.kit.hv.machine.interrupt_every.set(1);
    assert_eq!(world.once(V, set_trap_table::handler, [WINDOW, 0, 0, 0, 0]), Outcome::Again([WINDOW + 32 * 16, 0, 0, 0, 0]));
    // It ends where the memory does.
    assert_eq!(world.call(V, set_trap_table::handler, [WINDOW, 0, 0, 0, 0]), error(Errno::FAULT));
}

#[test]
fn callbacks_are_registered_where_code_can_be() {
    let mut world = world();
    let mut register = |kind, address| {
        let request = Register { kind, flags: 0xffff, address, ..Register::default() };
        world.op(V, callback_op::handler, callback::OP_REGISTER, &request)
    };
    for kind in [0, 1, 2, 5, 7] {
        assert_eq!(register(kind, 0x1000 + u64::from(kind)), 0);
        assert_eq!(register(kind, NOT_CANONICAL), error(Errno::INVAL));
    }
    assert_eq!(register(callback::TYPE_NMI, 0x9000), 0);
    for kind in [3, 6, 8, 0xffff] {
        assert_eq!(register(kind, 0x1000), error(Errno::NOSYS));
    }
    let state = world.state(V);
    assert!([0, 1, 2, 5, 7].iter().all(|&kind| state.callbacks[kind].address == 0x1000 + kind as u64 && state.callbacks[kind].flags == 1));
    assert_eq!((state.traps[2].address, state.traps[2].flags), (0x9000, 4));
    let mut unregister = |kind| world.op(V, callback_op::handler, callback::OP_UNREGISTER, &Unregister { kind, _unused: 0 });
    assert_eq!((unregister(0), unregister(4), unregister(6)), (error(Errno::INVAL), 0, error(Errno::NOSYS)));
    assert_eq!(world.state(V).traps[2].address, 0);
    assert_eq!(world.call(V, callback_op::handler, [2, WINDOW, 0, 0, 0]), error(Errno::NOSYS));
    for operation in [callback::OP_REGISTER, callback::OP_UNREGISTER] {
        assert_eq!(world.call(V, callback_op::handler, [operation.into(), UNMAPPED, 0, 0, 0]), error(Errno::FAULT));
    }
}

#[test]
fn three_callbacks_at_once() {
    let mut world = world();
    assert_eq!(world.call(V, set_callbacks::handler, [0x1000, 0x2000, 0x3000, 0, 0]), 0);
    assert_eq!(world.call(V, set_callbacks::handler, [0x4000, NOT_CANONICAL, 0x6000, 0, 0]), 0);
    let callbacks = &world.state(V).callbacks;
    assert_eq!([callbacks[0].address, callbacks[1].address, callbacks[2].address], [0x4000, 0x2000, 0x6000]);
}

// Registers

#[test]
fn stacks_segments_and_task_switches() {
    let mut world = world();
    assert_eq!(world.call(V, stack_switch::handler, [0xffff_0010, 0x7000, 0, 0, 0]), 0);
    assert_eq!((world.state(V).kernel_ss, world.state(V).kernel_sp), (0x13, 0x7000));
    let mut base = |which, base| world.call(V, set_segment_base::handler, [which, base, 0, 0, 0]);
    for which in 0..3 {
        assert_eq!(base(which, 0xffff_ffff_8000_0000 + which), 0);
        assert_eq!(base(which, NOT_CANONICAL), error(Errno::INVAL));
    }
    assert_eq!(base(3, NOT_CANONICAL | 0x2b), 0, "Linux dies of an error here");
    assert_eq!(base(4, 0), error(Errno::INVAL));
    // FS, active GS (the kernel's), shadow GS.
    let bases = world.kit.hv.machine.bases.get();
    assert_eq!(bases, (0xffff_ffff_8000_0000, 0xffff_ffff_8000_0002, 0xffff_ffff_8000_0001));
    for (set, task_switched) in [(1, true), (0, false), (0x100, true), (1 << 32, false)] {
        assert_eq!(world.call(V, fpu_taskswitch::handler, [set, 0, 0, 0, 0]), 0);
        assert_eq!((world.state(V).task_switched, world.kit.hv.machine.task_switched.get()), (task_switched, task_switched));
    }
}

#[test]
fn debug_registers_reach_the_hardware_checked() {
    let mut world = world();
    world.state(V).debug[7] = 0x400;
    let mut set = |number, value| world.call(V, set_debugreg::handler, [number, value, 0, 0, 0]);
    assert_eq!(set(0, 0x1000), 0);
    assert_eq!(set(0, 0xffff_8000_0000_0000), error(Errno::PERM));
    assert_eq!(set(7, 0x1_0001), 0);
    assert_eq!(set(7, 1 << 13), error(Errno::PERM));
    assert_eq!(set(6, 1 << 32), error(Errno::INVAL));
    assert_eq!(set(8, 0), error(Errno::NODEV));
    assert_eq!(set(5, 0x3), 0);
    let hardware = world.kit.hv.machine.debug.get();
    assert_eq!((hardware[0], hardware[7]), (0x1000, 0x403));
    let mut get = |number| world.call(V, get_debugreg::handler, [number, 0, 0, 0, 0]);
    assert_eq!((get(0), get(5), get(7), get(8)), (0x1000, 0x403, 0x403, error(Errno::NODEV)));
    world.state(V).cr4 = 1 << 3;
    assert_eq!(world.call(V, get_debugreg::handler, [4, 0, 0, 0, 0]), error(Errno::NODEV));
}

#[test]
fn io_privilege_is_virtual_and_devices_are_not_there() {
    let mut world = world();
    assert_eq!(world.op(V, physdev_op::handler, OP_SET_IOPL, &SetIopl { iopl: 1 }), 0);
    assert_eq!(world.state(V).iopl, 1 << 12);
    assert_eq!(world.op(V, physdev_op::handler, OP_SET_IOPL, &SetIopl { iopl: 4 }), error(Errno::INVAL));
    assert_eq!(world.state(V).iopl, 1 << 12);
    let bitmap = |nr_ports| SetIobitmap { nr_ports, ..SetIobitmap::default() };
    assert_eq!(world.op(V, physdev_op::handler, OP_SET_IOBITMAP, &bitmap(65536)), 0);
    assert_eq!(world.op(V, physdev_op::handler, OP_SET_IOBITMAP, &bitmap(65537)), error(Errno::INVAL));
    for operation in [OP_SET_IOPL, OP_SET_IOBITMAP] {
        assert_eq!(world.call(V, physdev_op::handler, [operation.into(), UNMAPPED, 0, 0, 0]), error(Errno::FAULT));
    }
    for operation in [5, 12, 13, 17, 23, 28, 99] {
        assert_eq!(world.call(V, physdev_op::handler, [operation, WINDOW, 0, 0, 0]), error(Errno::NOSYS));
    }
}

// multicall

fn entry(op: u64, args: [u64; 3]) -> MulticallEntry {
    MulticallEntry { op, result: 0x5555, args: [args[0], args[1], args[2], 0, 0, 0] }
}

fn results<const N: usize>(world: &World) -> [u64; N] {
    core::array::from_fn(|index| world.take::<MulticallEntry>(index * 64).result)
}

const BATCH: Handler<FakeMachine> = multicall::handler;

#[test]
fn each_call_of_a_batch_leaves_its_result() {
    let mut world = world();
    let unknown = error(Errno::NOSYS) as u64;
    world.put(
        0,
        &[
            entry(number::XEN_VERSION, [0, 0, 0]),
            entry(63, [0; 3]),
            entry(u64::MAX, [0; 3]),
            entry(number::STACK_SWITCH, [0x2b, 0x6000, 0]),
            entry(number::MULTICALL, [WINDOW, 1, 0]),
        ],
    );
    assert_eq!(world.call(V, BATCH, [WINDOW, 5, 0, 0, 0]), 0);
    let nested = error(Errno::INVAL) as u64;
    assert_eq!(results(&world), [4 << 16 | 17, unknown, unknown, 0, nested]);
    assert_eq!(world.state(V).kernel_sp, 0x6000);
    assert_eq!(world.call(V, BATCH, [WINDOW, 0, 0, 0, 0]), 0);
}

#[test]
fn a_long_batch_goes_on_after_interrupts_and_does_each_call_once() {
    let mut world = world();
    let calls: Vec<MulticallEntry> = (0..100).map(|index| entry(number::STACK_SWITCH, [0, index, 0])).collect();
    world.kit.hv.machine.put(0, calls.as_bytes());
    world.kit.hv.machine.interrupt_every.set(1);
    assert_eq!(world.once(V, BATCH, [WINDOW, 100, 0, 0, 0]), Outcome::Again([WINDOW + 8 * 64, 92, 0, 0, 0]));
    assert_eq!(world.state(V).kernel_sp, 7);
    assert_eq!(world.call(V, BATCH, [WINDOW + 8 * 64, 92, 0, 0, 0]), 0);
    assert_eq!(results::<100>(&world), [0; 100]);
    assert_eq!(world.state(V).kernel_sp, 99);
}

#[test]
fn a_call_that_is_continued_takes_its_batch_along() {
    let mut world = world();
    world.kit.hv.machine.put(4096, &[b'x'; 1000]);
    world.put(
        0,
        &[entry(number::XEN_VERSION, [0; 3]), entry(number::CONSOLE_IO, [0, 1000, WINDOW + 4096]), entry(number::XEN_VERSION, [0; 3])],
    );
    world.kit.hv.machine.interrupt_every.set(1);
    assert_eq!(world.once(FIRST, BATCH, [WINDOW, 3, 0, 0, 0]), Outcome::Again([WINDOW + 64, 2, 0, 0, 0]));
    let left: MulticallEntry = world.take(64);
    assert_eq!((left.op, left.args[1], left.args[2]), (number::CONSOLE_IO, 872, WINDOW + 4096 + 128));
    assert_eq!(world.call(FIRST, BATCH, [WINDOW + 64, 2, 0, 0, 0]), 0);
    assert_eq!(world.kit.hv.machine.console.borrow().len(), 1000);
    assert_eq!(results(&world), [4 << 16 | 17, 0, 4 << 16 | 17]);
}

#[test]
fn a_batch_out_of_reach_is_a_fault() {
    let mut world = world();
    for address in HOSTILE {
        for count in [1, u64::MAX] {
            assert_eq!(world.call(V, BATCH, [address, count, 0, 0, 0]), error(Errno::FAULT));
        }
    }
    // Results cannot be written: the call was done, and the next is not.
    let mfn = world.kit.hv.vcpu(V).unwrap().kernel_table;
    let root = domus_hv_core::ids::Mfn(mfn);
    assert_eq!(world.call(V, BATCH, [READ_ONLY, 2, 0, 0, 0]), error(Errno::FAULT));
    assert_eq!(world.kit.hv.machine.root(), root);
    // A batch longer than memory does what it can.
    world.kit.hv.machine.put(0, &vec![0xff; 1 << 16]);
    assert_eq!(world.call(V, BATCH, [WINDOW, u64::MAX, 0, 0, 0]), error(Errno::FAULT));
    assert_eq!(world.take::<MulticallEntry>(0).result, error(Errno::NOSYS) as u64);
    world.kit.check();
}
