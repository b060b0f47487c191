//! The `syscall` instruction and one thin function for each hypercall that the SDK uses.
//!
//! Functions that cannot hurt memory safety are safe; those that change mappings or hand memory to the hypervisor are not.

mod mmu;

use core::arch::asm;

use abi::Errno;
use abi::hypercall as number;
use abi::multicall::MulticallEntry;

pub use mmu::{mmu_update, mmuext_op, mmuext_op_for, update_va_mapping};

/// A result, or the error that the hypervisor returned.
pub type Result<T = u64> = core::result::Result<T, Errno>;

/// Any hypercall, unchecked.
///
/// # Safety
/// Whatever the call does to memory, mappings or the flow of control must be what the caller's code expects.
#[inline(always)]
pub unsafe fn raw(number: u64, args: [u64; 5]) -> i64 {
    let result: i64;
    // SAFETY: `syscall` in kernel mode is the hypercall instruction; every register that the ABI lets it change is an output, and
    // memory is taken to be changed. The target has no red zone that an upcall's frame could overwrite.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            inlateout("rdi") args[0] => _,
            inlateout("rsi") args[1] => _,
            inlateout("rdx") args[2] => _,
            inlateout("r10") args[3] => _,
            inlateout("r8") args[4] => _,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// Any hypercall; a negative return value becomes an error.
///
/// # Safety
/// As for [`raw`].
///
/// # Errors
/// What the hypervisor returns.
#[inline(always)]
pub unsafe fn call(number: u64, args: [u64; 5]) -> Result {
    // SAFETY: the caller's obligation.
    Errno::from_ret(unsafe { raw(number, args) })
}

/// A hypercall of the common shape "operation, argument structure".
///
/// # Safety
/// The operation must take a `T` and its effects must be what the caller's code expects.
///
/// # Errors
/// What the hypervisor returns.
#[inline(always)]
pub unsafe fn op<T>(number: u64, op: u32, argument: &mut T) -> Result {
    // SAFETY: the caller's obligation; the pointer is valid for the call.
    unsafe { call(number, [op.into(), core::ptr::from_mut(argument) as u64, 0, 0, 0]) }
}

/// `sched_op` with an operation that has no argument or a plain one; see [`abi::sched`].
///
/// # Errors
/// What the hypervisor returns.
pub fn sched_op<T>(operation: u32, argument: &mut T) -> Result {
    // SAFETY: no sched_op writes guest memory.
    unsafe { op(number::SCHED_OP, operation, argument) }
}

/// `event_channel_op`; see [`abi::event`] for operations and structures.
///
/// # Safety
/// `argument` must be the structure of `operation`.
///
/// # Errors
/// What the hypervisor returns.
pub unsafe fn event_channel_op<T>(operation: u32, argument: &mut T) -> Result {
    // SAFETY: the caller's obligation.
    unsafe { op(number::EVENT_CHANNEL_OP, operation, argument) }
}

/// `memory_op`; see [`abi::memory`].
///
/// # Safety
/// `argument` must be the structure of `operation`, and frames that it gives away must not be in use.
///
/// # Errors
/// What the hypervisor returns.
pub unsafe fn memory_op<T>(operation: u32, argument: &mut T) -> Result {
    // SAFETY: the caller's obligation.
    unsafe { op(number::MEMORY_OP, operation, argument) }
}

/// `grant_table_op` on an array of structures; see [`abi::grant`].
///
/// # Safety
/// `arguments` must be structures of `operation`, and mappings they change must be what the caller's code expects.
///
/// # Errors
/// What the hypervisor returns; each structure has a status of its own besides.
pub unsafe fn grant_table_op<T>(operation: u32, arguments: &mut [T]) -> Result {
    // SAFETY: the caller's obligation; pointer and count belong together.
    unsafe { call(number::GRANT_TABLE_OP, [operation.into(), arguments.as_mut_ptr() as u64, arguments.len() as u64, 0, 0]) }
}

/// `vcpu_op` on `vcpu`; see [`abi::vcpu`].
///
/// # Safety
/// `argument` must be the structure of `operation`; an area that it registers must stay valid.
///
/// # Errors
/// What the hypervisor returns.
pub unsafe fn vcpu_op<T>(operation: u32, vcpu: u32, argument: &mut T) -> Result {
    // SAFETY: the caller's obligation.
    unsafe { call(number::VCPU_OP, [operation.into(), vcpu.into(), core::ptr::from_mut(argument) as u64, 0, 0]) }
}

/// `xen_version` without a structure; operation 0 returns major << 16 | minor.
///
/// # Errors
/// What the hypervisor returns.
pub fn xen_version() -> Result {
    // SAFETY: operation 0 takes no pointer.
    unsafe { call(number::XEN_VERSION, [0; 5]) }
}

/// `console_io` write.
///
/// # Errors
/// -EPERM, say, where unprivileged domains may not write.
pub fn console_write(bytes: &[u8]) -> Result {
    // SAFETY: the hypervisor reads the bytes and writes nothing.
    unsafe { call(number::CONSOLE_IO, [abi::console::OP_WRITE.into(), bytes.len() as u64, bytes.as_ptr() as u64, 0, 0]) }
}

/// `console_io` read: how many bytes were there.
///
/// # Errors
/// What the hypervisor returns.
pub fn console_read(buffer: &mut [u8]) -> Result {
    // SAFETY: the hypervisor writes at most the buffer's length into it.
    unsafe { call(number::CONSOLE_IO, [abi::console::OP_READ.into(), buffer.len() as u64, buffer.as_mut_ptr() as u64, 0, 0]) }
}

/// `multicall`: runs a batch; every entry has its own result.
///
/// # Safety
/// As for every call in the batch.
///
/// # Errors
/// Of the batch as a whole.
pub unsafe fn multicall(batch: &mut [MulticallEntry]) -> Result<()> {
    // SAFETY: the caller's obligation; pointer and count belong together.
    unsafe { call(number::MULTICALL, [batch.as_mut_ptr() as u64, batch.len() as u64, 0, 0, 0]) }?;
    Ok(())
}

/// `stack_switch`: the stack for entries from user mode.
///
/// # Safety
/// `stack_top` must be the end of a stack that nothing else uses.
///
/// # Errors
/// What the hypervisor returns.
pub unsafe fn stack_switch(stack_top: u64) -> Result<()> {
    // SAFETY: the caller's obligation.
    unsafe { call(number::STACK_SWITCH, [abi::segment::FLAT_KERNEL_SS.into(), stack_top, 0, 0, 0]) }?;
    Ok(())
}
