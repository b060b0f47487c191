//! Traps: the table of entry points, one frame for all of them, and the way back.
//!
//! The hypervisor pushes rcx, r11, perhaps an error code, and the frame of `iret`. The stubs make one [`TrapFrame`] of that, call the
//! handler with events masked, and return by the `iret` hypercall, which alone can restore the event mask. Traps from user mode
//! come the same way, on the stack set by [`crate::hypercall::stack_switch`].

mod stubs;

use core::arch::asm;

use abi::callback;
use abi::hypercall as number;
use abi::segment::FLAT_KERNEL_CS;
use abi::trap::{FLAGS_MASK_EVENTS, TrapInfo};

use crate::sync::IrqMutex;
use crate::{events, hypercall, shared};

/// The registers of what was interrupted; a handler may change them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "registers")]
pub struct TrapFrame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rax: u64,
    pub r11: u64,
    pub rcx: u64,
    /// Which entry: a vector, [`SYSCALL`], [`FAILSAFE`] or [`UPCALL`].
    pub vector: u64,
    /// 0 for vectors that have none.
    pub error_code: u64,
    pub rip: u64,
    /// In the low 16 bits; RPL 3 means that user mode was interrupted.
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

impl TrapFrame {
    /// Whether user mode was interrupted.
    pub fn from_user(&self) -> bool {
        self.cs & 3 == 3
    }
}

/// `vector` of a `syscall` from user mode.
pub const SYSCALL: usize = 0x100;
/// `vector` of the failsafe callback.
pub const FAILSAFE: usize = 0x101;
/// `vector` of the event upcall, which has no handler to set.
pub const UPCALL: usize = 0x102;

/// The software interrupt that user mode may raise besides breakpoint and overflow.
pub const SOFTWARE_INTERRUPT: usize = 0x80;

/// A handler; it runs with events masked.
pub type Handler = fn(&mut TrapFrame);

/// Vectors 0 to 31, then the software interrupt, syscall and failsafe.
static HANDLERS: IrqMutex<[Handler; 35]> = IrqMutex::new([unexpected; 35]);

fn slot(vector: usize) -> Option<usize> {
    match vector {
        0..32 => Some(vector),
        SOFTWARE_INTERRUPT => Some(32),
        SYSCALL => Some(33),
        FAILSAFE => Some(34),
        _ => None,
    }
}

/// Sets the handler of an exception (0 to 31), [`SOFTWARE_INTERRUPT`], [`SYSCALL`] or [`FAILSAFE`]; other vectors are ignored.
pub fn set_handler(vector: usize, handler: Handler) {
    if let Some(slot) = slot(vector) {
        HANDLERS.lock()[slot] = handler;
    }
}

/// The address of the last page fault.
pub fn fault_address() -> u64 {
    // SAFETY: computes the address of a field in the static shared page.
    shared::read(unsafe { &raw const (*shared::vcpu()).cr2 })
}

/// Enters user mode (if `frame.cs` has RPL 3) or another flow of kernel mode, with the registers of `frame`. Events are masked there if
/// bit 9 of `rflags` is clear.
///
/// # Safety
/// Whatever runs there must be sound to run; nothing comes back to the caller.
pub unsafe fn resume(mut frame: TrapFrame) -> ! {
    // An upcall in between would find the stack pointer on its way through the frame.
    events::mask_upcalls();
    let frame = &raw mut frame;
    // SAFETY: what runs there is the caller's obligation. The frame lies on this stack, of which nothing below it is needed any more;
    // the way out pops it and builds the frame of `iret` in its place.
    unsafe {
        asm!("mov rsp, {frame}", "jmp {leave}", frame = in(reg) frame, leave = sym stubs::__pv_leave, options(noreturn));
    }
}

fn unexpected(frame: &mut TrapFrame) {
    let address = if frame.vector == abi::trap::PAGE_FAULT.into() { fault_address() } else { 0 };
    panic!("unexpected trap {}, error {:#x}, address {address:#x}\n{frame:#x?}", frame.vector, frame.error_code);
}

extern "C" fn handle(frame: &mut TrapFrame) {
    let vector = frame.vector as usize;
    if vector == UPCALL {
        return events::dispatch();
    }
    let handler = slot(vector).map(|slot| HANDLERS.lock()[slot]).unwrap_or(unexpected);
    handler(frame);
}

/// Installs the table and the callbacks.
pub(crate) fn init() {
    let mut table = [TrapInfo::default(); 34];
    for (vector, entry) in table.iter_mut().take(32).enumerate() {
        // Breakpoint and overflow may be raised by software in user mode.
        let dpl = if matches!(vector, 3 | 4) { 3 } else { 0 };
        *entry = gate(vector as u8, dpl, stubs::__pv_vectors as *const () as u64 + vector as u64 * stubs::SIZE);
    }
    table[32] = gate(SOFTWARE_INTERRUPT as u8, 3, stubs::__pv_software_interrupt as *const () as u64);
    // SAFETY: the stubs are the entry points that the frames are made for; the table ends with an empty entry.
    let traps = unsafe { hypercall::call(number::SET_TRAP_TABLE, [table.as_mut_ptr() as u64, 0, 0, 0, 0]) };
    let callbacks = [
        (callback::TYPE_EVENT, stubs::__pv_upcall as *const ()),
        (callback::TYPE_FAILSAFE, stubs::__pv_failsafe as *const ()),
        (callback::TYPE_SYSCALL, stubs::__pv_syscall as *const ()),
    ];
    let registered = callbacks.iter().all(|&(kind, address)| {
        let flags = callback::FLAG_MASK_EVENTS;
        let mut register = callback::Register { kind, flags, address: address as u64, ..Default::default() };
        // SAFETY: as for the table.
        unsafe { hypercall::op(number::CALLBACK_OP, callback::OP_REGISTER, &mut register) }.is_ok()
    });
    assert!(traps.is_ok() && registered, "the hypervisor refuses our trap handlers");
}

fn gate(vector: u8, dpl: u8, address: u64) -> TrapInfo {
    TrapInfo { vector, flags: dpl | FLAGS_MASK_EVENTS, cs: FLAT_KERNEL_CS, address, ..Default::default() }
}
