//! General registers by number, and how instructions read and write parts of them.
//!
//! A trait stands between, so that the rules work on the entry stack's frame, on a saved vCPU and in tests alike, and so that a segment
//! base is fetched from the machine only by the instruction that needs it.

use super::insn::{Register, Size};

/// Number of a general register, 0 to 15, in the order of the instruction encoding: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gpr(u8);

impl Gpr {
    /// rax.
    pub const RAX: Gpr = Gpr(0);
    /// rcx.
    pub const RCX: Gpr = Gpr(1);
    /// rdx.
    pub const RDX: Gpr = Gpr(2);
    /// rbx.
    pub const RBX: Gpr = Gpr(3);
    /// rsp.
    pub const RSP: Gpr = Gpr(4);
    /// rbp.
    pub const RBP: Gpr = Gpr(5);
    /// rsi.
    pub const RSI: Gpr = Gpr(6);
    /// rdi.
    pub const RDI: Gpr = Gpr(7);

    /// The register of an encoding; only the low four bits count.
    pub const fn new(number: u8) -> Self {
        Gpr(number & 15)
    }

    /// Its number, below 16.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The state of a vCPU as an emulated instruction sees it.
pub trait Registers {
    /// A general register.
    fn gpr(&self, gpr: Gpr) -> u64;
    /// Sets a general register, all 64 bits.
    fn set_gpr(&mut self, gpr: Gpr, value: u64);
    /// Address of the instruction at hand.
    fn rip(&self) -> u64;
    /// Sets RIP.
    fn set_rip(&mut self, value: u64);
    /// The flags.
    fn rflags(&self) -> u64;
    /// Sets the flags. Rules of this module change status flags and RF only.
    fn set_rflags(&mut self, value: u64);
    /// Base of FS.
    fn fs_base(&self) -> u64;
    /// Base of GS.
    fn gs_base(&self) -> u64;
}

/// Registers as plain values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlainRegisters {
    /// General registers, in encoding order.
    pub gprs: [u64; 16],
    /// RIP.
    pub rip: u64,
    /// Flags.
    pub rflags: u64,
    /// Base of FS.
    pub fs_base: u64,
    /// Base of GS.
    pub gs_base: u64,
}

impl Registers for PlainRegisters {
    fn gpr(&self, gpr: Gpr) -> u64 {
        self.gprs[gpr.index()]
    }
    fn set_gpr(&mut self, gpr: Gpr, value: u64) {
        self.gprs[gpr.index()] = value;
    }
    fn rip(&self) -> u64 {
        self.rip
    }
    fn set_rip(&mut self, value: u64) {
        self.rip = value;
    }
    fn rflags(&self) -> u64 {
        self.rflags
    }
    fn set_rflags(&mut self, value: u64) {
        self.rflags = value;
    }
    fn fs_base(&self) -> u64 {
        self.fs_base
    }
    fn gs_base(&self) -> u64 {
        self.gs_base
    }
}

/// The part of a register that an operand of this size names, zero-extended.
pub fn read(regs: &impl Registers, register: Register, size: Size) -> u64 {
    let whole = regs.gpr(register.gpr);
    let from = if register.high { whole >> 8 } else { whole };
    from & size.mask()
}

/// The whole register after `value` went into that part of it: 32-bit results clear the upper half, shorter ones leave the rest.
pub fn merged(old: u64, register: Register, size: Size, value: u64) -> u64 {
    let value = value & size.mask();
    match size {
        Size::B8 | Size::B4 => value,
        Size::B1 if register.high => old & !0xff00 | value << 8,
        Size::B1 | Size::B2 => old & !size.mask() | value,
    }
}

/// Writes a part of a register by the same rule.
pub fn write(regs: &mut impl Registers, register: Register, size: Size, value: u64) {
    let whole = merged(regs.gpr(register.gpr), register, size, value);
    regs.set_gpr(register.gpr, whole);
}
