//! Which contexts a vCPU may get.

use abi::context::{VGCF_IN_KERNEL, VcpuGuestContext};
use abi::errno::Errno;
use abi::layout::{ENTRIES, PAGE_SIZE, is_canonical};
use abi::segment::{FIRST_RESERVED_GDT_ENTRY, MAX_LDT_ENTRIES};

use super::debug;
use crate::hypercalls::vm_assist;
use crate::mm::walk::is_guest_address;

/// Looks at everything in a context but what its frame numbers name.
///
/// # Errors
/// -EINVAL: an address that is not canonical, too many descriptors, a debug register or an assist that a guest may not have, or user mode
/// without a page table for it.
pub fn check(context: &VcpuGuestContext) -> Result<(), Errno> {
    let sound = addresses_are_canonical(context)
        && traps_are_canonical(context)
        && descriptor_tables_fit(context)
        && debug_registers_are_allowed(context)
        && context.vm_assist & !vm_assist::VALID == 0
        && (context.flags & VGCF_IN_KERNEL != 0 || user_table(context) != 0);
    if sound { Ok(()) } else { Err(Errno::INVAL) }
}

/// The frame of the kernel's top-level page table.
pub fn kernel_table(context: &VcpuGuestContext) -> u64 {
    context.ctrlreg[3] / PAGE_SIZE as u64
}

/// The frame of the top-level page table of user mode; 0 is none.
pub fn user_table(context: &VcpuGuestContext) -> u64 {
    context.ctrlreg[1] / PAGE_SIZE as u64
}

/// How many frames the GDT has.
pub fn gdt_frames(context: &VcpuGuestContext) -> &[u64] {
    let count = context.gdt_ents.div_ceil(ENTRIES as u64) as usize;
    context.gdt_frames.get(..count).unwrap_or(&context.gdt_frames)
}

fn addresses_are_canonical(context: &VcpuGuestContext) -> bool {
    let addresses = [
        context.user_regs.rip,
        context.user_regs.rsp,
        context.kernel_sp,
        context.fs_base,
        context.gs_base_kernel,
        context.gs_base_user,
        context.event_callback_eip,
        context.failsafe_callback_eip,
        context.syscall_callback_eip,
    ];
    addresses.into_iter().all(is_canonical)
}

fn traps_are_canonical(context: &VcpuGuestContext) -> bool {
    context.trap_ctxt.iter().all(|trap| is_canonical(trap.address))
}

fn descriptor_tables_fit(context: &VcpuGuestContext) -> bool {
    let ldt_fits = context.ldt_ents == 0
        || context.ldt_ents <= MAX_LDT_ENTRIES && context.ldt_base.is_multiple_of(PAGE_SIZE as u64) && is_guest_address(context.ldt_base);
    ldt_fits && context.gdt_ents <= FIRST_RESERVED_GDT_ENTRY as u64
}

fn debug_registers_are_allowed(context: &VcpuGuestContext) -> bool {
    [0, 1, 2, 3, 6, 7].into_iter().all(|number| debug::check(number, context.debugreg[number]).is_ok())
}
