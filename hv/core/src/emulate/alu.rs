//! Arithmetic as the processor does it, with the status flags that follow.

use super::insn::{Alu, Bit, Size};

/// Carry.
pub const CF: u64 = 1 << 0;
/// Parity of the low byte.
pub const PF: u64 = 1 << 2;
/// Carry out of bit 3.
pub const AF: u64 = 1 << 4;
/// Zero.
pub const ZF: u64 = 1 << 6;
/// Sign.
pub const SF: u64 = 1 << 7;
/// Signed overflow.
pub const OF: u64 = 1 << 11;
/// All of them: what arithmetic changes in RFLAGS.
pub const STATUS: u64 = CF | PF | AF | ZF | SF | OF;

/// `a op b` at a size, and the flags afterwards. AF of the logical operations is undefined by the architecture; it comes out clear.
pub fn arithmetic(op: Alu, size: Size, a: u64, b: u64, rflags: u64) -> (u64, u64) {
    let carry = rflags & CF;
    let (a, b) = (a & size.mask(), b & size.mask());
    match op {
        Alu::Add => sum(size, a, b, 0, rflags),
        Alu::Adc => sum(size, a, b, carry, rflags),
        Alu::Sub => difference(size, a, b, 0, rflags),
        Alu::Sbb => difference(size, a, b, carry, rflags),
        Alu::And => logical(size, a & b, rflags),
        Alu::Or => logical(size, a | b, rflags),
        Alu::Xor => logical(size, a ^ b, rflags),
    }
}

/// A bit set, cleared or flipped, and the flags afterwards: CF is the bit as it was, the others stay. `bit` counts modulo the size.
pub fn single_bit(op: Bit, size: Size, value: u64, bit: u64, rflags: u64) -> (u64, u64) {
    let mask = 1 << (bit & u64::from(size.bits() - 1));
    let result = match op {
        Bit::Set => value | mask,
        Bit::Reset => value & !mask,
        Bit::Complement => value ^ mask,
    };
    (result, replace(rflags, CF, flag(value & mask != 0, CF)))
}

/// `flags` with the bits of `which` taken from `from`.
pub fn replace(flags: u64, which: u64, from: u64) -> u64 {
    flags & !which | from & which
}

fn flag(set: bool, which: u64) -> u64 {
    if set { which } else { 0 }
}

fn sum(size: Size, a: u64, b: u64, carry: u64, rflags: u64) -> (u64, u64) {
    let result = a.wrapping_add(b).wrapping_add(carry) & size.mask();
    // The carry out of each bit: both set, or one set and the sum's bit clear.
    let carries = a & b | (a | b) & !result;
    (result, flags(size, a, b, result, carries, rflags))
}

fn difference(size: Size, a: u64, b: u64, borrow: u64, rflags: u64) -> (u64, u64) {
    let result = a.wrapping_sub(b).wrapping_sub(borrow) & size.mask();
    // The borrow into each bit's left neighbour: the same with the minuend complemented.
    let borrows = !a & b | (!a | b) & result;
    (result, flags(size, a, !b, result, borrows, rflags))
}

fn flags(size: Size, a: u64, b: u64, result: u64, carries: u64, rflags: u64) -> u64 {
    // Signed overflow: both addends have one sign and the result the other.
    let overflow = !(a ^ b) & (a ^ result) & size.sign_bit() != 0;
    let from = flag(carries & size.sign_bit() != 0, CF) | flag(carries & 8 != 0, AF) | flag(overflow, OF) | of_result(size, result);
    replace(rflags, STATUS, from)
}

fn logical(size: Size, result: u64, rflags: u64) -> (u64, u64) {
    (result, replace(rflags, STATUS, of_result(size, result)))
}

fn of_result(size: Size, result: u64) -> u64 {
    flag(result == 0, ZF) | flag(result & size.sign_bit() != 0, SF) | flag((result as u8).count_ones().is_multiple_of(2), PF)
}
