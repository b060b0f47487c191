//! Reading a vCPU's context.

use abi::callback::{TYPE_EVENT, TYPE_FAILSAFE, TYPE_SYSCALL};
use abi::context::{
    VGCF_FAILSAFE_DISABLES_EVENTS, VGCF_I387_VALID, VGCF_IN_KERNEL, VGCF_ONLINE, VGCF_SYSCALL_DISABLES_EVENTS, VcpuGuestContext,
};
use abi::errno::Errno;
use abi::layout::PAGE_SIZE;
use zerocopy::FromZeros;

use crate::emulate::cr::cr0;
use crate::hypervisor::Hypervisor;
use crate::ids::VcpuRef;
use crate::machine::Machine;
use crate::vcpu::Vcpu;

/// The state of a vCPU. Its CPU must have saved it: a vCPU that runs, or whose state the hardware holds, is refused.
///
/// # Errors
/// -ENOENT without such a vCPU, -ENODATA if it has no state yet, -EBUSY if a CPU runs it or holds its state.
pub fn get<M: Machine>(hv: &Hypervisor<M>, who: VcpuRef) -> Result<VcpuGuestContext, Errno> {
    let domain = hv.domains.get(who.domain).ok_or(Errno::NOENT)?;
    let vcpu = domain.vcpu(who.vcpu).ok_or(Errno::NOENT)?;
    if !vcpu.initialised {
        return Err(Errno::NODATA);
    }
    if vcpu.sched.running || hv.cpus.iter().any(|cpu| cpu.current == Some(who)) {
        return Err(Errno::BUSY);
    }
    let mut context = VcpuGuestContext::new_zeroed();
    read(vcpu, &mut context);
    context.vm_assist = if who.vcpu == 0 { domain.assists } else { 0 };
    Ok(context)
}

fn read(vcpu: &Vcpu, into: &mut VcpuGuestContext) {
    into.fpu_ctxt = vcpu.fpu;
    into.flags = flags(vcpu);
    into.user_regs = vcpu.regs;
    into.user_regs.rflags |= u64::from(vcpu.iopl);
    into.trap_ctxt = vcpu.traps;
    into.ldt_base = vcpu.ldt_base;
    into.ldt_ents = u64::from(vcpu.ldt_entries);
    into.gdt_frames = vcpu.gdt_frames;
    into.gdt_ents = u64::from(vcpu.gdt_entries);
    into.kernel_ss = vcpu.kernel_ss;
    into.kernel_sp = vcpu.kernel_sp;
    into.ctrlreg[0] = cr0(vcpu.task_switched);
    into.ctrlreg[1] = vcpu.user_table.wrapping_mul(PAGE_SIZE as u64);
    into.ctrlreg[3] = vcpu.kernel_table.wrapping_mul(PAGE_SIZE as u64);
    into.ctrlreg[4] = vcpu.cr4;
    into.debugreg = vcpu.debug;
    into.event_callback_eip = vcpu.callbacks[usize::from(TYPE_EVENT)].address;
    into.failsafe_callback_eip = vcpu.callbacks[usize::from(TYPE_FAILSAFE)].address;
    into.syscall_callback_eip = vcpu.callbacks[usize::from(TYPE_SYSCALL)].address;
    into.fs_base = vcpu.fs_base;
    into.gs_base_kernel = vcpu.gs_base_kernel;
    into.gs_base_user = vcpu.gs_base_user;
}

fn flags(vcpu: &Vcpu) -> u64 {
    let masks = |kind: u16| vcpu.callbacks[usize::from(kind)].flags != 0;
    let set = [
        (VGCF_I387_VALID, true),
        (VGCF_IN_KERNEL, vcpu.in_kernel),
        (VGCF_ONLINE, vcpu.sched.online),
        (VGCF_FAILSAFE_DISABLES_EVENTS, masks(TYPE_FAILSAFE)),
        (VGCF_SYSCALL_DISABLES_EVENTS, masks(TYPE_SYSCALL)),
    ];
    set.into_iter().filter(|&(_, holds)| holds).fold(0, |flags, (flag, _)| flags | flag)
}
