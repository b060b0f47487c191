//! Each CPU's own data: its stack, the two words that `SYSCALL` needs before it has a stack, its TSS and descriptor page.
//!
//! `SYSCALL` leaves the guest's RSP loaded and gives no register to work with, and GS belongs to the guest. So each CPU has an entry
//! stub of its own ([`crate::entry`]) that knows the address of its [`EntryWords`].

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::context::CpuUserRegs;
use hv_core::ids::MAX_CPUS;

/// How many CPUs have a stack: those that run domains.
pub const RUNNING_CPUS: usize = 1;
/// Bytes of a CPU's stack; also its alignment, so that the stack pointer tells the CPU.
pub const STACK_SIZE: usize = 32768;

/// What `SYSCALL` uses before it has a stack. Written by the entry stub alone, but for `stack`, which is set before guests run.
#[repr(C, align(16))]
pub struct EntryWords {
    /// The guest's RSP, for the three instructions until it is pushed.
    pub scratch: u64,
    /// Where to push: the end of `CpuUserRegs::ss` in [`StackTop`].
    pub stack: u64,
}

/// The top of each CPU's stack.
#[repr(C, align(16))]
pub struct StackTop {
    /// Keeps `regs` at 8 modulo 16, so that its `ss` ends at a multiple of 16, as the processor pushes.
    _align: u64,
    /// The registers of the guest that entered.
    pub regs: CpuUserRegs,
    /// Which CPU this is.
    pub cpu: u64,
    _pad: u64,
    _pad2: u64,
}

const _: () = assert!((core::mem::offset_of!(StackTop, regs) + core::mem::offset_of!(CpuUserRegs, ss) + 8).is_multiple_of(16));
const _: () = assert!(size_of::<StackTop>().is_multiple_of(16));

/// A CPU's stack.
#[repr(C, align(32768))]
pub struct Stack([u8; STACK_SIZE]);

/// Memory that one CPU writes and nobody else reads.
#[repr(transparent)]
pub struct PerCpu<T>(UnsafeCell<T>);

// SAFETY: each element of the arrays of this type is touched by its own CPU alone (the index is `id()`), or before others run.
unsafe impl<T> Sync for PerCpu<T> {}

impl<T> PerCpu<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        PerCpu(UnsafeCell::new(value))
    }

    /// Where it is.
    pub const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// The entry words of all CPUs; `entry` addresses them by number.
pub static ENTRY_WORDS: [PerCpu<EntryWords>; MAX_CPUS] = [const { PerCpu::new(EntryWords { scratch: 0, stack: 0 }) }; MAX_CPUS];

static STACKS: [PerCpu<Stack>; RUNNING_CPUS] = [const { PerCpu::new(Stack([0; STACK_SIZE])) }; RUNNING_CPUS];

/// CPUs that run and answer interrupts.
static ONLINE: AtomicU64 = AtomicU64::new(1);

/// The CPUs that run, a bit each.
pub fn online() -> u64 {
    ONLINE.load(Ordering::Relaxed)
}

/// The number of the CPU that runs this.
#[inline(always)]
pub fn id() -> usize {
    // With one running CPU the answer is known; with more it is the `cpu` word at the top of the stack, found by masking RSP.
    const { assert!(RUNNING_CPUS == 1) };
    0
}

/// True for the lowest page of a CPU's stack, which stays unmapped: a stack that grows into it ends in #DF, which has a stack of its own.
pub fn is_guard_page(address: u64) -> bool {
    STACKS.iter().any(|stack| stack.get() as u64 == address)
}

/// The top of a CPU's stack.
pub fn stack_top(cpu: usize) -> *mut StackTop {
    let end = STACKS[cpu].get() as usize + STACK_SIZE;
    (end - size_of::<StackTop>()) as *mut StackTop
}

/// Where the processor pushes when it enters from ring 3: behind `ss`.
pub fn entry_stack(cpu: usize) -> u64 {
    stack_top(cpu) as u64 + (core::mem::offset_of!(StackTop, regs) + core::mem::offset_of!(CpuUserRegs, ss) + 8) as u64
}

/// Prepares a CPU's stack and entry words.
pub fn init(cpu: usize) {
    // SAFETY: runs once for each CPU before it enters a guest; nothing else refers to its stack or its entry words yet.
    unsafe {
        (*stack_top(cpu)).cpu = cpu as u64;
        (*ENTRY_WORDS[cpu].get()).stack = entry_stack(cpu);
    }
}
