//! Effective addresses: where a memory operand lies.

use super::insn::{Base, Insn, Memory, Segment};
use super::regs::Registers;

/// The linear address of a memory operand of `insn`.
pub fn linear(memory: &Memory, insn: &Insn, regs: &impl Registers) -> u64 {
    linear_beyond(memory, insn, regs, 0)
}

/// The linear address `beyond` bytes after a memory operand (before it, if negative). The sum wraps at the address size.
pub fn linear_beyond(memory: &Memory, insn: &Insn, regs: &impl Registers, beyond: i64) -> u64 {
    let base = match memory.base {
        Base::None => 0,
        Base::NextInsn => regs.rip().wrapping_add(insn.length.into()),
        Base::Gpr(gpr) => regs.gpr(gpr),
    };
    let index = memory.index.map_or(0, |(gpr, scale)| regs.gpr(gpr) << (scale & 3));
    let offset = base.wrapping_add(index).wrapping_add_signed(memory.disp).wrapping_add_signed(beyond);
    segmented(memory.segment, cut(offset, memory.addr32), regs)
}

/// An offset as the address size has it.
pub fn cut(offset: u64, addr32: bool) -> u64 {
    if addr32 { offset & 0xffff_ffff } else { offset }
}

/// A linear address from an offset in a segment.
pub fn segmented(segment: Segment, offset: u64, regs: &impl Registers) -> u64 {
    let base = match segment {
        Segment::Flat => 0,
        Segment::Fs => regs.fs_base(),
        Segment::Gs => regs.gs_base(),
    };
    base.wrapping_add(offset)
}
