//! The ModRM byte, SIB and displacement.

use super::cursor::Cursor;
use super::insn::{Base, DecodeError, Memory, Place, Register, Size};
use super::prefix::Prefixes;
use super::regs::Gpr;

/// The operand in mod and r/m.
#[derive(Clone, Copy)]
enum Rm {
    Number(u8),
    Memory(Memory),
}

/// A ModRM byte with what follows it.
#[derive(Clone, Copy)]
pub struct ModRm {
    /// The byte itself, for opcodes that use it as a third opcode byte.
    pub byte: u8,
    /// Field reg with REX.R, 0 to 15.
    pub reg: u8,
    rm: Rm,
}

impl ModRm {
    /// Reads it.
    pub fn read(cursor: &mut Cursor<'_>, prefixes: &Prefixes) -> Result<Self, DecodeError> {
        let byte = cursor.u8()?;
        let rm = match byte >> 6 {
            3 => Rm::Number(byte & 7 | prefixes.b()),
            mode => Rm::Memory(memory(cursor, prefixes, mode, byte & 7)?),
        };
        Ok(ModRm { byte, reg: byte >> 3 & 7 | prefixes.r(), rm })
    }

    /// Field reg as an opcode extension, 0 to 7.
    pub fn extension(&self) -> u8 {
        self.byte >> 3 & 7
    }

    /// Field reg as a register.
    pub fn register(&self, prefixes: &Prefixes, size: Size) -> Register {
        prefixes.register(self.reg, size)
    }

    /// The other operand.
    pub fn place(&self, prefixes: &Prefixes, size: Size) -> Place {
        match self.rm {
            Rm::Number(number) => Place::Reg(prefixes.register(number, size)),
            Rm::Memory(memory) => Place::Mem(memory),
        }
    }

    /// The other operand if it is in memory.
    pub fn memory(&self) -> Result<Memory, DecodeError> {
        match self.rm {
            Rm::Number(_) => Err(DecodeError::Unknown),
            Rm::Memory(memory) => Ok(memory),
        }
    }
}

fn memory(cursor: &mut Cursor<'_>, prefixes: &Prefixes, mode: u8, rm: u8) -> Result<Memory, DecodeError> {
    let (base, index) = match rm {
        4 => sib(cursor.u8()?, prefixes, mode),
        5 if mode == 0 => (Base::NextInsn, None),
        _ => (Base::Gpr(Gpr::new(rm | prefixes.b())), None),
    };
    let disp = match (mode, base) {
        (1, _) => cursor.i8()?,
        (2, _) | (_, Base::None | Base::NextInsn) => cursor.i32()?,
        _ => 0,
    };
    Ok(Memory { segment: prefixes.segment, base, index, disp, addr32: prefixes.addr32 })
}

/// Base and index of a SIB byte. Index 4 without REX.X is none; base 5 with mod 0 is none, whatever REX.B says.
fn sib(sib: u8, prefixes: &Prefixes, mode: u8) -> (Base, Option<(Gpr, u8)>) {
    let index = match sib >> 3 & 7 | prefixes.x() {
        4 => None,
        number => Some((Gpr::new(number), sib >> 6)),
    };
    let base = match (sib & 7, mode) {
        (5, 0) => Base::None,
        (number, _) => Base::Gpr(Gpr::new(number | prefixes.b())),
    };
    (base, index)
}
