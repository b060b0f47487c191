//! The instruction decoder: 64-bit mode, and only the instructions that the hypervisor emulates.
//!
//! Its input is what a guest has at RIP, so it is strict: a form that is not listed, a prefix that does not belong there or a register
//! where only memory makes sense is [`DecodeError::Unknown`], and the fault goes back to the guest. It never guesses.

use super::cursor::Cursor;
use super::insn::{Alu, Base, Bit, DecodeError, Insn, Memory, Op, Place, PortOperand, Size, Source, WriteKind};
use super::modrm::ModRm;
use super::prefix::Prefixes;
use super::regs::Gpr;

/// UD2 and "xen": in front of CPUID it asks for the hypervisor's answer instead of the processor's (`xen.h`, `XEN_EMULATE_PREFIX`).
pub const FORCED_EMULATION_PREFIX: [u8; 5] = [0x0f, 0x0b, b'x', b'e', b'n'];

const CPUID: [u8; 2] = [0x0f, 0xa2];

/// Decodes the instruction at the start of `bytes`. Fifteen bytes are always enough; fewer may be.
pub fn decode(bytes: &[u8]) -> Result<Insn, DecodeError> {
    let mut cursor = Cursor::new(bytes);
    let (prefixes, opcode) = Prefixes::read(&mut cursor)?;
    let mut decoder = Decoder { cursor, prefixes };
    let (op, size) = match opcode {
        0x0f => decoder.two_bytes()?,
        _ => decoder.one_byte(opcode)?,
    };
    decoder.check_prefixes(&op)?;
    Ok(Insn { length: decoder.cursor.taken(), op, size, addr32: prefixes.addr32, lock: prefixes.lock })
}

/// Decodes the forced-emulation prefix and the CPUID behind it: 7 bytes, the length of the [`Insn`].
pub fn decode_forced(bytes: &[u8]) -> Result<Insn, DecodeError> {
    let expected = FORCED_EMULATION_PREFIX.into_iter().chain(CPUID);
    let length = FORCED_EMULATION_PREFIX.len() + CPUID.len();
    if expected.zip(bytes).any(|(want, &have)| want != have) {
        return Err(DecodeError::Unknown);
    }
    if bytes.len() < length {
        return Err(DecodeError::Truncated { need: length as u8 });
    }
    Ok(Insn { length: length as u8, op: Op::Cpuid, size: Size::B4, addr32: false, lock: false })
}

struct Decoder<'a> {
    cursor: Cursor<'a>,
    prefixes: Prefixes,
}

type Decoded = Result<(Op, Size), DecodeError>;

impl Decoder<'_> {
    fn one_byte(&mut self, opcode: u8) -> Decoded {
        let prefixes = self.prefixes;
        // Bit 0 of most opcodes chooses between bytes and the operand size.
        let size = if opcode & 1 == 0 { Size::B1 } else { prefixes.size() };
        let port_size = if opcode & 1 == 0 { Size::B1 } else { prefixes.port_size() };
        match opcode {
            0x00..=0x37 if opcode & 6 == 0 => self.write_reg(WriteKind::Alu(alu(opcode >> 3)?), size),
            0x6c | 0x6d => Ok((Op::Ins { rep: prefixes.rep }, port_size)),
            0x6e | 0x6f => Ok((Op::Outs { rep: prefixes.rep, segment: prefixes.segment }, port_size)),
            0x80 | 0x81 => self.alu_imm(size, size),
            0x83 => self.alu_imm(size, Size::B1),
            0x86 | 0x87 => self.write_reg(WriteKind::Xchg, size),
            0x88 | 0x89 => self.write_reg(WriteKind::Mov, size),
            0xa2 | 0xa3 => self.mov_absolute(size),
            0xc6 | 0xc7 => self.mov_imm(size),
            0xcc => Ok((Op::Int3, Size::B1)),
            0xcd => Ok((Op::Int(self.cursor.u8()?), Size::B1)),
            0xe4 | 0xe5 => Ok((Op::In(PortOperand::Imm(self.cursor.u8()?)), port_size)),
            0xe6 | 0xe7 => Ok((Op::Out(PortOperand::Imm(self.cursor.u8()?)), port_size)),
            0xec | 0xed => Ok((Op::In(PortOperand::Dx), port_size)),
            0xee | 0xef => Ok((Op::Out(PortOperand::Dx), port_size)),
            0xf4 => Ok((Op::Hlt, Size::B1)),
            0xfa => Ok((Op::Cli, Size::B1)),
            0xfb => Ok((Op::Sti, Size::B1)),
            _ => Err(DecodeError::Unknown),
        }
    }

    fn two_bytes(&mut self) -> Decoded {
        let opcode = self.cursor.u8()?;
        let full = self.prefixes.size();
        let size = if opcode & 1 == 0 { Size::B1 } else { full };
        match opcode {
            0x01 => self.group7(),
            0x06 => Ok((Op::Clts, Size::B8)),
            0x08 => Ok((Op::Invd, Size::B8)),
            0x09 => Ok((Op::Wbinvd, Size::B8)),
            0x20..=0x23 => self.mov_special(opcode),
            0x30 => Ok((Op::Wrmsr, Size::B4)),
            0x31 => Ok((Op::Rdtsc, Size::B4)),
            0x32 => Ok((Op::Rdmsr, Size::B4)),
            0x33 => Ok((Op::Rdpmc, Size::B4)),
            0xa2 => Ok((Op::Cpuid, Size::B4)),
            0xab => self.write_reg(WriteKind::Bit(Bit::Set), full),
            0xb0 | 0xb1 => self.write_reg(WriteKind::Cmpxchg, size),
            0xb3 => self.write_reg(WriteKind::Bit(Bit::Reset), full),
            0xba => self.bit_imm(full),
            0xbb => self.write_reg(WriteKind::Bit(Bit::Complement), full),
            0xc0 | 0xc1 => self.write_reg(WriteKind::Xadd, size),
            0xc3 => self.movnti(full),
            0xc7 => self.cmpxchg8b(),
            _ => Err(DecodeError::Unknown),
        }
    }

    fn modrm(&mut self) -> Result<ModRm, DecodeError> {
        ModRm::read(&mut self.cursor, &self.prefixes)
    }

    /// A constant of this size (64 bits have a 32-bit one), sign-extended.
    fn immediate(&mut self, size: Size) -> Result<Source, DecodeError> {
        let value = match size {
            Size::B1 => self.cursor.i8()?,
            Size::B2 => self.cursor.i16()?,
            Size::B4 | Size::B8 => self.cursor.i32()?,
        };
        Ok(Source::Imm(value as u64))
    }

    /// Memory from register.
    fn write_reg(&mut self, kind: WriteKind, size: Size) -> Decoded {
        let modrm = self.modrm()?;
        let source = Source::Reg(modrm.register(&self.prefixes, size));
        let dest = modrm.memory()?;
        Ok((Op::Write { kind, dest, source }, size))
    }

    fn alu_imm(&mut self, size: Size, imm_size: Size) -> Decoded {
        let modrm = self.modrm()?;
        let kind = WriteKind::Alu(alu(modrm.extension())?);
        let dest = modrm.memory()?;
        let source = self.immediate(imm_size)?;
        Ok((Op::Write { kind, dest, source }, size))
    }

    fn mov_imm(&mut self, size: Size) -> Decoded {
        let modrm = self.modrm()?;
        if modrm.extension() != 0 {
            return Err(DecodeError::Unknown);
        }
        let dest = modrm.memory()?;
        let source = self.immediate(size)?;
        let kind = WriteKind::Mov;
        Ok((Op::Write { kind, dest, source }, size))
    }

    /// MOV moffs from the accumulator: the address is in the instruction, as long as addresses are.
    fn mov_absolute(&mut self, size: Size) -> Decoded {
        let disp = if self.prefixes.addr32 { self.cursor.u32()? } else { self.cursor.i64()? };
        let dest = Memory { segment: self.prefixes.segment, base: Base::None, index: None, disp, addr32: self.prefixes.addr32 };
        let source = Source::Reg(self.prefixes.register(0, size));
        let kind = WriteKind::Mov;
        Ok((Op::Write { kind, dest, source }, size))
    }

    fn movnti(&mut self, size: Size) -> Decoded {
        // 66 does not shorten it; it makes another instruction (or none) of it.
        if self.prefixes.operand16 {
            return Err(DecodeError::Unknown);
        }
        self.write_reg(WriteKind::Mov, size)
    }

    fn bit_imm(&mut self, size: Size) -> Decoded {
        let modrm = self.modrm()?;
        let bit = match modrm.extension() {
            5 => Bit::Set,
            6 => Bit::Reset,
            7 => Bit::Complement,
            _ => return Err(DecodeError::Unknown),
        };
        let dest = modrm.memory()?;
        let source = self.immediate(Size::B1)?;
        let kind = WriteKind::Bit(bit);
        Ok((Op::Write { kind, dest, source }, size))
    }

    fn cmpxchg8b(&mut self) -> Decoded {
        let modrm = self.modrm()?;
        // With REX.W it is CMPXCHG16B, which is wider than an entry.
        if modrm.extension() != 1 || self.prefixes.w() {
            return Err(DecodeError::Unknown);
        }
        let dest = modrm.memory()?;
        let kind = WriteKind::Cmpxchg8b;
        let source = Source::Imm(0);
        Ok((Op::Write { kind, dest, source }, Size::B8))
    }

    /// 0F 01: half memory operands, half instructions of three bytes.
    fn group7(&mut self) -> Decoded {
        let modrm = self.modrm()?;
        let size = self.prefixes.size();
        match (modrm.byte, modrm.extension(), modrm.place(&self.prefixes, size)) {
            (0xd1, ..) if self.prefixes.operand16 => Err(DecodeError::Unknown),
            (0xd1, ..) => Ok((Op::Xsetbv, Size::B4)),
            (0xf9, ..) => Ok((Op::Rdtscp, Size::B4)),
            (_, 4, place @ Place::Reg(_)) => Ok((Op::Smsw(place), size)),
            (_, 4, place) => Ok((Op::Smsw(place), Size::B2)),
            (_, 6, place) => Ok((Op::Lmsw(place), Size::B2)),
            (_, 7, Place::Mem(memory)) => Ok((Op::Invlpg(memory), Size::B1)),
            _ => Err(DecodeError::Unknown),
        }
    }

    /// 0F 20 to 23: control and debug registers. The mod field counts as 3 whatever it is, so no SIB or displacement follows.
    fn mov_special(&mut self, opcode: u8) -> Decoded {
        let byte = self.cursor.u8()?;
        let number = byte >> 3 & 7 | self.prefixes.r();
        let gpr = Gpr::new(byte & 7 | self.prefixes.b());
        let op = match (opcode, number) {
            (0x20, 0 | 2..=4 | 8) => Op::MovFromCr { cr: number, gpr },
            (0x22, 0 | 2..=4 | 8) => Op::MovToCr { cr: number, gpr },
            (0x21, 0..=7) => Op::MovFromDr { dr: number, gpr },
            (0x23, 0..=7) => Op::MovToDr { dr: number, gpr },
            _ => return Err(DecodeError::Unknown),
        };
        Ok((op, Size::B8))
    }

    /// LOCK belongs only to read-modify-write instructions on memory, the repeat prefixes only to string instructions.
    fn check_prefixes(&self, op: &Op) -> Result<(), DecodeError> {
        let may_lock = matches!(op, Op::Write { kind, .. } if *kind != WriteKind::Mov);
        let may_repeat = matches!(op, Op::Ins { .. } | Op::Outs { .. });
        let bad_lock = self.prefixes.lock && !may_lock;
        let bad_rep = self.prefixes.rep && !may_repeat;
        if bad_lock || bad_rep || self.prefixes.repne {
            return Err(DecodeError::Unknown);
        }
        Ok(())
    }
}

fn alu(number: u8) -> Result<Alu, DecodeError> {
    Ok(match number {
        0 => Alu::Add,
        1 => Alu::Or,
        2 => Alu::Adc,
        3 => Alu::Sbb,
        4 => Alu::And,
        5 => Alu::Sub,
        6 => Alu::Xor,
        _ => return Err(DecodeError::Unknown),
    })
}
