//! The guest's side of traps and events, as short as it can be.
//!
//! The hypervisor pushes rcx, r11, perhaps an error code, and the frame of `iret`; the hypercall `iret` wants rax, r11, rcx and flags
//! below that frame.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use pv_guest_sdk::abi::callback::{FLAG_MASK_EVENTS, OP_REGISTER, Register, TYPE_EVENT, TYPE_SYSCALL};
use pv_guest_sdk::abi::hypercall::{CALLBACK_OP, IRET, SET_TRAP_TABLE, UPDATE_VA_MAPPING};
use pv_guest_sdk::abi::segment::FLAT_KERNEL_CS;
use pv_guest_sdk::abi::trap::{BREAKPOINT, FLAGS_MASK_EVENTS, INVALID_OPCODE, OVERFLOW, PAGE_FAULT, TrapInfo};
use pv_guest_sdk::{BootInfo, hypercall, memory};

unsafe extern "C" {
    fn bench_return();
    fn bench_skip2();
    fn bench_leave();
    fn bench_page_fault();
    fn bench_upcall();
    fn bench_syscall();
    fn bench_syscall_sysret();
    fn bench_enter(rip: u64, rsp: u64) -> u64;
}

/// A second view of the shared info page, for the upcall's handler.
#[unsafe(no_mangle)]
static BENCH_SHARED: AtomicU64 = AtomicU64::new(0);
/// The kernel's stack pointer while user code runs.
#[unsafe(no_mangle)]
static BENCH_STACK: AtomicU64 = AtomicU64::new(0);

// The page fault maps again what the measured code has unmapped: the address is in r12, the entry in r13.
// The breakpoint (3) returns; overflow (4) is how user code says that it has finished, with its result in rax.
global_asm!(
    r#"
    .macro LEAVE flags
        pop rcx
        pop r11
        push \flags
        push rcx
        push r11
        push rax
        mov eax, {iret}
        syscall
        ud2
    .endm

    .pushsection .text.bench, "ax", @progbits
    bench_return:
        LEAVE 0

    bench_skip2:
        add qword ptr [rsp + 16], 2
        LEAVE 0

    bench_syscall:
        LEAVE 0

    bench_syscall_sysret:
        LEAVE 0x100

    bench_page_fault:
        pop rcx
        pop r11
        mov qword ptr [rsp], 0
        push rcx
        push r11
        push rax
        mov eax, {update_va_mapping}
        mov rdi, r12
        mov rsi, r13
        xor edx, edx
        syscall
        mov eax, {iret}
        syscall
        ud2

    bench_upcall:
        mov rcx, [rip + BENCH_SHARED]
        mov byte ptr [rcx], 0
        mov qword ptr [rcx + 8], 0
        mov qword ptr [rcx + 2048], 0
        LEAVE 0

    bench_enter:
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        mov [rip + BENCH_STACK], rsp
        push {ss}
        push rsi
        push 0x202
        push {cs}
        push rdi
        push 0
        push rcx
        push r11
        push rax
        mov eax, {iret}
        syscall
        ud2

    bench_leave:
        mov rsp, [rip + BENCH_STACK]
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        ret
    .popsection
    "#,
    iret = const IRET,
    update_va_mapping = const UPDATE_VA_MAPPING,
    cs = const pv_guest_sdk::abi::segment::FLAT_USER_CS,
    ss = const pv_guest_sdk::abi::segment::FLAT_USER_SS,
);

/// Puts these entry points in the place of the SDK's.
pub fn install() {
    let frame = BootInfo::get().expect("the SDK has started").start_info().shared_info >> 12;
    // SAFETY: the shared info page is only accessed by single instructions, as the SDK does.
    let window = unsafe { memory::map_frames(&[frame]) }.expect("a second view");
    BENCH_SHARED.store(window.as_ptr() as u64, Ordering::Relaxed);
    core::mem::forget(window);
    let mut table = [
        gate(BREAKPOINT, 3, bench_return),
        gate(OVERFLOW, 3, bench_leave),
        gate(INVALID_OPCODE, 0, bench_skip2),
        gate(PAGE_FAULT, 0, bench_page_fault),
        TrapInfo::default(),
    ];
    // SAFETY: the entry points return as the measured code expects; other vectors stay the SDK's.
    unsafe { hypercall::call(SET_TRAP_TABLE, [table.as_mut_ptr() as u64, 0, 0, 0, 0]) }.expect("valid gates");
    callback(TYPE_EVENT, bench_upcall);
    user_stack();
}

fn gate(vector: u8, dpl: u8, entry: unsafe extern "C" fn()) -> TrapInfo {
    TrapInfo { vector, flags: dpl | FLAGS_MASK_EVENTS, cs: FLAT_KERNEL_CS, address: entry as *const () as u64, ..Default::default() }
}

fn callback(kind: u16, entry: unsafe extern "C" fn()) {
    let mut register = Register { kind, flags: FLAG_MASK_EVENTS, address: entry as *const () as u64, ..Default::default() };
    // SAFETY: as for the trap table.
    unsafe { hypercall::op(CALLBACK_OP, OP_REGISTER, &mut register) }.expect("a valid entry point");
}

/// A stack for entries from user mode, apart from the one that waits for user mode to end.
fn user_stack() {
    let stack = memory::alloc_page().expect("a page");
    // SAFETY: the page is used for nothing else.
    unsafe { hypercall::stack_switch(stack.as_ptr() as u64 + 4096) }.expect("a stack");
}

/// Whether a system call of user mode is returned from by SYSRET.
pub fn return_by_sysret(sysret: bool) {
    callback(TYPE_SYSCALL, if sysret { bench_syscall_sysret } else { bench_syscall });
}

/// Runs `code` in user mode until it executes `int 4`; returns its rax.
pub fn in_user_mode(code: unsafe extern "C" fn()) -> u64 {
    let stack = memory::alloc_page().expect("a page");
    // SAFETY: the code ends as it must, and the way back restores what a call preserves.
    let result = unsafe { bench_enter(code as *const () as u64, stack.as_ptr() as u64 + 4096) };
    pv_guest_sdk::events::unmask_upcalls();
    // SAFETY: user code has ended.
    unsafe { memory::free_page(stack) };
    result
}
