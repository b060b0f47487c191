//! The frame that a guest finds on its kernel stack when it is entered at one of its own addresses
//! (Xen's `create_bounce_frame`; `arch-x86/xen-x86_64.h` for the selectors).

use core::sync::atomic::Ordering;

use abi::context::CpuUserRegs;
use abi::segment::{FLAT_KERNEL_CS, FLAT_KERNEL_SS};
use zerocopy::IntoBytes;

use super::mode;
use crate::ids::Mfn;
use crate::machine::{GuestFault, Machine};
use crate::vcpu::Vcpu;

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

/// Masks upcalls if asked to; true if they were masked before.
#[inline]
pub fn swap_upcall_mask<M: Machine>(machine: &M, vcpu: &Vcpu, mask: bool) -> bool {
    if vcpu.info_mfn == 0 {
        return true;
    }
    let word = machine.word(Mfn(vcpu.info_mfn), vcpu.info_offset as usize / 8);
    let before = word.load(Ordering::Relaxed) & 0xff00 != 0;
    if mask && !before {
        word.fetch_or(0x100, Ordering::Relaxed);
    }
    before
}

/// The most words between r11 and rip: ds, es, fs, gs of a failsafe frame. An exception has one at most, its error code.
const BETWEEN: usize = 4;

/// Makes the running vCPU continue at `target` in kernel mode, with what it was doing on its kernel stack: from low to high rcx,
/// r11, the words `between` (four at most), rip, cs with the saved upcall mask in bits 32-39, rflags, rsp, ss.
///
/// # Errors
/// The kernel stack cannot be written: the guest cannot go on.
pub fn bounce<M: Machine>(
    machine: &M,
    vcpu: &mut Vcpu,
    regs: &mut CpuUserRegs,
    target: Target,
    between: &[u64],
) -> Result<(), GuestFault> {
    let from_kernel = vcpu.in_kernel;
    let stack = if from_kernel { regs.rsp } else { vcpu.kernel_sp } & !15;
    mode::to_kernel(machine, vcpu);
    let masked = swap_upcall_mask(machine, vcpu, target.mask_events);
    let cs = u64::from(if from_kernel { regs.cs & !3 } else { regs.cs }) | u64::from(masked) << 32;
    let flags = regs.rflags & !(IF | IOPL) | u64::from(vcpu.iopl) | if masked { 0 } else { IF };
    let mut frame = [0, 0, 0, 0, 0, 0, regs.rip, cs, flags, regs.rsp, u64::from(regs.ss)];
    let first = BETWEEN - between.len();
    frame[first] = regs.rcx;
    frame[first + 1] = regs.r11;
    frame[first + 2..BETWEEN + 2].copy_from_slice(between);
    let words = &frame[first..];
    let bottom = stack.wrapping_sub(words.len() as u64 * 8);
    machine.copy_to_guest(bottom, words.as_bytes())?;
    regs.rip = target.address;
    regs.cs = FLAT_KERNEL_CS;
    regs.rsp = bottom;
    regs.ss = FLAT_KERNEL_SS;
    regs.rflags &= !CLEARED;
    Ok(())
}
