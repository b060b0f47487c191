//! From one mode to the other and back.

use core::arch::{asm, global_asm};

use pv_guest_sdk::abi::mmu::{EXT_NEW_USER_BASEPTR, UVMF_INVLPG};
use pv_guest_sdk::{hypercall, memory};

use domus_test_kernels::tables::{ext, second_root};

use crate::count::{REPEAT, count, instructions, median};
use crate::entries::{in_user_mode, return_by_sysret};

unsafe extern "C" {
    fn bench_user_empty();
    fn bench_user_syscall();
    fn bench_user_breakpoint();
}

// User code: takes the time of REPEAT operations and hands it over in rax. EAX of a system call means nothing to the handler.
global_asm!(
    r#"
    .macro TIMED name, operation:vararg
    \name:
        rdtsc
        shl rdx, 32
        lea r14, [rax + rdx]
        mov r15d, {repeat}
    2:
        \operation
        dec r15d
        jnz 2b
        rdtsc
        shl rdx, 32
        add rax, rdx
        sub rax, r14
        int 4
    .endm

    .pushsection .text.bench, "ax", @progbits
    TIMED bench_user_empty
    TIMED bench_user_syscall, syscall
    TIMED bench_user_breakpoint, int3
    .popsection
    "#,
    repeat = const REPEAT,
);

fn user(code: unsafe extern "C" fn()) -> u64 {
    static ROOT: spin_once::Once = spin_once::Once::new();
    ROOT.call(|| {
        let root = second_root();
        // SAFETY: it maps what the kernel's table maps.
        unsafe { ext(EXT_NEW_USER_BASEPTR, root, 0) }.expect("a user table");
    });
    let whole = median(|| in_user_mode(code));
    let empty = median(|| in_user_mode(bench_user_empty));
    instructions(whole.saturating_sub(empty), REPEAT)
}

/// A one-time action; the kernel has one thread of control.
mod spin_once {
    use core::sync::atomic::{AtomicBool, Ordering};

    pub struct Once(AtomicBool);

    impl Once {
        pub const fn new() -> Once {
            Once(AtomicBool::new(false))
        }

        pub fn call(&self, action: impl FnOnce()) {
            if !self.0.swap(true, Ordering::Relaxed) {
                action();
            }
        }
    }
}

/// `syscall` in user mode, into the kernel, and back by `iret`.
pub fn user_syscall() -> u64 {
    return_by_sysret(false);
    user(bench_user_syscall)
}

/// The same with VGCF_in_syscall.
pub fn user_syscall_sysret() -> u64 {
    return_by_sysret(true);
    user(bench_user_syscall)
}

/// A breakpoint in user mode.
pub fn user_exception() -> u64 {
    user(bench_user_breakpoint)
}

/// A breakpoint in kernel mode.
pub fn exception() -> u64 {
    // SAFETY: the handler returns and changes nothing.
    count(|_| unsafe { asm!("int3") })
}

/// An invalid opcode in kernel mode.
pub fn invalid_opcode() -> u64 {
    // SAFETY: the handler skips the two bytes and changes nothing.
    count(|_| unsafe { asm!("ud2") })
}

/// Unmaps a page, touches it, and has the handler map it again.
pub fn page_fault() -> u64 {
    let page = memory::alloc_page().expect("a page");
    let address = page.as_ptr() as u64;
    let entry = memory::lookup(address).expect("a mapped page");
    count(|_| {
        // SAFETY: nothing else uses the page, and the handler maps it again: it finds address and entry in r12 and r13, and clobbers
        // what a hypercall does.
        unsafe {
            hypercall::update_va_mapping(address, 0, UVMF_INVLPG).expect("a valid entry");
            asm!(
                "mov al, [r12]",
                in("r12") address, in("r13") entry,
                out("rax") _, out("rcx") _, out("r11") _, out("rdi") _, out("rsi") _, out("rdx") _, out("r10") _, out("r8") _,
            );
        }
    })
}
