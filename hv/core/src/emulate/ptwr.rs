//! Writes to read-only page tables: what value an instruction would have stored.
//!
//! Linux writes some entries of its L1 tables with plain instructions (XCHG to read and clear one, LOCK AND or BTR to take a bit away)
//! and counts on the hypervisor to carry them out. This module computes; storing, validating the new entry and its references are the
//! memory module's business. An instruction that does not store (a CMPXCHG that failed) has an effect all the same.
//!
//! To carry out atomically: [`plan`] once, then read the entry, [`apply`], validate, compare-exchange the whole entry; if it changed
//! underneath, read and apply again, a bounded number of times, and then return to the guest to execute the instruction anew.

use super::address;
use super::alu;
use super::insn::{Alu, Insn, Op, Register, Size, Source, WriteKind};
use super::regs::{self, Gpr, Registers};

/// Where an instruction writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// Linear address of the first byte, a multiple of the size.
    pub va: u64,
    /// How much is written.
    pub size: Size,
}

impl Access {
    /// Linear address of the page-table entry that it lies in.
    pub fn entry_va(&self) -> u64 {
        self.va & !7
    }

    fn shift(&self) -> u32 {
        (self.va & 7) as u32 * 8
    }
}

/// Why a write is not emulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The instruction writes no memory.
    NotAWrite,
    /// The address is no multiple of the size, so the write may cross entries.
    Misaligned,
}

/// What an instruction does, given the entry's old value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The whole entry after the write, or `None` if nothing is stored.
    pub new_entry: Option<u64>,
    /// Flags afterwards; they differ from those before in status flags only.
    pub rflags: u64,
    /// Registers afterwards, all 64 bits.
    pub gprs: [Option<(Gpr, u64)>; 2],
}

/// Finds out where `insn` writes.
pub fn plan(insn: &Insn, regs: &impl Registers) -> Result<Access, Refused> {
    let Op::Write { kind, dest, source } = insn.op else {
        return Err(Refused::NotAWrite);
    };
    let beyond = bit_string_offset(kind, source, insn.size, regs);
    let va = address::linear_beyond(&dest, insn, regs, beyond);
    if !va.is_multiple_of(insn.size.bytes().into()) {
        return Err(Refused::Misaligned);
    }
    let size = insn.size;
    Ok(Access { va, size })
}

/// A bit number in a register reaches beyond the operand, forwards and backwards; a constant one does not.
fn bit_string_offset(kind: WriteKind, source: Source, size: Size, regs: &impl Registers) -> i64 {
    let (WriteKind::Bit(_), Source::Reg(register)) = (kind, source) else {
        return 0;
    };
    let unused = 64 - size.bits();
    let bit = (regs::read(regs, register, size) << unused) as i64 >> unused;
    bit.div_euclid(size.bits().into()) * i64::from(size.bytes())
}

/// Computes the effect of `insn`, which [`plan`] accepted as `access`, on an entry that holds `old_entry`.
pub fn apply(insn: &Insn, regs: &impl Registers, access: &Access, old_entry: u64) -> Applied {
    let size = access.size;
    let old = old_entry >> access.shift() & size.mask();
    let mut effect = effect(insn, regs, size, old);
    effect.new_entry = effect.new_entry.map(|new| {
        let mask = size.mask() << access.shift();
        alu::replace(old_entry, mask, new << access.shift())
    });
    effect
}

/// Makes the effect on the registers visible, RIP behind the instruction included.
pub fn commit(insn: &Insn, applied: &Applied, regs: &mut impl Registers) {
    for &(gpr, value) in applied.gprs.iter().flatten() {
        regs.set_gpr(gpr, value);
    }
    regs.set_rflags(applied.rflags);
    super::privop::retire(insn, regs);
}

/// The effect on the operand alone: `new_entry` is the operand's new value.
fn effect(insn: &Insn, regs: &impl Registers, size: Size, old: u64) -> Applied {
    let rflags = regs.rflags();
    let Op::Write { kind, source, .. } = insn.op else {
        return Applied { new_entry: None, rflags, gprs: [None; 2] };
    };
    let value = match source {
        Source::Reg(register) => regs::read(regs, register, size),
        Source::Imm(value) => value & size.mask(),
    };
    let stored = |(new, rflags)| Applied { new_entry: Some(new), rflags, gprs: [None; 2] };
    match kind {
        WriteKind::Mov => stored((value, rflags)),
        WriteKind::Alu(op) => stored(alu::arithmetic(op, size, old, value, rflags)),
        WriteKind::Bit(op) => stored(alu::single_bit(op, size, old, value, rflags)),
        WriteKind::Xchg => loading(regs, source, size, old, stored((value, rflags))),
        WriteKind::Xadd => {
            let sum = alu::arithmetic(Alu::Add, size, old, value, rflags);
            loading(regs, source, size, old, stored(sum))
        }
        WriteKind::Cmpxchg => cmpxchg(regs, size, old, value),
        WriteKind::Cmpxchg8b => cmpxchg8b(regs, old),
    }
}

/// Adds to an effect that the source register takes the old value.
fn loading(regs: &impl Registers, source: Source, size: Size, old: u64, effect: Applied) -> Applied {
    let Source::Reg(register) = source else {
        return effect;
    };
    let gprs = [Some(loaded(regs, register, size, old)), None];
    Applied { gprs, ..effect }
}

fn loaded(regs: &impl Registers, register: Register, size: Size, value: u64) -> (Gpr, u64) {
    let whole = regs::merged(regs.gpr(register.gpr), register, size, value);
    (register.gpr, whole)
}

fn cmpxchg(regs: &impl Registers, size: Size, old: u64, value: u64) -> Applied {
    let accumulator = Register::low(Gpr::RAX);
    let expected = regs::read(regs, accumulator, size);
    let (difference, rflags) = alu::arithmetic(Alu::Sub, size, expected, old, regs.rflags());
    if difference == 0 {
        return Applied { new_entry: Some(value), rflags, gprs: [None; 2] };
    }
    let gprs = [Some(loaded(regs, accumulator, size, old)), None];
    Applied { new_entry: None, rflags, gprs }
}

fn cmpxchg8b(regs: &impl Registers, old: u64) -> Applied {
    let pair = |high, low| regs.gpr(high) << 32 | regs.gpr(low) & 0xffff_ffff;
    let equal = old == pair(Gpr::RDX, Gpr::RAX);
    let zf = if equal { alu::ZF } else { 0 };
    let rflags = alu::replace(regs.rflags(), alu::ZF, zf);
    if equal {
        return Applied { new_entry: Some(pair(Gpr::RCX, Gpr::RBX)), rflags, gprs: [None; 2] };
    }
    let gprs = [Some((Gpr::RAX, old & 0xffff_ffff)), Some((Gpr::RDX, old >> 32))];
    Applied { new_entry: None, rflags, gprs }
}
