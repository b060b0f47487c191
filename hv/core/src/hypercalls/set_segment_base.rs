//! `set_segment_base` (25): FS and GS bases of the calling vCPU, which is in kernel mode.

use abi::errno::Errno;
use abi::layout::is_canonical;
use abi::segment::{BASE_FS, BASE_GS_KERNEL, BASE_GS_USER, BASE_GS_USER_SEL};

use crate::call::{Call, Outcome};
use crate::machine::Machine;
use crate::mm::ldt;

/// `SEGBASE_*` in RDI, a base or a selector in RSI. A non-canonical base is refused (XSA-193); a selector is not, as on Xen: one that
/// cannot be loaded becomes null, for Linux dies of an error here.
#[inline]
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let (which, base) = (args[0] as u32, args[1]);
    if which == BASE_GS_USER_SEL {
        load_user_gs(call, user_selector(base as u16));
        return Outcome::Done(0);
    }
    if !is_canonical(base) {
        return Errno::INVAL.into();
    }
    match which {
        BASE_FS => {
            call.vcpu().fs_base = base;
            call.hv.machine.set_fs_base(base);
        }
        BASE_GS_USER => {
            call.vcpu().gs_base_user = base;
            call.hv.machine.set_shadow_gs_base(base);
        }
        BASE_GS_KERNEL => {
            call.vcpu().gs_base_kernel = base;
            call.hv.machine.set_gs_base(base);
        }
        _ => return Errno::INVAL.into(),
    }
    Outcome::Done(0)
}

#[inline(never)]
fn load_user_gs<M: Machine>(call: &mut Call<'_, M>, selector: u16) {
    if let Some(page) = ldt::page_of(selector)
        && ldt::frame(call.hv, call.who, page).is_ok()
        && let Some(vcpu) = call.hv.vcpu(call.who)
    {
        call.hv.machine.reload_descriptors(vcpu);
    }
    call.hv.machine.load_user_gs_selector(selector);
}

/// A selector as user mode may hold it: null, or with RPL 3.
fn user_selector(selector: u16) -> u16 {
    match selector {
        null @ 0..=3 => null,
        other => other | 3,
    }
}
