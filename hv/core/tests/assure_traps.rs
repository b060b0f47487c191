//! Faults, system calls and returns of a guest: what its kernel finds on its stack, and that neither frames nor descriptor tables nor
//! a fault in user mode get it more than ring 3.

mod sched_world;

use std::sync::atomic::Ordering::Relaxed;

use abi::callback::TYPE_SYSCALL;
use abi::context::{CpuUserRegs, IretContext, VGCF_IN_SYSCALL};
use abi::errno::Errno;
use abi::hypercall as number;
use abi::segment::{FIRST_RESERVED_GDT_ENTRY, FLAT_KERNEL_CS, FLAT_KERNEL_SS};
use abi::trap::{BREAKPOINT, BounceFrame, BounceFrameError, FLAGS_MASK_EVENTS, GENERAL_PROTECTION, INVALID_OPCODE, PAGE_FAULT, TrapInfo};
use abi::vm_assist::{TYPE_ARCHITECTURAL_IOPL, TYPE_WRITABLE_PAGETABLES};
use domus_hv_core::call::{Call, Outcome};
use domus_hv_core::fake::kit::{Guest, RO, RW, entry, slot};
use domus_hv_core::fake::{FakeMachine, WINDOW};
use domus_hv_core::frames::PageType;
use domus_hv_core::hypercalls::{set_gdt, update_descriptor};
use domus_hv_core::ids::{Mfn, VcpuRef};
use domus_hv_core::machine::Machine;
use domus_hv_core::traps::{self, ExceptionInfo};
use sched_world::{HOSTILE, UNMAPPED, World};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

const V: VcpuRef = VcpuRef { domain: 1, vcpu: 0 };
/// A page of the guest for code, the top of its kernel stack, and where its handlers are.
const CODE: u64 = 6 << 12;
const STACK: u64 = 9 << 12;
const HANDLER: u64 = 0x7000;
/// What user mode has: 64-bit code, a stack.
const USER_RIP: u64 = 0x1234;
const USER_RSP: u64 = 0x5_6780;
const IF: u64 = 1 << 9;
const IOPL: u64 = 3 << 12;
const VM: u64 = 1 << 17;

struct Stage {
    world: World,
    guest: Guest,
    regs: CpuUserRegs,
}

impl Stage {
    /// A guest in kernel mode, with a handler for the exceptions named.
    fn new(handled: &[u8]) -> Stage {
        let mut world = World::new();
        let guest = world.domain(1, 1);
        world.run(V);
        for &vector in handled {
            world.state(V).traps[usize::from(vector)] = TrapInfo { vector, flags: 0, cs: FLAT_KERNEL_CS, _pad: 0, address: HANDLER };
        }
        world.state(V).kernel_sp = STACK;
        let mut regs = CpuUserRegs::new_zeroed();
        (regs.rip, regs.cs, regs.rflags) = (CODE, FLAT_KERNEL_CS, IF | 2);
        (regs.rsp, regs.ss) = (STACK - 0x100, FLAT_KERNEL_SS);
        Stage { world, guest, regs }
    }

    /// Gives the guest a table for user mode. It maps what the kernel's does.
    fn with_user_table(mut self) -> Stage {
        let user = self.guest.frames[10];
        // The page is unmapped first: no table is mapped writable.
        let unmapped = self.world.kit.mmu_update(1, &[(slot(self.guest.l1(), 10), entry(user, RO))]);
        assert_eq!(unmapped, 0);
        self.world.kit.hv.machine.word(user, 0).store(entry(self.guest.l3(), RW), Relaxed);
        self.world.kit.hv.mm().get_frame_as(user, 1, PageType::L4).expect("a valid table");
        self.world.state(V).user_table = user.0;
        self
    }

    fn call<R>(&mut self, entry: impl FnOnce(&mut Call<'_, FakeMachine>) -> R) -> R {
        entry(&mut Call { hv: &mut self.world.kit.hv, cpu: 0, who: V, regs: &mut self.regs })
    }

    fn exception(&mut self, vector: u8, error_code: u32, fault_address: u64) {
        self.call(|call| traps::exception_entry(call, ExceptionInfo { vector, error_code, fault_address, debug_status: 0 }));
    }

    fn hypercall(&mut self, number: u64) {
        self.regs.rax = number;
        self.call(traps::system_call);
    }

    /// `iret` with this frame on the stack.
    fn iret(&mut self, frame: &IretContext) {
        let rsp = self.regs.rsp;
        self.world.kit.hv.machine.copy_to_guest(rsp, frame.as_bytes()).expect("the stack is mapped");
        self.hypercall(number::IRET);
    }

    fn enter_user(&mut self) {
        self.iret(&IretContext { cs: 0xe033, ss: 0xe02b, rip: USER_RIP, rsp: USER_RSP, rflags: IF | 2, ..IretContext::new_zeroed() });
        assert!(!self.world.state(V).in_kernel);
    }

    /// What lies on top of the stack.
    fn frame<T: FromBytes + IntoBytes>(&self) -> T {
        let mut frame = T::new_zeroed();
        self.world.kit.hv.machine.copy_from_guest(self.regs.rsp, frame.as_mut_bytes()).expect("the stack is mapped");
        frame
    }

    fn crashed(&self) -> bool {
        self.world.kit.hv.domain(1).expect("it is there").shut_down
    }

    fn assert_at_handler(&self) {
        assert_eq!((self.regs.rip, self.regs.cs, self.regs.ss), (HANDLER, FLAT_KERNEL_CS, FLAT_KERNEL_SS));
        assert!(!self.crashed());
    }
}

// iret

#[test]
fn a_return_is_to_ring_3_with_interrupts_on_and_no_io_privilege() {
    for cs in [0, 1, 2, 8, 0xe030] {
        let mut stage = Stage::new(&[]);
        let rflags = IOPL | VM | 1;
        stage.iret(&IretContext { rax: 7, rcx: 8, r11: 9, cs, ss: 0, rip: 0x1000, rsp: 0x2000, rflags, flags: 0 });
        let regs = &stage.regs;
        assert_eq!((regs.cs & 3, regs.ss & 3), (3, 3));
        assert_eq!(regs.rflags, IF | 2 | 1);
        assert_eq!((regs.rax, regs.rcx, regs.r11, regs.rip, regs.rsp), (7, 8, 9, 0x1000, 0x2000));
        assert!(stage.world.state(V).in_kernel, "RPL 0 in the frame is the kernel");
    }
}

#[test]
fn a_return_by_sysret_leaves_what_sysret_leaves() {
    let mut stage = Stage::new(&[]);
    stage.iret(&IretContext { rip: 0x1000, rflags: IF | 2, rcx: 1, r11: 2, flags: VGCF_IN_SYSCALL, ..IretContext::new_zeroed() });
    assert_eq!((stage.regs.rcx, stage.regs.r11), (0x1000, IF | 2));
}

#[test]
fn the_interrupt_flag_of_a_return_is_the_upcall_mask() {
    for (rflags, masked) in [(IF, false), (0, true)] {
        let mut stage = Stage::new(&[]);
        stage.world.set_mask(V, !masked);
        stage.iret(&IretContext { rflags, ..IretContext::new_zeroed() });
        assert_eq!(stage.world.shared_info(1).vcpu_info[0].evtchn_upcall_mask != 0, masked);
    }
}

#[test]
fn a_return_to_user_mode_takes_its_table_and_crashes_a_guest_that_has_none() {
    let mut stage = Stage::new(&[]).with_user_table();
    stage.world.kit.hv.machine.bases.set((1, 2, 3));
    stage.enter_user();
    assert_eq!(stage.world.kit.hv.machine.root(), stage.guest.frames[10]);
    assert_eq!(stage.world.kit.hv.machine.bases.get(), (1, 3, 2), "the other GS base is active");
    let mut stage = Stage::new(&[]);
    stage.iret(&IretContext { cs: 0xe033, ..IretContext::new_zeroed() });
    assert!(stage.crashed());
}

#[test]
fn a_frame_that_cannot_be_read_crashes_the_guest_alone() {
    for rsp in HOSTILE {
        let mut stage = Stage::new(&[]);
        stage.world.domain(2, 1);
        stage.regs.rsp = rsp;
        stage.hypercall(number::IRET);
        assert!(stage.crashed(), "{rsp:#x}");
        assert!(!stage.world.kit.hv.domain(2).expect("the other").shut_down);
    }
}

// The way in

#[test]
fn an_exception_in_the_kernel_finds_its_frame_below_the_stack_pointer() {
    let mut stage = Stage::new(&[BREAKPOINT, GENERAL_PROTECTION]);
    (stage.regs.rcx, stage.regs.r11, stage.regs.rsp) = (1, 2, STACK - 0x108);
    stage.regs.rflags |= 1 << 8 | 1 << 14 | 1 << 18;
    let before = stage.regs.rflags;
    stage.exception(BREAKPOINT, 0, 0);
    stage.assert_at_handler();
    assert_eq!(stage.regs.rsp % 16, 8, "aligned before the seven words");
    assert_eq!(stage.regs.rflags & (1 << 8 | 1 << 14 | 1 << 18), 0, "TF, NT and AC are clear in the handler");
    let frame: BounceFrame = stage.frame();
    assert_eq!((frame.rcx, frame.r11, frame.rip, frame.rsp), (1, 2, CODE, STACK - 0x108));
    assert_eq!((frame.cs, frame.ss, frame.rflags), (u64::from(FLAT_KERNEL_CS & !3), FLAT_KERNEL_SS.into(), before));
}

#[test]
fn an_exception_in_user_mode_enters_on_the_kernel_stack_with_the_kernels_table() {
    let mut stage = Stage::new(&[PAGE_FAULT]).with_user_table();
    stage.world.state(V).traps[usize::from(PAGE_FAULT)].flags = FLAGS_MASK_EVENTS;
    stage.enter_user();
    stage.exception(PAGE_FAULT, 2, 0xdead_0000);
    stage.assert_at_handler();
    assert_eq!(stage.regs.rsp, STACK - 64);
    assert_eq!(stage.world.kit.hv.machine.root(), stage.guest.l4());
    let frame: BounceFrameError = stage.frame();
    assert_eq!((frame.rip, frame.rsp, frame.cs), (USER_RIP, USER_RSP, 0xe033));
    assert_eq!(frame.error_code, 2 | 4, "the access was user mode's");
    let info = stage.world.shared_info(1).vcpu_info[0];
    assert_eq!((info.cr2, info.evtchn_upcall_mask), (0xdead_0000, 1));
}

#[test]
fn a_fault_of_the_kernel_is_not_called_the_users() {
    let mut stage = Stage::new(&[PAGE_FAULT]);
    // The processor says user mode: the guest's kernel is in ring 3, too.
    stage.exception(PAGE_FAULT, 4 | 2, 0x1000_0000);
    assert_eq!(stage.frame::<BounceFrameError>().error_code, 2);
}

#[test]
fn a_guest_without_handler_or_stack_crashes_alone() {
    let mut stage = Stage::new(&[]);
    stage.exception(GENERAL_PROTECTION, 0, 0);
    assert!(stage.crashed());
    for stack in HOSTILE {
        let mut stage = Stage::new(&[BREAKPOINT]);
        stage.world.domain(2, 1);
        stage.regs.rsp = stack;
        stage.exception(BREAKPOINT, 0, 0);
        assert!(stage.crashed(), "{stack:#x}");
        assert!(!stage.world.kit.hv.domain(2).expect("the other").shut_down);
    }
}

#[test]
fn a_stack_on_a_page_table_is_refused_and_the_table_unchanged() {
    let mut stage = Stage::new(&[BREAKPOINT]);
    let before: Vec<u64> = (0..512).map(|index| stage.world.kit.hv.machine.word(stage.guest.l1(), index).load(Relaxed)).collect();
    stage.regs.rsp = 4 << 12;
    stage.exception(BREAKPOINT, 0, 0);
    assert!(stage.crashed());
    let after: Vec<u64> = (0..512).map(|index| stage.world.kit.hv.machine.word(stage.guest.l1(), index).load(Relaxed)).collect();
    assert_eq!(before, after);
}

#[test]
fn user_mode_reaches_its_kernel_and_no_hypercall() {
    let mut stage = Stage::new(&[INVALID_OPCODE]).with_user_table();
    stage.enter_user();
    stage.regs.rip = USER_RIP + 2;
    stage.hypercall(number::STACK_SWITCH);
    stage.assert_at_handler();
    assert_eq!(stage.world.state(V).kernel_sp, STACK, "nothing was done");
    assert_eq!(stage.frame::<BounceFrame>().rip, USER_RIP, "#UD at the SYSCALL: there is no entry for it");
    stage.regs.rsp = STACK - 0x100;
    stage.enter_user();
    stage.world.state(V).callbacks[usize::from(TYPE_SYSCALL)].address = 0x4000;
    stage.regs.rip = USER_RIP + 2;
    stage.hypercall(number::STACK_SWITCH);
    assert_eq!((stage.regs.rip, stage.regs.rsp), (0x4000, STACK - 56));
    assert_eq!(stage.frame::<BounceFrame>().rip, USER_RIP + 2);
    assert_eq!(stage.world.state(V).kernel_sp, STACK);
}

// Writes to page tables

/// `mov %rcx, (%rax)`
const STORE: [u8; 3] = [0x48, 0x89, 0x08];

/// The guest executes a store to entry 11 of its own L1 table.
fn store_entry(stage: &mut Stage, value: u64) {
    stage.world.kit.hv.machine.copy_to_guest(CODE, &STORE).expect("code is mapped");
    stage.regs.rip = CODE;
    stage.regs.rax = (3 << 12) + 11 * 8;
    stage.regs.rcx = value;
    let address = stage.regs.rax;
    stage.exception(PAGE_FAULT, 4 | 2 | 1, address);
}

fn entry_11(stage: &Stage) -> u64 {
    stage.world.kit.hv.machine.word(stage.guest.l1(), 11).load(Relaxed)
}

#[test]
fn a_kernels_store_to_its_own_table_is_emulated_if_it_asked_for_that() {
    let mut stage = Stage::new(&[PAGE_FAULT]);
    let before = entry_11(&stage);
    store_entry(&mut stage, 0);
    stage.assert_at_handler();
    assert_eq!(entry_11(&stage), before, "without the assist it is a fault");
    let mut stage = Stage::new(&[PAGE_FAULT]);
    stage.world.hv().domains.get_mut(1).unwrap().assists = 1 << TYPE_WRITABLE_PAGETABLES;
    store_entry(&mut stage, 0);
    assert_eq!((stage.regs.rip, entry_11(&stage)), (CODE + 3, 0));
    stage.world.kit.check();
}

#[test]
fn a_store_that_no_hypercall_would_do_is_a_fault() {
    for value in [entry(Mfn(0), RW), entry(Mfn(100_000), RW), u64::MAX] {
        let mut stage = Stage::new(&[PAGE_FAULT]);
        stage.world.hv().domains.get_mut(1).unwrap().assists = 1 << TYPE_WRITABLE_PAGETABLES;
        let before = entry_11(&stage);
        store_entry(&mut stage, value);
        stage.assert_at_handler();
        assert_eq!(entry_11(&stage), before, "{value:#x}");
    }
    let mut stage = Stage::new(&[PAGE_FAULT]);
    stage.world.hv().domains.get_mut(1).unwrap().assists = 1 << TYPE_WRITABLE_PAGETABLES;
    let table = stage.guest.l2();
    store_entry(&mut stage, entry(table, RW));
    stage.assert_at_handler();
    stage.world.kit.check();
}

#[test]
fn user_mode_writes_no_page_table() {
    let mut stage = Stage::new(&[PAGE_FAULT]).with_user_table();
    stage.world.hv().domains.get_mut(1).unwrap().assists = 1 << TYPE_WRITABLE_PAGETABLES;
    stage.enter_user();
    let before = entry_11(&stage);
    store_entry(&mut stage, 0);
    stage.assert_at_handler();
    assert_eq!(entry_11(&stage), before);
}

// Descriptor tables

fn gdt(stage: &mut Stage, frames: &[Mfn], entries: u64) -> i64 {
    for (index, frame) in frames.iter().enumerate() {
        stage.world.put(index * 8, &frame.0);
    }
    stage.world.call(V, set_gdt::handler, [WINDOW, entries, 0, 0, 0])
}

/// Frames that the guest no longer maps writable.
fn unmapped(stage: &mut Stage, pages: &[usize]) -> Vec<Mfn> {
    for &page in pages {
        assert_eq!(stage.world.kit.mmu_update(1, &[(slot(stage.guest.l1(), page), 0)]), 0);
    }
    pages.iter().map(|&page| stage.guest.frames[page]).collect()
}

#[test]
fn a_descriptor_table_is_the_guests_own_and_not_writable() {
    let mut stage = Stage::new(&[]);
    let other = stage.world.domain(2, 1);
    let invalid = Errno::INVAL.as_ret();
    let (writable, l1) = (stage.guest.frames[9], stage.guest.l1());
    for frame in [writable, l1, other.frames[9], Mfn(0), Mfn(100_000), Mfn(u64::MAX)] {
        assert_eq!(gdt(&mut stage, &[frame], 512), invalid, "{frame:?}");
        stage.world.kit.check();
    }
    let frames = unmapped(&mut stage, &[7, 8]);
    assert_eq!(gdt(&mut stage, &[frames[0], writable], 513), invalid);
    assert_eq!(stage.world.kit.hv.frames.get(frames[0]).expect("RAM").usage().count(), 0, "the first frame was let go");
    assert_eq!(gdt(&mut stage, &frames, 1024), 0);
    assert_eq!((stage.world.state(V).gdt_entries, stage.world.state(V).gdt_frames[1]), (1024, frames[1].0));
    assert_eq!(stage.world.kit.mmu_update(1, &[(slot(l1, 7), entry(frames[0], RW))]), Errno::BUSY.as_ret());
    assert_eq!(gdt(&mut stage, &frames[1..], 512), 0, "a shorter one lets go of the rest");
    assert_eq!(stage.world.kit.mmu_update(1, &[(slot(l1, 7), entry(frames[0], RW))]), 0);
    stage.world.kit.check();
}

#[test]
fn a_descriptor_table_ends_before_the_hypervisors_entries() {
    let mut stage = Stage::new(&[]);
    for entries in [FIRST_RESERVED_GDT_ENTRY as u64 + 1, 8192, u64::MAX] {
        assert_eq!(gdt(&mut stage, &[], entries), Errno::INVAL.as_ret());
    }
    for list in [UNMAPPED, HOSTILE[1], u64::MAX - 3] {
        assert_eq!(stage.world.call(V, set_gdt::handler, [list, 512, 0, 0, 0]), Errno::FAULT.as_ret());
    }
    let frame = unmapped(&mut stage, &[8])[0];
    assert_eq!(gdt(&mut stage, &[frame; 14], FIRST_RESERVED_GDT_ENTRY as u64), 0);
    stage.world.kit.check();
}

#[test]
fn a_descriptor_is_written_whole_or_not_at_all() {
    let mut stage = Stage::new(&[]);
    let frame = unmapped(&mut stage, &[8])[0];
    assert_eq!(gdt(&mut stage, &[frame], 512), 0);
    let mut update = |address, descriptor| stage.world.once(V, update_descriptor::handler, [address, descriptor, 0, 0, 0]);
    // A 64-bit code segment of ring 0 becomes one of ring 3.
    const CODE_SEGMENT: u64 = 0x0020_9a00_0000_0000;
    for misaligned in 1..8 {
        assert_eq!(update(frame.address() + misaligned, CODE_SEGMENT), Outcome::from(Errno::INVAL));
    }
    // An interrupt gate, a TSS.
    for system in [0x8e00_0000_0000, 0x8900_0000_0000] {
        assert_eq!(update(frame.address() + 8, system), Outcome::from(Errno::INVAL));
    }
    assert_eq!(update(frame.address() + 8, CODE_SEGMENT), Outcome::Done(0));
    assert_eq!(stage.world.kit.hv.machine.word(frame, 1).load(Relaxed), CODE_SEGMENT | 3 << 45);
}

#[test]
fn iopl_shows_in_frames_and_is_loaded_by_iret_only_with_its_assist() {
    let mut stage = Stage::new(&[BREAKPOINT]);
    stage.world.state(V).iopl = 1 << 12;
    let back = IretContext { cs: 0xe030, ss: 0xe02b, rip: CODE, rsp: STACK - 0x100, rflags: IF | IOPL | 2, ..IretContext::new_zeroed() };
    stage.exception(BREAKPOINT, 0, 0);
    assert_eq!(stage.frame::<BounceFrame>().rflags & IOPL, 0);
    stage.iret(&back);
    assert_eq!(stage.world.state(V).iopl, 1 << 12);

    stage.world.kit.hv.domains.get_mut(1).expect("it is there").set_assists(1 << TYPE_ARCHITECTURAL_IOPL);
    stage.exception(BREAKPOINT, 0, 0);
    assert_eq!(stage.frame::<BounceFrame>().rflags & IOPL, 1 << 12);
    stage.iret(&back);
    assert_eq!(stage.world.state(V).iopl, 3 << 12);
    assert_eq!(stage.regs.rflags & IOPL, 0, "the processor's own IOPL stays 0");
}
