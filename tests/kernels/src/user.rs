//! User mode: a page table of its own (with the kernel's mappings, for want of anything to hide), a stack, and a probe that runs there.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pv_guest_sdk::abi::mmu::EXT_NEW_USER_BASEPTR;
use pv_guest_sdk::abi::segment::{FLAT_USER_CS, FLAT_USER_SS};
use pv_guest_sdk::traps::{self, TrapFrame};
use pv_guest_sdk::{hypercall, memory};

use crate::probe::{self, IF, Trap};
use crate::tables;

/// Pages of each stack.
const STACK: usize = 8;
const BYTES: u64 = STACK as u64 * 4096;

static KERNEL_STACK: AtomicU64 = AtomicU64::new(0);
static USER_STACK: AtomicU64 = AtomicU64::new(0);

fn stack() -> u64 {
    memory::alloc_pages(STACK).expect("pages").as_ptr() as u64 + BYTES
}

/// Makes the user table and the stacks, once.
pub fn set_up() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::Relaxed) {
        return;
    }
    let root = tables::second_root();
    // SAFETY: it maps what the kernel's table maps.
    unsafe { tables::ext(EXT_NEW_USER_BASEPTR, root, 0) }.expect("a user table");
    KERNEL_STACK.store(stack(), Ordering::Relaxed);
    USER_STACK.store(stack(), Ordering::Relaxed);
    // SAFETY: the stack is used for nothing else.
    unsafe { hypercall::stack_switch(kernel_stack()) }.expect("a stack");
}

/// Top of the stack on which the kernel is entered from user mode.
pub fn kernel_stack() -> u64 {
    KERNEL_STACK.load(Ordering::Relaxed)
}

/// Top of the user stack.
pub fn user_stack() -> u64 {
    USER_STACK.load(Ordering::Relaxed)
}

/// The frame with which user mode starts at `code`.
pub fn frame(code: unsafe extern "C" fn()) -> TrapFrame {
    TrapFrame {
        rip: code as *const () as u64,
        cs: FLAT_USER_CS.into(),
        rflags: IF,
        rsp: user_stack(),
        ss: FLAT_USER_SS.into(),
        ..TrapFrame::default()
    }
}

/// Enters user mode (or wherever the frame says) and gives the trap that ended it.
pub fn run(frame: TrapFrame) -> Trap {
    set_up();
    // SAFETY: whatever runs there ends in a trap, which the probe takes.
    probe::catch(|| unsafe { traps::resume(frame) }).expect("resuming never returns")
}

/// Runs `code` in user mode until it traps.
pub fn trap(code: unsafe extern "C" fn()) -> Trap {
    set_up();
    run(frame(code))
}

/// Defines functions of a few instructions, for user mode: they end in whatever trap is being tested.
#[macro_export]
macro_rules! user_code {
    ($($name:ident: $($line:literal),+;)*) => { $(
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            core::arch::naked_asm!($($line),+)
        }
    )* };
}

/// Calls `code` in user mode: it may return, or trap. `None` if it returned, with rax left in the frame that is given then.
pub fn call(code: unsafe extern "C" fn(), set: impl FnOnce(&mut TrapFrame)) -> (Option<Trap>, u64) {
    crate::user_code! { done: "int 0x80"; }
    set_up();
    let mut start = frame(code);
    start.rsp -= 16;
    set(&mut start);
    // SAFETY: the top of the user stack, which nothing uses now.
    unsafe { (start.rsp as *mut u64).write_volatile(done as *const () as u64) };
    let trap = run(start);
    let returned = trap.frame.vector == traps::SOFTWARE_INTERRUPT as u64;
    (if returned { None } else { Some(trap) }, trap.frame.rax)
}
