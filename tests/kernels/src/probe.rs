//! Provoking a trap and looking at what was delivered.
//!
//! A probe runs a piece of code, in kernel or in user mode, until it traps or returns; the trap's frame is kept, and the flow of control
//! goes back to where the probe began, whatever the code did to its registers.

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pv_guest_sdk::abi::segment::{FLAT_KERNEL_CS, FLAT_KERNEL_SS};
use pv_guest_sdk::sync::IrqMutex;
use pv_guest_sdk::traps::{self, FAILSAFE, SOFTWARE_INTERRUPT, SYSCALL, TrapFrame};
use pv_guest_sdk::{events, println};

/// RFLAGS.TF.
pub const TF: u64 = 1 << 8;
/// RFLAGS.IF.
pub const IF: u64 = 1 << 9;
/// RFLAGS.DF.
pub const DF: u64 = 1 << 10;
/// RFLAGS.IOPL.
pub const IOPL: u64 = 3 << 12;
/// RFLAGS.NT.
pub const NT: u64 = 1 << 14;
/// RFLAGS.AC.
pub const AC: u64 = 1 << 18;

/// A trap as the handler found it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trap {
    /// The frame.
    pub frame: TrapFrame,
    /// The address behind the frame.
    pub frame_end: u64,
    /// The fault address at that time.
    pub cr2: u64,
    /// RFLAGS in the handler.
    pub flags_inside: u64,
    /// Whether upcalls were masked in the handler.
    pub masked_inside: bool,
}

impl Trap {
    /// Vector and error code.
    pub fn kind(&self) -> (u64, u64) {
        (self.frame.vector, self.frame.error_code)
    }

    /// Whether upcalls were masked before the trap, as the frame says.
    pub fn masked_before(&self) -> bool {
        self.frame.cs >> 32 & 0xff != 0
    }
}

static ARMED: AtomicBool = AtomicBool::new(false);
static CAUGHT: IrqMutex<Option<Trap>> = IrqMutex::new(None);
#[unsafe(no_mangle)]
static PROBE_STACK: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    fn probe_call(code: extern "C" fn(*mut ()), argument: *mut ());
    fn probe_recover();
}

global_asm!(
    r#"
    .pushsection .text.probe, "ax", @progbits
    # Generic callers are compiled in the kernel's own crate.
    .globl probe_call
    probe_call:
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        sub rsp, 8
        mov [rip + PROBE_STACK], rsp
        mov rax, rdi
        mov rdi, rsi
        call rax
    probe_recover:
        cld
        mov rsp, [rip + PROBE_STACK]
        add rsp, 8
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        ret
    .popsection
    "#
);

/// Takes all traps that the SDK can hand over.
pub fn install() {
    for vector in (0..32).chain([SOFTWARE_INTERRUPT, SYSCALL, FAILSAFE]) {
        traps::set_handler(vector, record);
    }
}

fn flags() -> u64 {
    let flags: u64;
    // SAFETY: reads the flags by way of the stack.
    unsafe { core::arch::asm!("pushfq", "pop {0}", out(reg) flags) };
    flags
}

fn record(frame: &mut TrapFrame) {
    if !ARMED.swap(false, Ordering::Relaxed) {
        println!("unexpected trap {}, error {:#x}, address {:#x}", frame.vector, frame.error_code, traps::fault_address());
        panic!("{frame:#x?}");
    }
    *CAUGHT.lock() = Some(Trap {
        frame: *frame,
        frame_end: &raw const *frame as u64 + size_of::<TrapFrame>() as u64,
        cr2: traps::fault_address(),
        flags_inside: flags(),
        masked_inside: events::upcalls_masked(),
    });
    frame.rip = probe_recover as *const () as u64;
    frame.cs = u64::from(FLAT_KERNEL_CS & !3);
    frame.rflags = IF;
    frame.rsp = PROBE_STACK.load(Ordering::Relaxed);
    frame.ss = FLAT_KERNEL_SS.into();
}

/// Runs `code` in kernel mode; the trap that ended it, or `None` if it came to its end. Frames that a trap leaves behind are never
/// dropped, so the code must not own anything.
pub fn catch<F: FnMut()>(mut code: F) -> Option<Trap> {
    extern "C" fn call<F: FnMut()>(code: *mut ()) {
        // SAFETY: `catch` passes its own parameter.
        unsafe { (*code.cast::<F>())() }
    }
    *CAUGHT.lock() = None;
    ARMED.store(true, Ordering::Relaxed);
    // SAFETY: the trampoline preserves what a call preserves, trap or not.
    unsafe { probe_call(call::<F>, (&raw mut code).cast()) };
    ARMED.store(false, Ordering::Relaxed);
    CAUGHT.lock().take()
}

/// Runs one or more instructions in kernel mode (as for `asm!`) and gives the trap.
#[macro_export]
macro_rules! caught {
    ($($asm:tt)*) => {
        $crate::probe::catch(|| {
            // SAFETY: a probe: if it traps, the flow of control and the registers that calls preserve are restored.
            unsafe { core::arch::asm!($($asm)*) }
        })
    };
}

/// The same where a trap must come: otherwise the check fails.
#[macro_export]
macro_rules! trap {
    ($($asm:tt)*) => {
        match $crate::caught!($($asm)*) {
            Some(trap) => trap,
            None => $crate::fail!("no trap: {}", stringify!($($asm)*)),
        }
    };
}
