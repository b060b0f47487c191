//! Emulated page-table writes against a model that works on a byte array, one bit and one sum at a time.

use super::random::{Random, registers};
use domus_hv_core::emulate::decode::decode;
use domus_hv_core::emulate::insn::{Alu, Bit, Insn, Op, Register, Size, Source, WriteKind};
use domus_hv_core::emulate::ptwr::{self, Refused};
use domus_hv_core::emulate::regs::{self, Gpr, PlainRegisters, Registers};

const CF: u64 = 1;
const PF: u64 = 1 << 2;
const AF: u64 = 1 << 4;
const ZF: u64 = 1 << 6;
const SF: u64 = 1 << 7;
const OF: u64 = 1 << 11;
const STATUS: u64 = CF | PF | AF | ZF | SF | OF;

/// Memory around the page-table entry: 64 bytes at this address.
const MEMORY: u64 = 0xffff_8880_0123_4000;

struct Model {
    memory: [u8; 64],
    regs: PlainRegisters,
}

impl Model {
    fn load(&self, at: usize, size: Size) -> u64 {
        (0..usize::from(size.bytes())).rev().fold(0, |value, i| value << 8 | u64::from(self.memory[at + i]))
    }

    fn store(&mut self, at: usize, size: Size, value: u64) {
        for i in 0..usize::from(size.bytes()) {
            self.memory[at + i] = (value >> (8 * i)) as u8;
        }
    }

    fn flag(&mut self, flag: u64, set: bool) {
        self.regs.rflags = if set { self.regs.rflags | flag } else { self.regs.rflags & !flag };
    }

    fn result_flags(&mut self, size: Size, result: u64) {
        self.flag(ZF, result == 0);
        self.flag(SF, result >> (size.bits() - 1) & 1 == 1);
        let ones = (0..8).filter(|bit| result >> bit & 1 == 1).count();
        self.flag(PF, ones % 2 == 0);
    }

    /// a + b + carry, or a - b - carry, in numbers that cannot overflow.
    fn sum(&mut self, size: Size, a: u64, b: u64, carry: bool, subtract: bool) -> u64 {
        let sign = if subtract { -1 } else { 1 };
        let signed = |v: u64| i128::from((v << (64 - size.bits())) as i64 >> (64 - size.bits()));
        let exact = i128::from(a) + sign * (i128::from(b) + i128::from(carry));
        let signed_exact = signed(a) + sign * (signed(b) + i128::from(carry));
        let nibble = i128::from(a & 15) + sign * (i128::from(b & 15) + i128::from(carry));
        let result = exact as u64 & size.mask();
        self.flag(CF, exact < 0 || exact > i128::from(size.mask()));
        self.flag(OF, signed_exact != signed(result));
        self.flag(AF, !(0..16).contains(&nibble));
        self.result_flags(size, result);
        result
    }

    fn alu(&mut self, op: Alu, size: Size, a: u64, b: u64) -> u64 {
        let carry = self.regs.rflags & CF != 0;
        match op {
            Alu::Add => self.sum(size, a, b, false, false),
            Alu::Adc => self.sum(size, a, b, carry, false),
            Alu::Sub => self.sum(size, a, b, false, true),
            Alu::Sbb => self.sum(size, a, b, carry, true),
            Alu::And | Alu::Or | Alu::Xor => {
                let result = match op {
                    Alu::And => a & b,
                    Alu::Or => a | b,
                    _ => a ^ b,
                };
                [CF, OF, AF].into_iter().for_each(|flag| self.flag(flag, false));
                self.result_flags(size, result);
                result
            }
        }
    }

    fn set(&mut self, register: Register, size: Size, value: u64) {
        let old = self.regs.gprs[register.gpr.index()];
        self.regs.gprs[register.gpr.index()] = match (size, register.high) {
            (Size::B8, _) => value,
            (Size::B4, _) => value & 0xffff_ffff,
            (Size::B2, _) => old & !0xffff | value & 0xffff,
            (Size::B1, false) => old & !0xff | value & 0xff,
            (Size::B1, true) => old & !0xff00 | (value & 0xff) << 8,
        };
    }

    /// Executes a write whose operand, bit strings apart, starts `at` this offset of the memory.
    fn execute(&mut self, insn: &Insn, kind: WriteKind, source: Source, at: usize) {
        let size = insn.size;
        let value = match source {
            Source::Reg(register) => regs::read(&self.regs, register, size),
            Source::Imm(value) => value & size.mask(),
        };
        let old = self.load(at, size);
        match kind {
            WriteKind::Mov => self.store(at, size, value),
            WriteKind::Xchg | WriteKind::Xadd => {
                let new = match kind {
                    WriteKind::Xadd => self.alu(Alu::Add, size, old, value),
                    _ => value,
                };
                let Source::Reg(register) = source else { unreachable!() };
                self.set(register, size, old);
                self.store(at, size, new);
            }
            WriteKind::Alu(op) => {
                let new = self.alu(op, size, old, value);
                self.store(at, size, new);
            }
            WriteKind::Cmpxchg => {
                let accumulator = regs::read(&self.regs, Register::low(Gpr::RAX), size);
                self.sum(size, accumulator, old, false, true);
                match accumulator == old {
                    true => self.store(at, size, value),
                    false => self.set(Register::low(Gpr::RAX), size, old),
                }
            }
            WriteKind::Cmpxchg8b => {
                let [rax, rcx, rdx, rbx, ..] = self.regs.gprs;
                let equal = old as u32 == rax as u32 && (old >> 32) as u32 == rdx as u32;
                self.flag(ZF, equal);
                if equal {
                    self.store(at, Size::B4, rbx);
                    self.store(at + 4, Size::B4, rcx);
                } else {
                    self.set(Register::low(Gpr::RAX), Size::B4, old);
                    self.set(Register::low(Gpr::RDX), Size::B4, old >> 32);
                }
            }
            WriteKind::Bit(op) => {
                // The bit string starts at the operand and goes on in both directions.
                let bit = match source {
                    Source::Imm(bit) => (bit & u64::from(size.bits() - 1)) as i64,
                    Source::Reg(_) => (value << (64 - size.bits())) as i64 >> (64 - size.bits()),
                };
                let position = at as i64 * 8 + bit;
                let byte = &mut self.memory[usize::try_from(position >> 3).unwrap()];
                let mask = 1 << (position & 7);
                let was = *byte & mask != 0;
                match op {
                    Bit::Set => *byte |= mask,
                    Bit::Reset => *byte &= !mask,
                    Bit::Complement => *byte ^= mask,
                }
                self.flag(CF, was);
            }
        }
        self.regs.rip = self.regs.rip.wrapping_add(insn.length.into());
        self.regs.rflags &= !(1 << 16);
    }
}

/// Opcodes with (%rdi) as destination; the ModRM's reg field is added.
const FORMS: &[&[u8]] = &[
    &[0x00],
    &[0x01],
    &[0x08],
    &[0x09],
    &[0x10],
    &[0x11],
    &[0x18],
    &[0x19],
    &[0x20],
    &[0x21],
    &[0x28],
    &[0x29],
    &[0x30],
    &[0x31],
    &[0x80],
    &[0x81],
    &[0x83],
    &[0x86],
    &[0x87],
    &[0x88],
    &[0x89],
    &[0xc6],
    &[0xc7],
    &[0x0f, 0xab],
    &[0x0f, 0xb0],
    &[0x0f, 0xb1],
    &[0x0f, 0xb3],
    &[0x0f, 0xba],
    &[0x0f, 0xbb],
    &[0x0f, 0xc0],
    &[0x0f, 0xc1],
    &[0x0f, 0xc3],
    &[0x0f, 0xc7],
];

fn random_insn(random: &mut Random) -> Vec<u8> {
    let prefix: &[u8] = random.pick(&[&[][..], &[0x66], &[0x48], &[0x4c], &[0x40], &[0x44]]);
    let form = random.pick(FORMS);
    let modrm = (random.next() as u8 & 7) << 3 | 7;
    let mut bytes = [prefix, form, &[modrm]].concat();
    bytes.extend_from_slice(&random.next().to_le_bytes());
    bytes
}

/// Values that compare equal, carry and overflow more often than random ones.
fn random_value(random: &mut Random) -> u64 {
    let edge = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x7fff_ffff, 0x8000_0000, u64::MAX, 1 << 63];
    match random.next() % 3 {
        0 => random.pick(&edge),
        1 => random.next() & 0x0303_0303_0303_0303,
        _ => random.next(),
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many cases, and no unsafe code to check")]
fn agrees_with_the_model() {
    let mut random = Random(0x9d7e);
    let mut stored = 0u32;
    let mut refused = 0u32;
    for _ in 0..400_000 {
        let Ok(insn) = decode(&random_insn(&mut random)) else {
            continue;
        };
        let Op::Write { kind, source, .. } = insn.op else {
            panic!("{insn:?} writes no memory");
        };
        let mut regs = PlainRegisters {
            gprs: std::array::from_fn(|_| random_value(&mut random)),
            rip: random.next(),
            rflags: random.next() & (STATUS | 1 << 16) | 2,
            ..PlainRegisters::default()
        };
        let mut memory: [u8; 64] = std::array::from_fn(|_| random.next() as u8);
        let at = 24 + (random.next() % 8) as usize;
        regs.gprs[Gpr::RDI.index()] = MEMORY + at as u64;
        if random.next() & 1 == 0 {
            // Let a comparison succeed.
            memory[at..at + 8].copy_from_slice(&regs.gprs[0].to_le_bytes());
            regs.gprs[2] = regs.gprs[0] >> 32;
        }
        if let (WriteKind::Bit(_), Source::Reg(register)) = (kind, source) {
            // Keep the bit within the memory that there is (or leave it: RDI is the address).
            if register.gpr == Gpr::RDI {
                continue;
            }
            let bit = (random.next() % 256) as i64 - 128;
            regs.gprs[register.gpr.index()] = bit as u64;
        }
        let mut model = Model { memory, regs };
        model.execute(&insn, kind, source, at);

        let access = match ptwr::plan(&insn, &regs) {
            Ok(access) => access,
            Err(reason) => {
                assert_eq!(reason, Refused::Misaligned);
                assert_ne!(at % usize::from(insn.size.bytes()), 0, "{insn:?}");
                refused += 1;
                continue;
            }
        };
        assert!(access.va >= access.entry_va() && access.va + u64::from(access.size.bytes()) <= access.entry_va() + 8);
        let entry = usize::try_from(access.entry_va() - MEMORY).unwrap();
        let old = u64::from_le_bytes(memory[entry..entry + 8].try_into().unwrap());
        let applied = ptwr::apply(&insn, &regs, &access, old);
        if let Some(new) = applied.new_entry {
            memory[entry..entry + 8].copy_from_slice(&new.to_le_bytes());
            stored += 1;
        }
        assert_eq!((applied.rflags ^ regs.rflags) & !STATUS, 0);
        ptwr::commit(&insn, &applied, &mut regs);
        assert_eq!(memory, model.memory, "{insn:?}");
        assert_eq!(regs, model.regs, "{insn:?}");
    }
    assert!(stored > 100_000 && refused > 50_000, "{stored} {refused}");
}

fn run(bytes: &[u8], regs: &mut PlainRegisters, old: u64) -> Option<u64> {
    let insn = decode(bytes).unwrap();
    let access = ptwr::plan(&insn, regs).unwrap();
    let applied = ptwr::apply(&insn, regs, &access, old);
    ptwr::commit(&insn, &applied, regs);
    applied.new_entry
}

#[test]
fn what_linux_does_to_its_page_tables() {
    let entry = 0x8000_0000_1234_5067;
    let mut regs = registers(1);
    regs.gprs[7] = MEMORY;
    // xchg %rax,(%rdi): ptep_get_and_clear
    regs.gprs[0] = 0;
    assert_eq!(run(&[0x48, 0x87, 0x07], &mut regs, entry), Some(0));
    assert_eq!(regs.gprs[0], entry);
    // lock andb $0xfd,(%rdi): ptep_set_wrprotect
    assert_eq!(run(&[0xf0, 0x80, 0x27, 0xfd], &mut regs, entry), Some(entry & !2));
    // lock btrq $5,(%rdi): test_and_clear_young
    assert_eq!(run(&[0xf0, 0x48, 0x0f, 0xba, 0x37, 5], &mut regs, entry), Some(entry & !0x20));
    assert_eq!(regs.rflags & CF, CF);
    // lock btrl %eax,(%rdi), bit 63: in the entry's upper half
    regs.gprs[0] = 63;
    assert_eq!(run(&[0xf0, 0x0f, 0xb3, 0x07], &mut regs, entry), Some(entry & !(1 << 63)));
    // lock cmpxchg %rcx,(%rdi)
    (regs.gprs[0], regs.gprs[1]) = (entry, 0x77);
    assert_eq!(run(&[0xf0, 0x48, 0x0f, 0xb1, 0x0f], &mut regs, entry), Some(0x77));
    assert_eq!(regs.rflags & ZF, ZF);
    assert_eq!(run(&[0xf0, 0x48, 0x0f, 0xb1, 0x0f], &mut regs, 5), None);
    assert_eq!((regs.rflags & ZF, regs.gprs[0]), (0, 5));
    // mov %rsi,(%rdi): set_pte
    regs.gprs[6] = 0x1067;
    assert_eq!(run(&[0x48, 0x89, 0x37], &mut regs, entry), Some(0x1067));
    // movq $0,(%rdi): pte_clear
    assert_eq!(run(&[0x48, 0xc7, 0x07, 0, 0, 0, 0], &mut regs, entry), Some(0));
}

#[test]
fn what_writes_no_entry_is_refused() {
    let mut regs = registers(2);
    let cli = decode(&[0xfa]).unwrap();
    assert_eq!(ptwr::plan(&cli, &regs), Err(Refused::NotAWrite));
    regs.set_gpr(Gpr::RDI, MEMORY + 4);
    let mov = decode(&[0x48, 0x89, 0x37]).unwrap();
    assert_eq!(ptwr::plan(&mov, &regs), Err(Refused::Misaligned));
}
