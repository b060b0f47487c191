//! A guest's breakpoints on memory that the hypervisor then touches for it: the debug exception comes in ring 0, and must harm nobody.
#![no_std]
#![no_main]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use domus_test_kernels::report::{self, Check, Outcome};
use domus_test_kernels::{holds, same};
use pv_guest_sdk::abi::hypercall::{SET_DEBUGREG, XEN_VERSION};
use pv_guest_sdk::abi::version::{ExtraVersion, OP_EXTRAVERSION, OP_VERSION};
use pv_guest_sdk::{BootInfo, entry, hypercall, traps};

entry!(main);

const CHECKS: &[Check] = &[
    ("the hypervisor writes what a breakpoint watches, and the guest goes on", watched_buffer),
    ("the hypervisor pushes a trap's frame onto a stack that a breakpoint watches", watched_stack),
    ("a breakpoint put off by a load of SS until behind SYSCALL harms nobody", behind_system_call),
];

/// Breakpoint 0 on reads and writes of 8 bytes, for this address space and all.
const WATCH: u64 = 0x3 | 3 << 16 | 2 << 18;

static HITS: AtomicU64 = AtomicU64::new(0);
static TRAPS: AtomicU64 = AtomicU64::new(0);

fn main(_info: &'static BootInfo) {
    traps::set_handler(1, |_| {
        HITS.fetch_add(1, Ordering::Relaxed);
    });
    traps::set_handler(3, |_| {
        TRAPS.fetch_add(1, Ordering::Relaxed);
    });
    report::run(&[CHECKS]);
}

fn set(register: u64, value: u64) -> hypercall::Result {
    // SAFETY: #DB has a handler that only counts.
    unsafe { hypercall::call(SET_DEBUGREG, [register, value, 0, 0, 0]) }
}

/// Tells the version into `buffer`, by the hypervisor's hand.
fn tell(buffer: &mut ExtraVersion) -> bool {
    // SAFETY: the structure of the operation.
    unsafe { hypercall::op(XEN_VERSION, OP_EXTRAVERSION, buffer) }.is_ok()
}

fn watched_buffer() -> Outcome {
    #[repr(align(16))]
    struct Aligned(ExtraVersion);
    let (mut plain, mut watched) = (Aligned(ExtraVersion::default()), Aligned(ExtraVersion::default()));
    holds!(tell(&mut plain.0));
    same!(set(0, (&raw const watched) as u64), Ok(0));
    same!(set(7, WATCH), Ok(0));
    let told = tell(&mut watched.0);
    same!(set(7, 0), Ok(0));
    holds!(told);
    same!(watched.0.text, plain.0.text);
    Ok(())
}

fn watched_stack() -> Outcome {
    // Every word of a frame once: the hypervisor may touch each by another instruction.
    for word in 1..=7 {
        let before = TRAPS.load(Ordering::Relaxed);
        // SAFETY: sets breakpoint 0 below its own stack pointer, traps, takes the breakpoint away; RAX has the results.
        let failed: u64 = unsafe {
            let result: u64;
            asm!(
                "lea rsi, [rsp - 256]",
                "and rsi, -16",
                "mov {place}, rsi",
                "sub rsi, {below}",
                "xor edi, edi",
                "syscall", // where
                "mov {failed}, rax",
                "mov eax, {arm:e}",
                "mov edi, 7",
                "mov esi, {watch:e}",
                "syscall", // on
                "or {failed}, rax",
                "xchg rsp, {place}",
                "int3",
                "xchg rsp, {place}",
                "mov eax, {arm:e}",
                "mov edi, 7",
                "xor esi, esi",
                "syscall", // off
                "or {failed}, rax",
                "mov rax, {failed}",
                place = out(reg) _,
                failed = out(reg) _,
                arm = in(reg) SET_DEBUGREG,
                below = in(reg) word * 8u64,
                watch = in(reg) WATCH,
                inlateout("rax") SET_DEBUGREG => result,
                out("rdi") _, out("rsi") _, out("rcx") _, out("r11") _,
            );
            result
        };
        same!(failed, 0);
        same!(TRAPS.load(Ordering::Relaxed), before + 1);
    }
    Ok(())
}

fn behind_system_call() -> Outcome {
    let selector: u64;
    // SAFETY: reads a selector.
    unsafe { asm!("mov {:e}, ss", out(reg) selector) };
    let selector = AtomicU64::new(selector);
    // SAFETY: loads the selector that SS has; the operation of the call has no structure. The loads wait for one instruction with what
    // they trapped.
    let call = || unsafe {
        let version: u64;
        asm!(
            "mov ss, word ptr [{ss}]",
            "syscall",
            ss = in(reg) selector.as_ptr(),
            inlateout("rax") XEN_VERSION => version,
            in("rdi") u64::from(OP_VERSION),
            in("rsi") 0,
            lateout("rcx") _, lateout("r11") _,
        );
        version
    };
    let plain = call();
    same!(set(0, selector.as_ptr() as u64), Ok(0));
    same!(set(7, WATCH), Ok(0));
    let watched = call();
    same!(set(7, 0), Ok(0));
    same!(watched, plain);
    Ok(())
}
