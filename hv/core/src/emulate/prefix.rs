//! Legacy prefixes and REX: everything before the opcode.

use super::cursor::Cursor;
use super::insn::{DecodeError, Register, Segment, Size};
use super::regs::Gpr;

/// What the prefixes of an instruction said.
#[derive(Clone, Copy)]
pub struct Prefixes {
    /// 66.
    pub operand16: bool,
    /// 67.
    pub addr32: bool,
    /// F0.
    pub lock: bool,
    /// F3.
    pub rep: bool,
    /// F2.
    pub repne: bool,
    /// 64 or 65; the last of several counts, and the four other segment prefixes do nothing in 64-bit mode.
    pub segment: Segment,
    rex: Option<u8>,
}

const REX_B: u8 = 1;
const REX_X: u8 = 2;
const REX_R: u8 = 4;
const REX_W: u8 = 8;

impl Prefixes {
    /// Reads the prefixes and the first opcode byte.
    pub fn read(cursor: &mut Cursor<'_>) -> Result<(Self, u8), DecodeError> {
        let mut prefixes =
            Prefixes { operand16: false, addr32: false, lock: false, rep: false, repne: false, segment: Segment::Flat, rex: None };
        // Ends after at most 15 bytes, where the cursor refuses.
        loop {
            let byte = cursor.u8()?;
            // A REX that is not the last prefix is void.
            let rex = prefixes.rex.take();
            match byte {
                0x26 | 0x2e | 0x36 | 0x3e => {}
                0x40..=0x4f => prefixes.rex = Some(byte),
                0x64 => prefixes.segment = Segment::Fs,
                0x65 => prefixes.segment = Segment::Gs,
                0x66 => prefixes.operand16 = true,
                0x67 => prefixes.addr32 = true,
                0xf0 => prefixes.lock = true,
                0xf2 => prefixes.repne = true,
                0xf3 => prefixes.rep = true,
                opcode => {
                    prefixes.rex = rex;
                    return Ok((prefixes, opcode));
                }
            }
        }
    }

    fn rex_bit(&self, bit: u8, value: u8) -> u8 {
        if self.rex.is_some_and(|rex| rex & bit != 0) { value } else { 0 }
    }

    /// 8 if REX.B is set: added to the number in r/m or in the base.
    pub fn b(&self) -> u8 {
        self.rex_bit(REX_B, 8)
    }

    /// 8 if REX.X is set: added to the number of the index.
    pub fn x(&self) -> u8 {
        self.rex_bit(REX_X, 8)
    }

    /// 8 if REX.R is set: added to the number in reg.
    pub fn r(&self) -> u8 {
        self.rex_bit(REX_R, 8)
    }

    /// True if REX.W is set.
    pub fn w(&self) -> bool {
        self.rex_bit(REX_W, 1) != 0
    }

    /// The operand size of an opcode that comes in 16, 32 and 64 bits.
    pub fn size(&self) -> Size {
        match (self.w(), self.operand16) {
            (true, _) => Size::B8,
            (false, true) => Size::B2,
            (false, false) => Size::B4,
        }
    }

    /// The operand size of port instructions, which know no 64 bits.
    pub fn port_size(&self) -> Size {
        match self.size() {
            Size::B8 => Size::B4,
            size => size,
        }
    }

    /// The register that a number (0 to 15) names: without any REX, bytes 4 to 7 are AH, CH, DH and BH.
    pub fn register(&self, number: u8, size: Size) -> Register {
        match (size, self.rex, number) {
            (Size::B1, None, 4..=7) => Register { gpr: Gpr::new(number - 4), high: true },
            _ => Register::low(Gpr::new(number)),
        }
    }
}
