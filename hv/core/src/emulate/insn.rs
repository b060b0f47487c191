//! What the decoder hands on: an instruction as the emulation needs it, no more.
//!
//! Only forms that can reach the hypervisor as a fault have a place here. A page-table write whose destination is a register, for
//! example, cannot be expressed, so nobody downstream has to refuse it.

use super::regs::Gpr;

/// Width of an operand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Size {
    /// 8 bits.
    B1,
    /// 16 bits.
    B2,
    /// 32 bits.
    B4,
    /// 64 bits.
    B8,
}

impl Size {
    /// In bytes: 1, 2, 4 or 8.
    pub const fn bytes(self) -> u8 {
        match self {
            Size::B1 => 1,
            Size::B2 => 2,
            Size::B4 => 4,
            Size::B8 => 8,
        }
    }

    /// In bits: 8, 16, 32 or 64.
    pub const fn bits(self) -> u32 {
        self.bytes() as u32 * 8
    }

    /// The ones that a value of this width may have.
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }

    /// The highest bit of the width.
    pub const fn sign_bit(self) -> u64 {
        1 << (self.bits() - 1)
    }
}

/// A general register, or one of the four high bytes (AH, CH, DH, BH) when `high` is set and the size is one byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Register {
    /// The register that holds it.
    pub gpr: Gpr,
    /// Bits 8 to 15 of it instead of the low ones.
    pub high: bool,
}

impl Register {
    /// A register by its low bits.
    pub const fn low(gpr: Gpr) -> Self {
        Register { gpr, high: false }
    }
}

/// Segment whose base counts. The bases of CS, DS, ES and SS are zero in 64-bit mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Segment {
    /// Base zero.
    Flat,
    /// Base in the FS base register.
    Fs,
    /// Base in the GS base register.
    Gs,
}

/// What the displacement is added to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// Nothing: absolute.
    None,
    /// The address of the next instruction.
    NextInsn,
    /// A register.
    Gpr(Gpr),
}

/// A memory operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Segment whose base is added last.
    pub segment: Segment,
    /// First summand.
    pub base: Base,
    /// Second summand: a register, shifted left by 0 to 3.
    pub index: Option<(Gpr, u8)>,
    /// Third summand, sign-extended. (A `moffs` address is the only one that needs all 64 bits.)
    pub disp: i64,
    /// The address-size prefix was there: the sum is cut to 32 bits before the segment base is added.
    pub addr32: bool,
}

/// A register or a memory operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A register.
    Reg(Register),
    /// Memory.
    Mem(Memory),
}

/// Second operand of a memory write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A register.
    Reg(Register),
    /// A constant, extended to 64 bits as the instruction extends it.
    Imm(u64),
}

/// Two-operand arithmetic that writes its first operand (so not CMP).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Alu {
    /// Sum.
    Add,
    /// Inclusive or.
    Or,
    /// Sum with carry.
    Adc,
    /// Difference with borrow.
    Sbb,
    /// And.
    And,
    /// Difference.
    Sub,
    /// Exclusive or.
    Xor,
}

/// Single-bit operations that write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bit {
    /// BTS.
    Set,
    /// BTR.
    Reset,
    /// BTC.
    Complement,
}

/// How a memory write makes its new value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteKind {
    /// MOV and MOVNTI: the source.
    Mov,
    /// XCHG (always locked).
    Xchg,
    /// XADD.
    Xadd,
    /// CMPXCHG with the accumulator.
    Cmpxchg,
    /// CMPXCHG8B: EDX:EAX against ECX:EBX; `source` is unused.
    Cmpxchg8b,
    /// Arithmetic.
    Alu(Alu),
    /// Single bit.
    Bit(Bit),
}

/// Which port an IN or OUT names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortOperand {
    /// In the instruction.
    Imm(u8),
    /// In DX.
    Dx,
}

/// What an instruction does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// IN to AL, AX or EAX.
    In(PortOperand),
    /// OUT from AL, AX or EAX.
    Out(PortOperand),
    /// INS to ES:rDI; with REP, rCX times.
    Ins {
        /// REP prefix.
        rep: bool,
    },
    /// OUTS from `segment`:rSI; with REP, rCX times.
    Outs {
        /// REP prefix.
        rep: bool,
        /// Segment of the source.
        segment: Segment,
    },
    /// CLTS.
    Clts,
    /// INVD.
    Invd,
    /// WBINVD.
    Wbinvd,
    /// INVLPG.
    Invlpg(Memory),
    /// MOV from a control register (0, 2, 3, 4 or 8).
    MovFromCr {
        /// Which.
        cr: u8,
        /// To where, 64 bits.
        gpr: Gpr,
    },
    /// MOV to a control register (0, 2, 3, 4 or 8).
    MovToCr {
        /// Which.
        cr: u8,
        /// From where, 64 bits.
        gpr: Gpr,
    },
    /// MOV from a debug register (0 to 7).
    MovFromDr {
        /// Which.
        dr: u8,
        /// To where, 64 bits.
        gpr: Gpr,
    },
    /// MOV to a debug register (0 to 7).
    MovToDr {
        /// Which.
        dr: u8,
        /// From where, 64 bits.
        gpr: Gpr,
    },
    /// LMSW (its memory operand has 16 bits whatever `size` says).
    Lmsw(Place),
    /// SMSW.
    Smsw(Place),
    /// RDMSR.
    Rdmsr,
    /// WRMSR.
    Wrmsr,
    /// RDTSC.
    Rdtsc,
    /// RDTSCP.
    Rdtscp,
    /// RDPMC.
    Rdpmc,
    /// XSETBV.
    Xsetbv,
    /// CPUID.
    Cpuid,
    /// CLI.
    Cli,
    /// STI.
    Sti,
    /// HLT.
    Hlt,
    /// INT n.
    Int(u8),
    /// INT3, the one-byte form.
    Int3,
    /// A write to memory that a page table can be the target of.
    Write {
        /// What is done.
        kind: WriteKind,
        /// First operand.
        dest: Memory,
        /// Second operand.
        source: Source,
    },
}

/// A decoded instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Insn {
    /// In bytes, 1 to 15.
    pub length: u8,
    /// What it does.
    pub op: Op,
    /// Width of its operands. For instructions without a choice (RDMSR, CLI, ...) it means nothing.
    pub size: Size,
    /// The address-size prefix was there (for INS and OUTS; memory operands carry it themselves).
    pub addr32: bool,
    /// The LOCK prefix was there.
    pub lock: bool,
}

/// Why there is no [`Insn`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The bytes end before the instruction does.
    Truncated {
        /// At least this many bytes from its start are needed, more than were given and at most 15.
        need: u8,
    },
    /// Not an instruction that is emulated, or none at all.
    Unknown,
}
