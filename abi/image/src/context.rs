//! What the first vCPU finds in its registers, so that the first domain and all later ones start alike.

use abi::context::{CpuUserRegs, VGCF_IN_KERNEL, VGCF_ONLINE, VcpuGuestContext};
use abi::segment::{FLAT_KERNEL_CS, FLAT_KERNEL_SS};

use crate::kernel::KernelInfo;
use crate::layout::Plan;
use crate::pages::PAGE;

/// RFLAGS with IF and the bit that is always set. Events are masked in `shared_info` all the same.
const INITIAL_RFLAGS: u64 = 1 << 9 | 1 << 1;
/// Values of the debug registers 6 and 7 after reset (Intel SDM vol. 3, table 9-1).
const DR6: u64 = 0xffff_0ff0;
const DR7: u64 = 0x400;

/// The registers at the kernel's first instruction; those not named are zero.
pub fn registers(kernel: &KernelInfo, plan: &Plan) -> CpuUserRegs {
    CpuUserRegs {
        rip: kernel.entry,
        cs: FLAT_KERNEL_CS,
        rflags: INITIAL_RFLAGS,
        rsp: plan.va_of(plan.boot_stack).unwrap_or(0).wrapping_add(PAGE),
        ss: FLAT_KERNEL_SS,
        rsi: plan.va_of(plan.start_info).unwrap_or(0),
        ..CpuUserRegs::default()
    }
}

/// The whole state of the first vCPU. `root_mfn` is the frame that the level 4 table's page became.
pub fn vcpu_context(kernel: &KernelInfo, plan: &Plan, root_mfn: u64) -> VcpuGuestContext {
    let user_regs = registers(kernel, plan);
    VcpuGuestContext {
        flags: VGCF_IN_KERNEL | VGCF_ONLINE,
        user_regs,
        kernel_ss: u64::from(user_regs.ss),
        kernel_sp: user_regs.rsp,
        ctrlreg: [0, 0, 0, root_mfn << 12, 0, 0, 0, 0],
        debugreg: [0, 0, 0, 0, 0, 0, DR6, DR7],
        ..VcpuGuestContext::default()
    }
}
