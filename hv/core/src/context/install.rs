//! Giving a vCPU a context.

use abi::callback::{FLAG_MASK_EVENTS, TYPE_EVENT, TYPE_FAILSAFE, TYPE_SYSCALL};
use abi::context::{
    CpuUserRegs, VGCF_FAILSAFE_DISABLES_EVENTS, VGCF_I387_VALID, VGCF_IN_KERNEL, VGCF_ONLINE, VGCF_SYSCALL_DISABLES_EVENTS,
    VcpuGuestContext,
};
use abi::errno::Errno;

use super::{check, debug};
use crate::emulate::cr::{CR0_TS, guest_cr4};
use crate::hypercalls::set_gdt;
use crate::hypervisor::Hypervisor;
use crate::ids::{Mfn, VcpuRef};
use crate::machine::Machine;
use crate::mm::{Stop, base};
use crate::vcpu::{Callback, Vcpu};

/// The flags that a guest's image may have: CF, PF, AF, ZF, SF, TF, DF, OF, RF, AC, ID.
const GUEST_FLAGS: u64 = 0x25_0dd5;
/// RFLAGS: reads as one.
const ALWAYS: u64 = 1 << 1;
/// RFLAGS.IF: guests run with interrupts on.
const INTERRUPTS: u64 = 1 << 9;
/// RFLAGS.IOPL.
const IOPL: u64 = 3 << 12;

/// Gives a vCPU its state; it is online afterwards if the context says so. One that has a state already keeps its page tables and
/// descriptor tables, which the context must name.
///
/// # Errors
/// -ENOENT without such a vCPU, -ESRCH if its domain is being destroyed, -EBUSY if a CPU runs it or holds its state, -EINVAL for a
/// context that may not be, -EOPNOTSUPP if it would change the tables of a vCPU that has some; preempted if validating its page tables
/// takes longer. Nothing has changed then.
pub fn try_set<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef, context: &VcpuGuestContext) -> Result<(), Stop> {
    let vcpu = hv.vcpu(who).ok_or(Errno::NOENT)?;
    // Its tables were taken back, and frames of it that others still map must not become new ones: nobody would take those back.
    if hv.domain(who.domain).is_none_or(|domain| domain.dying) {
        return Err(Errno::SRCH.into());
    }
    if vcpu.sched.running || hv.cpus.iter().any(|cpu| cpu.current == Some(who)) {
        return Err(Errno::BUSY.into());
    }
    check::check(context)?;
    if !vcpu.initialised {
        take_tables(hv, who, context)?;
    } else if !names_same_tables(vcpu, context) {
        return Err(Errno::OPNOTSUPP.into());
    }
    let fsgsbase = hv.machine.cpuid(7, 0)[1] & 1 != 0;
    let domain = hv.domains.get_mut(who.domain).ok_or(Errno::NOENT)?;
    if who.vcpu == 0 {
        domain.set_assists(context.vm_assist);
    }
    let vcpu = domain.vcpu_mut(who.vcpu).ok_or(Errno::NOENT)?;
    fill(vcpu, context, fsgsbase);
    vcpu.initialised = true;
    vcpu.sched.online = context.flags & VGCF_ONLINE != 0;
    hv.reconsider(who);
    Ok(())
}

/// As [`try_set`], for callers that cannot continue.
///
/// # Errors
/// As there; -EAGAIN if there was more to do, and the same call goes on with it.
pub fn set<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef, context: &VcpuGuestContext) -> Result<(), Errno> {
    try_set(hv, who, context).map_err(|stop| {
        hv.mm().settle(who.domain);
        stop.errno()
    })
}

/// Takes references to the context's descriptor and page tables: all, or none.
fn take_tables<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef, context: &VcpuGuestContext) -> Result<(), Stop> {
    set_gdt::set(hv, who, check::gdt_frames(context), context.gdt_ents as u32)?;
    let (kernel, user) = (Mfn(check::kernel_table(context)), Mfn(check::user_table(context)));
    let taken = base::set_tables(hv, who, kernel, user);
    if taken.is_err() {
        set_gdt::set(hv, who, &[], 0)?;
    } else if let Some(vcpu) = hv.vcpu_mut(who) {
        vcpu.ldt_entries = context.ldt_ents as u32;
        vcpu.ldt_base = if context.ldt_ents == 0 { 0 } else { context.ldt_base };
    }
    taken
}

fn names_same_tables(vcpu: &Vcpu, context: &VcpuGuestContext) -> bool {
    let frames = check::gdt_frames(context);
    vcpu.kernel_table == check::kernel_table(context)
        && vcpu.user_table == check::user_table(context)
        && u64::from(vcpu.gdt_entries) == context.gdt_ents
        && vcpu.gdt_frames.get(..frames.len()) == Some(frames)
        && u64::from(vcpu.ldt_entries) == context.ldt_ents
        && (context.ldt_ents == 0 || vcpu.ldt_base == context.ldt_base)
}

/// Copies what was checked. The tables are not touched.
fn fill(vcpu: &mut Vcpu, context: &VcpuGuestContext, fsgsbase: bool) {
    fill_fpu(&mut vcpu.fpu, context);
    vcpu.regs = guest_regs(&context.user_regs);
    vcpu.iopl = (context.user_regs.rflags & IOPL) as u16;
    vcpu.in_kernel = context.flags & VGCF_IN_KERNEL != 0;
    vcpu.task_switched = context.ctrlreg[0] & CR0_TS != 0;
    vcpu.cr4 = guest_cr4(context.ctrlreg[4], fsgsbase);
    vcpu.kernel_sp = context.kernel_sp;
    vcpu.kernel_ss = context.kernel_ss & 0xffff | 3;
    vcpu.fs_base = context.fs_base;
    vcpu.gs_base_kernel = context.gs_base_kernel;
    vcpu.gs_base_user = context.gs_base_user;
    for (trap, given) in vcpu.traps.iter_mut().zip(&context.trap_ctxt) {
        *trap = *given;
        trap.cs |= 3;
    }
    fill_callbacks(vcpu, context);
    vcpu.debug = [0; 8];
    for number in [0, 1, 2, 3, 6, 7] {
        // Checked before.
        vcpu.debug[number] = debug::check(number, context.debugreg[number]).unwrap_or(0);
    }
}

fn fill_callbacks(vcpu: &mut Vcpu, context: &VcpuGuestContext) {
    let masks = |flag: u64| if context.flags & flag != 0 { u64::from(FLAG_MASK_EVENTS) } else { 0 };
    let given = [
        (TYPE_EVENT, context.event_callback_eip, 0),
        (TYPE_FAILSAFE, context.failsafe_callback_eip, masks(VGCF_FAILSAFE_DISABLES_EVENTS)),
        (TYPE_SYSCALL, context.syscall_callback_eip, masks(VGCF_SYSCALL_DISABLES_EVENTS)),
    ];
    for (kind, address, flags) in given {
        vcpu.callbacks[usize::from(kind)] = Callback { address, flags };
    }
}

/// Registers as the processor may load them for a guest, whatever was given: ring 3, interrupts on, no I/O privilege.
fn guest_regs(given: &CpuUserRegs) -> CpuUserRegs {
    CpuUserRegs {
        error_code: 0,
        entry_vector: 0,
        saved_upcall_mask: 0,
        cs: given.cs | 3,
        ss: given.ss | 3,
        rflags: given.rflags & GUEST_FLAGS | ALWAYS | INTERRUPTS,
        ..*given
    }
}

/// Where FCW and MXCSR lie in an FXSAVE image.
const FCW: usize = 0;
const MXCSR: usize = 24;

/// The image given, made loadable (a reserved bit in MXCSR would fault in the hypervisor), or the state after a reset.
fn fill_fpu(fpu: &mut [u8; 512], context: &VcpuGuestContext) {
    if context.flags & VGCF_I387_VALID != 0 {
        *fpu = context.fpu_ctxt;
        fpu[MXCSR + 2..MXCSR + 4].fill(0);
    } else {
        fpu.fill(0);
        fpu[FCW..FCW + 2].copy_from_slice(&0x37f_u16.to_le_bytes());
        fpu[MXCSR..MXCSR + 4].copy_from_slice(&0x1f80_u32.to_le_bytes());
    }
}
