//! The entry points themselves, and the way out.

use core::arch::global_asm;

use abi::hypercall::IRET;
use abi::trap::HAS_ERROR_CODE;

use super::{FAILSAFE, SOFTWARE_INTERRUPT, SYSCALL, UPCALL, handle};

/// Bytes from one vector's stub to the next.
pub(super) const SIZE: u64 = 16;

unsafe extern "C" {
    pub(super) fn __pv_vectors();
    pub(super) fn __pv_software_interrupt();
    pub(super) fn __pv_upcall();
    pub(super) fn __pv_failsafe();
    pub(super) fn __pv_syscall();
    pub(super) fn __pv_leave();
}

// Every stub starts with rcx and r11 on the stack. They go back to their registers, and their two slots are used for the vector and,
// where the processor supplies none, an error code of 0. Reading below the stack pointer is never needed: upcalls are masked.
global_asm!(
    r#"
    .pushsection .text.pv_traps, "ax", @progbits

    .balign 16
    .global __pv_vectors
    __pv_vectors:
    .set vector, 0
    .rept 32
        .balign 16
        pop rcx
        pop r11
        .if (({has_error_code} >> vector) & 1) == 0
        push 0
        .endif
        push vector
        jmp __pv_enter
        .set vector, vector + 1
    .endr

    .global __pv_software_interrupt
    __pv_software_interrupt:
        pop rcx
        pop r11
        push 0
        push {software_interrupt}
        jmp __pv_enter

    .global __pv_syscall
    __pv_syscall:
        pop rcx
        pop r11
        push 0
        push {syscall}
        jmp __pv_enter

    # Four selectors lie above r11; they are null or flat in this kernel, so they are dropped.
    .global __pv_failsafe
    __pv_failsafe:
        pop rcx
        pop r11
        add rsp, 32
        push 0
        push {failsafe}
        jmp __pv_enter

    .global __pv_upcall
    __pv_upcall:
        pop rcx
        pop r11
        push 0
        push {upcall}

    __pv_enter:
        push rcx
        push r11
        push rax
        push rdi
        push rsi
        push rdx
        push r8
        push r9
        push r10
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        cld
        mov rdi, rsp
        mov rbp, rsp
        and rsp, -16
        call {handle}
        mov rsp, rbp

    .global __pv_leave
    __pv_leave:
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        pop r10
        pop r9
        pop r8
        pop rdx
        pop rsi
        pop rdi
        pop rax
        pop r11
        pop rcx
        add rsp, 16
        push 0
        push rcx
        push r11
        push rax
        mov eax, {iret}
        syscall
        ud2

    .popsection
    "#,
    has_error_code = const HAS_ERROR_CODE,
    software_interrupt = const SOFTWARE_INTERRUPT,
    syscall = const SYSCALL,
    failsafe = const FAILSAFE,
    upcall = const UPCALL,
    iret = const IRET,
    handle = sym handle,
);
