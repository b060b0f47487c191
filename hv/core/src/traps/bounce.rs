//! The frame that a guest finds on its kernel stack when it is entered at one of its own addresses
//! (Xen's `create_bounce_frame`; `arch-x86/xen-x86_64.h` for the selectors).

use core::sync::atomic::Ordering;

use super::mode;
use crate::ids::Mfn;
use crate::machine::{GuestFault, Machine};
use crate::vcpu::Vcpu;
use abi::context::CpuUserRegs;
use abi::segment::{FLAT_KERNEL_CS, FLAT_KERNEL_SS};

/// RFLAGS.IF.
pub const IF: u64 = 1 << 9;
/// RFLAGS.IOPL.
pub const IOPL: u64 = 3 << 12;
/// What is cleared on the way in: AC, VM, RF, NT, TF.
const CLEARED: u64 = 1 << 18 | 1 << 17 | 1 << 16 | 1 << 14 | 1 << 8;

/// Where a guest is entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// Its address.
    pub address: u64,
    /// Upcalls are masked on entry.
    pub mask_events: bool,
}

/// Masks upcalls if asked to; the mask as it was before, not 0 if they were masked: the guest may have put any value there.
#[inline]
pub fn swap_upcall_mask<M: Machine>(machine: &M, vcpu: &Vcpu, mask: bool) -> u8 {
    if vcpu.info_mfn == 0 {
        return 1;
    }
    let word = machine.word(Mfn(vcpu.info_mfn), vcpu.info_offset as usize / 8);
    let before = (word.load(Ordering::Relaxed) >> 8) as u8;
    if mask && before == 0 {
        word.fetch_or(0x100, Ordering::Relaxed);
    }
    before
}

/// What an entry has between r11 and rip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Between {
    /// An event, a system call, an exception without error code.
    Nothing,
    /// An exception's error code.
    ErrorCode(u32),
}

/// Makes the running vCPU continue at `target` in kernel mode, with what it was doing on its kernel stack: from low to high rcx,
/// r11, what is `between`, rip, cs with the saved upcall mask in bits 32-39, rflags, rsp, ss.
///
/// # Errors
/// The kernel stack cannot be written: the guest cannot go on.
#[inline]
pub fn bounce<M: Machine>(
    machine: &M,
    vcpu: &mut Vcpu,
    regs: &mut CpuUserRegs,
    target: Target,
    between: Between,
) -> Result<(), GuestFault> {
    let from_kernel = vcpu.in_kernel;
    let stack = if from_kernel { regs.rsp } else { vcpu.kernel_sp } & !15;
    mode::to_kernel(machine, vcpu);
    let masked = swap_upcall_mask(machine, vcpu, target.mask_events);
    let cs = u64::from(if from_kernel { regs.cs & !3 } else { regs.cs }) | u64::from(masked) << 32;
    let iopl = if vcpu.shows_iopl { u64::from(vcpu.iopl) } else { 0 };
    let flags = regs.rflags & !(IF | IOPL) | iopl | if masked != 0 { 0 } else { IF };
    let (rcx, r11, rip, rsp, ss) = (regs.rcx, regs.r11, regs.rip, regs.rsp, u64::from(regs.ss));
    let bottom = match between {
        Between::Nothing => push(machine, stack, [rcx, r11, rip, cs, flags, rsp, ss]),
        Between::ErrorCode(code) => push(machine, stack, [rcx, r11, code.into(), rip, cs, flags, rsp, ss]),
    }?;
    regs.rip = target.address;
    regs.cs = FLAT_KERNEL_CS;
    regs.rsp = bottom;
    regs.ss = FLAT_KERNEL_SS;
    regs.rflags &= !CLEARED;
    Ok(())
}

#[inline(always)]
fn push<M: Machine, const N: usize>(machine: &M, stack: u64, frame: [u64; N]) -> Result<u64, GuestFault> {
    let bottom = stack.wrapping_sub(N as u64 * 8);
    machine.write_words(bottom, frame)?;
    Ok(bottom)
}
