//! Exceptions, and that registers survive them.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use pv_guest_sdk::abi::trap;
use pv_guest_sdk::traps::{TrapFrame, fault_address, set_handler};
use pv_guest_sdk::{memory, time};

use crate::Check;

pub const CHECKS: &[Check] = &[
    ("a breakpoint is handled and left", breakpoint),
    ("an invalid opcode is handled", invalid_opcode),
    ("a page fault tells address and kind", page_fault),
    ("a general protection fault is handled", protection),
    ("registers survive a trap", registers),
    ("time goes forward", clock),
];

static SEEN: AtomicU64 = AtomicU64::new(0);

fn breakpoint() {
    set_handler(trap::BREAKPOINT.into(), |frame| {
        assert!(!frame.from_user());
        SEEN.store(frame.vector + 1, Ordering::Relaxed);
    });
    // SAFETY: the handler returns behind the instruction.
    unsafe { asm!("int3") };
    assert_eq!(SEEN.load(Ordering::Relaxed), 4);
}

fn invalid_opcode() {
    set_handler(trap::INVALID_OPCODE.into(), |frame| {
        SEEN.store(frame.vector, Ordering::Relaxed);
        frame.rip += 2;
    });
    // SAFETY: the handler skips the instruction, two bytes long.
    unsafe { asm!("ud2") };
    assert_eq!(SEEN.load(Ordering::Relaxed), 6);
}

fn page_fault() {
    static ERROR: AtomicU64 = AtomicU64::new(0);
    let window = memory::reserve(1).expect("a window");
    let address = window.as_ptr() as u64 + 0x123;
    set_handler(trap::PAGE_FAULT.into(), |frame| {
        SEEN.store(fault_address(), Ordering::Relaxed);
        ERROR.store(frame.error_code, Ordering::Relaxed);
        frame.rip = frame.rbx;
    });
    // SAFETY: nothing is mapped there, so the store faults, and the handler goes on at label 2. The address must not be in RBX, which a free choice of
    // the register allows.
    unsafe {
        asm!("lea r15, [rip + 2f]", "xchg rbx, r15", "mov byte ptr [rcx], 1", "2:", "xchg rbx, r15", in("rcx") address, out("r15") _)
    };
    assert_eq!(SEEN.load(Ordering::Relaxed), address);
    // Not present, a write, from the guest's kernel.
    assert_eq!(ERROR.load(Ordering::Relaxed), 2);
}

fn protection() {
    set_handler(trap::GENERAL_PROTECTION.into(), |frame| {
        SEEN.store(frame.vector, Ordering::Relaxed);
        frame.rip += 3;
    });
    // SAFETY: a non-canonical address faults; the handler skips the instruction, three bytes long.
    unsafe { asm!("mov [rax], cl", ".byte 0x90", in("rax") 1u64 << 60) };
    assert_eq!(SEEN.load(Ordering::Relaxed), 13);
}

fn registers() {
    set_handler(trap::BREAKPOINT.into(), |_: &mut TrapFrame| {});
    let (mut rax, mut rcx, mut r11, mut r15) = (1u64, 2u64, 3u64, 4u64);
    // SAFETY: the handler changes nothing.
    unsafe {
        asm!("int3", inout("rax") rax, inout("rcx") rcx, inout("r11") r11, inout("r15") r15);
    }
    assert_eq!([rax, rcx, r11, r15], [1, 2, 3, 4]);
}

fn clock() {
    let mut last = time::now();
    for _ in 0..1000 {
        let now = time::now();
        assert!(now >= last);
        last = now;
    }
    let start = time::now();
    time::sleep(3_000_000);
    assert!(time::now() - start >= 3_000_000);
    // 2020: the machine's clock may be wrong, but not that wrong.
    assert!(time::wall_clock().0 > 1_577_836_800);
}
