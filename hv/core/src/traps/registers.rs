//! The guest's registers as the emulator wants them.

use abi::context::CpuUserRegs;

use crate::emulate::regs::{Gpr, Registers};

/// A register frame with the segment bases that were in force.
pub struct Frame<'a> {
    /// The registers.
    pub regs: &'a mut CpuUserRegs,
    /// FS base.
    pub fs_base: u64,
    /// Active GS base.
    pub gs_base: u64,
}

impl Registers for Frame<'_> {
    fn gpr(&self, gpr: Gpr) -> u64 {
        let r = &*self.regs;
        [r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15][gpr.index()]
    }

    fn set_gpr(&mut self, gpr: Gpr, value: u64) {
        let r = &mut *self.regs;
        let slot = match gpr.index() {
            0 => &mut r.rax,
            1 => &mut r.rcx,
            2 => &mut r.rdx,
            3 => &mut r.rbx,
            4 => &mut r.rsp,
            5 => &mut r.rbp,
            6 => &mut r.rsi,
            7 => &mut r.rdi,
            8 => &mut r.r8,
            9 => &mut r.r9,
            10 => &mut r.r10,
            11 => &mut r.r11,
            12 => &mut r.r12,
            13 => &mut r.r13,
            14 => &mut r.r14,
            _ => &mut r.r15,
        };
        *slot = value;
    }

    fn rip(&self) -> u64 {
        self.regs.rip
    }

    fn set_rip(&mut self, rip: u64) {
        self.regs.rip = rip;
    }

    fn rflags(&self) -> u64 {
        self.regs.rflags
    }

    fn set_rflags(&mut self, rflags: u64) {
        self.regs.rflags = rflags;
    }

    fn fs_base(&self) -> u64 {
        self.fs_base
    }

    fn gs_base(&self) -> u64 {
        self.gs_base
    }
}
