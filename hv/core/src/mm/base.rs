//! The top-level tables that a vCPU runs on: one for its kernel, one for its user mode. Each is held as an L4 table.
//!
//! The machine-to-physical table shows in a table once it is a kernel's: programs need not know how the machine's frames are dealt out.
//! With the assist m2p_strict it is taken out of a table that becomes one for user mode, too.

use abi::errno::Errno;
use abi::vm_assist::TYPE_M2P_STRICT;

use super::Stop;
use crate::call::Call;
use crate::frames::PageType;
use crate::hypervisor::Hypervisor;
use crate::ids::{Mfn, VcpuRef};
use crate::machine::Machine;

/// Makes `new` the kernel's table of the calling vCPU and loads it. The same table again only flushes.
///
/// # Errors
/// -EINVAL if it is no valid L4 table of the caller's domain.
pub fn new_kernel_table<M: Machine>(call: &mut Call<'_, M>, new: Mfn) -> Result<(), Stop> {
    let old = Mfn(call.vcpu().kernel_table);
    if new == old {
        load(call, new);
        return Ok(());
    }
    let domain = call.who.domain;
    call.hv.mm().get_frame_as(new, domain, PageType::L4)?;
    super::ldt::forget(call.hv, call.who);
    call.vcpu().kernel_table = new.0;
    load(call, new);
    // Only now does no CPU translate by the old one.
    if old.is_some() {
        call.hv.mm().put_frame_as(old);
    }
    Ok(())
}

/// A table becomes, or is again, a kernel's.
#[inline]
fn load<M: Machine>(call: &mut Call<'_, M>, root: Mfn) {
    let cpu = call.cpu;
    call.hv.machine.show_m2p(root, true);
    call.hv.frames.load_page_table(&call.hv.machine, cpu, root);
}

/// Makes `new` (or none, if 0) the user table of the calling vCPU. It is loaded when the vCPU goes to user mode.
///
/// # Errors
/// -EINVAL if it is no valid L4 table of the caller's domain.
pub fn new_user_table<M: Machine>(call: &mut Call<'_, M>, new: Mfn) -> Result<(), Stop> {
    let old = Mfn(call.vcpu().user_table);
    if new != old && new.is_some() {
        let domain = call.who.domain;
        call.hv.mm().get_frame_as(new, domain, PageType::L4)?;
    }
    if new.is_some() && call.domain().assists & 1 << TYPE_M2P_STRICT != 0 {
        call.hv.machine.show_m2p(new, false);
    }
    if new == old {
        return Ok(());
    }
    call.vcpu().user_table = new.0;
    if old.is_some() {
        call.hv.mm().put_frame_as(old);
    }
    Ok(())
}

/// Sets both tables of a vCPU that does not run and has none (a new context); `user` may be 0.
///
/// # Errors
/// -EBUSY if it has tables, and those of the calls above; nothing is set then.
pub fn set_tables<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef, kernel: Mfn, user: Mfn) -> Result<(), Stop> {
    let vcpu = hv.vcpu_mut(who).ok_or(Errno::SRCH)?;
    if vcpu.kernel_table != 0 || vcpu.user_table != 0 {
        return Err(Errno::BUSY.into());
    }
    hv.mm().get_frame_as(kernel, who.domain, PageType::L4)?;
    if user.is_some() {
        let held = hv.mm().get_frame_as(user, who.domain, PageType::L4);
        if let Err(stop) = held {
            hv.mm().put_frame_as(kernel);
            return Err(stop);
        }
    }
    hv.machine.show_m2p(kernel, true);
    if let Some(vcpu) = hv.vcpu_mut(who) {
        vcpu.kernel_table = kernel.0;
        vcpu.user_table = user.0;
    }
    Ok(())
}

/// Takes both tables from a vCPU that will not run again (or gets a new context). No CPU may have them loaded.
pub fn drop_tables<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef) {
    let Some(vcpu) = hv.vcpu_mut(who) else { return };
    let tables = [core::mem::take(&mut vcpu.kernel_table), core::mem::take(&mut vcpu.user_table)];
    for table in tables.map(Mfn).into_iter().filter(|table| table.is_some()) {
        hv.mm().put_frame_as(table);
    }
}
