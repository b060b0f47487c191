//! iced-x86 as the second opinion on a decoded instruction, in the hypervisor's own terms.
//!
//! Memory operands are compared by the address that they come to under given registers, so that two ways to write the same address
//! do not differ; everything else must be equal.

use domus_hv_core::emulate::address;
use domus_hv_core::emulate::insn::{Alu, Base, Bit, Insn, Memory, Op, Place, PortOperand, Register, Segment, Size, Source, WriteKind};
use domus_hv_core::emulate::regs::{Gpr, PlainRegisters};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind};

/// Our result with every memory operand replaced by its address.
pub fn normalised(insn: &Insn, regs: &PlainRegisters) -> Insn {
    let at = |memory: &Memory| absolute(address::linear(memory, insn, regs));
    let place = |place: &Place| match place {
        Place::Mem(memory) => Place::Mem(at(memory)),
        register => *register,
    };
    let op = match &insn.op {
        Op::Invlpg(memory) => Op::Invlpg(at(memory)),
        Op::Lmsw(p) => Op::Lmsw(place(p)),
        Op::Smsw(p) => Op::Smsw(place(p)),
        Op::Write { kind, dest, source } => Op::Write {
            kind: *kind,
            dest: at(dest),
            source: match source {
                // What counts of a bit number is its value modulo the size; iced does not extend it.
                Source::Imm(bit) if matches!(kind, WriteKind::Bit(_)) => Source::Imm(bit & 0xff),
                Source::Imm(value) => Source::Imm(value & insn.size.mask()),
                register => *register,
            },
        },
        op => *op,
    };
    let sized = matches!(op, Op::In(_) | Op::Out(_) | Op::Ins { .. } | Op::Outs { .. } | Op::Write { .. } | Op::Smsw(_));
    let string = matches!(op, Op::Ins { .. } | Op::Outs { .. });
    Insn { length: insn.length, op, size: if sized { insn.size } else { Size::B1 }, addr32: insn.addr32 && string, lock: insn.lock }
}

/// What iced makes of the bytes, if it is an instruction that the hypervisor's decoder is to accept.
pub fn expected(bytes: &[u8], regs: &PlainRegisters) -> Option<Insn> {
    let iced = Decoder::with_ip(64, bytes, regs.rip, DecoderOptions::NONE).decode();
    if iced.is_invalid() {
        return None;
    }
    let memory = || absolute(linear(&iced, regs));
    let (op, size) = match iced.mnemonic() {
        Mnemonic::In => (Op::In(port(&iced, 1)), register_size(&iced, 0)),
        Mnemonic::Out => (Op::Out(port(&iced, 0)), register_size(&iced, 1)),
        Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd => (Op::Ins { rep: iced.has_rep_prefix() }, memory_size(&iced)),
        Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd => {
            let segment = segment(&iced);
            (Op::Outs { rep: iced.has_rep_prefix(), segment }, memory_size(&iced))
        }
        Mnemonic::Clts => (Op::Clts, Size::B1),
        Mnemonic::Invd => (Op::Invd, Size::B1),
        Mnemonic::Wbinvd => (Op::Wbinvd, Size::B1),
        Mnemonic::Invlpg => (Op::Invlpg(memory()), Size::B1),
        Mnemonic::Rdmsr if iced.op_count() == 0 => (Op::Rdmsr, Size::B1),
        Mnemonic::Wrmsr => (Op::Wrmsr, Size::B1),
        Mnemonic::Rdtsc => (Op::Rdtsc, Size::B1),
        Mnemonic::Rdtscp => (Op::Rdtscp, Size::B1),
        Mnemonic::Rdpmc => (Op::Rdpmc, Size::B1),
        Mnemonic::Xsetbv => (Op::Xsetbv, Size::B1),
        Mnemonic::Cpuid => (Op::Cpuid, Size::B1),
        Mnemonic::Cli => (Op::Cli, Size::B1),
        Mnemonic::Sti => (Op::Sti, Size::B1),
        Mnemonic::Hlt => (Op::Hlt, Size::B1),
        Mnemonic::Int => (Op::Int(iced.immediate8()), Size::B1),
        Mnemonic::Int3 => (Op::Int3, Size::B1),
        Mnemonic::Lmsw => (Op::Lmsw(place(&iced, regs)), Size::B1),
        Mnemonic::Smsw => {
            let place = place(&iced, regs);
            let size = match place {
                Place::Reg(_) => register_size(&iced, 0),
                Place::Mem(_) => Size::B2,
            };
            (Op::Smsw(place), size)
        }
        Mnemonic::Mov if iced.op0_kind() == OpKind::Register => (mov_special(&iced)?, Size::B1),
        _ => {
            let kind = write_kind(&iced)?;
            if iced.op0_kind() != OpKind::Memory {
                return None;
            }
            let source = match kind {
                WriteKind::Cmpxchg8b => Source::Imm(0),
                _ => source(&iced)?,
            };
            (Op::Write { kind, dest: memory(), source }, memory_size(&iced))
        }
    };
    let addr32 = matches!(op, Op::Ins { .. } | Op::Outs { .. })
        && [iced.op0_kind(), iced.op1_kind()].iter().any(|kind| matches!(kind, OpKind::MemoryESEDI | OpKind::MemorySegESI));
    Some(Insn { length: iced.len() as u8, op, size, addr32, lock: iced.has_lock_prefix() })
}

fn write_kind(iced: &Instruction) -> Option<WriteKind> {
    Some(match iced.mnemonic() {
        Mnemonic::Mov if iced.op1_kind() == OpKind::Register && !iced.op1_register().is_gpr() => {
            return None;
        }
        Mnemonic::Mov | Mnemonic::Movnti => WriteKind::Mov,
        Mnemonic::Xchg => WriteKind::Xchg,
        Mnemonic::Xadd => WriteKind::Xadd,
        Mnemonic::Cmpxchg => WriteKind::Cmpxchg,
        Mnemonic::Cmpxchg8b => WriteKind::Cmpxchg8b,
        Mnemonic::Add => WriteKind::Alu(Alu::Add),
        Mnemonic::Or => WriteKind::Alu(Alu::Or),
        Mnemonic::Adc => WriteKind::Alu(Alu::Adc),
        Mnemonic::Sbb => WriteKind::Alu(Alu::Sbb),
        Mnemonic::And => WriteKind::Alu(Alu::And),
        Mnemonic::Sub => WriteKind::Alu(Alu::Sub),
        Mnemonic::Xor => WriteKind::Alu(Alu::Xor),
        Mnemonic::Bts => WriteKind::Bit(Bit::Set),
        Mnemonic::Btr => WriteKind::Bit(Bit::Reset),
        Mnemonic::Btc => WriteKind::Bit(Bit::Complement),
        _ => return None,
    })
}

fn mov_special(iced: &Instruction) -> Option<Op> {
    let (to, from) = (iced.op0_register(), iced.op1_register());
    if iced.op1_kind() != OpKind::Register {
        return None;
    }
    let cr = |r: iced_x86::Register| r.number() as u8;
    Some(match (to, from) {
        _ if from.is_cr() => Op::MovFromCr { cr: cr(from), gpr: gpr(to) },
        _ if to.is_cr() => Op::MovToCr { cr: cr(to), gpr: gpr(from) },
        _ if from.is_dr() => Op::MovFromDr { dr: cr(from), gpr: gpr(to) },
        _ if to.is_dr() => Op::MovToDr { dr: cr(to), gpr: gpr(from) },
        _ => return None,
    })
}

fn source(iced: &Instruction) -> Option<Source> {
    Some(match iced.op1_kind() {
        OpKind::Register if iced.op1_register().is_gpr() => Source::Reg(register(iced.op1_register())),
        OpKind::Register => return None,
        _ if matches!(write_kind(iced), Some(WriteKind::Bit(_))) => Source::Imm(iced.immediate(1) & 0xff),
        _ => Source::Imm(iced.immediate(1) & memory_size(iced).mask()),
    })
}

fn port(iced: &Instruction, operand: u32) -> PortOperand {
    match iced.op_kind(operand) {
        OpKind::Register => PortOperand::Dx,
        _ => PortOperand::Imm(iced.immediate8()),
    }
}

fn place(iced: &Instruction, regs: &PlainRegisters) -> Place {
    match iced.op0_kind() {
        OpKind::Register => Place::Reg(register(iced.op0_register())),
        _ => Place::Mem(absolute(linear(iced, regs))),
    }
}

fn linear(iced: &Instruction, regs: &PlainRegisters) -> u64 {
    iced.virtual_address(0, 0, |register, _, _| {
        Some(match register {
            iced_x86::Register::FS => regs.fs_base,
            iced_x86::Register::GS => regs.gs_base,
            r if r.is_segment_register() => 0,
            r => {
                let whole = regs.gprs[gpr(r).index()];
                if r.is_gpr32() { whole & 0xffff_ffff } else { whole }
            }
        })
    })
    .expect("a memory operand has an address")
}

fn absolute(va: u64) -> Memory {
    Memory { segment: Segment::Flat, base: Base::None, index: None, disp: va as i64, addr32: false }
}

fn segment(iced: &Instruction) -> Segment {
    match iced.segment_prefix() {
        iced_x86::Register::FS => Segment::Fs,
        iced_x86::Register::GS => Segment::Gs,
        _ => Segment::Flat,
    }
}

fn gpr(register: iced_x86::Register) -> Gpr {
    let full = register.full_register() as u32 - iced_x86::Register::RAX as u32;
    Gpr::new(full as u8)
}

fn register(register: iced_x86::Register) -> Register {
    use iced_x86::Register::{AH, BH, CH, DH};
    Register { gpr: gpr(register), high: matches!(register, AH | BH | CH | DH) }
}

fn size(bytes: usize) -> Size {
    match bytes {
        1 => Size::B1,
        2 => Size::B2,
        4 => Size::B4,
        8 => Size::B8,
        other => panic!("an operand of {other} bytes"),
    }
}

fn register_size(iced: &Instruction, operand: u32) -> Size {
    size(iced.op_register(operand).size())
}

fn memory_size(iced: &Instruction) -> Size {
    size(iced.memory_size().size())
}
