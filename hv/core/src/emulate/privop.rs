//! Privileged instructions that arrived as #GP (or #UD with the prefix): what the guest asks for, and how the answer goes back.
//!
//! [`decide`] turns an instruction into an [`Action`], [`complete`] writes the result into the registers and moves RIP. In between stands
//! the caller, who alone knows the vCPU. INVD, INVLPG, HLT, LMSW, SMSW, RDPMC, XSETBV and CR8 are decoded, so that a log can name
//! them, but bounced, as Xen bounces them to PV guests; there are hypercalls for what they do (and XSAVE is hidden).

use super::address::{cut, segmented};
use super::insn::{Insn, Op, PortOperand, Register, Segment, Size};
use super::regs::{self, Gpr, Registers};

/// RFLAGS.DF: string instructions run backwards.
const DF: u64 = 1 << 10;
/// RFLAGS.RF: suppresses an instruction breakpoint until the instruction is done.
const RF: u64 = 1 << 16;

/// How privileged the vCPU is that executes the instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Privilege {
    /// In guest-kernel mode, as opposed to guest-user mode.
    pub kernel: bool,
    /// Virtual IOPL, 0 to 3 (`PHYSDEVOP_set_iopl`).
    pub iopl: u8,
    /// `VMASST_TYPE_architectural_iopl` is on: the kernel counts as ring 0, otherwise as ring 1.
    pub architectural_iopl: bool,
}

impl Privilege {
    /// True if ports and the interrupt flag are free for use without asking the I/O bitmap.
    pub fn iopl_allows(&self) -> bool {
        let level = match (self.kernel, self.architectural_iopl) {
            (true, true) => 0,
            (true, false) => 1,
            (false, _) => 3,
        };
        level <= self.iopl
    }

    /// True if the gate of a virtual interrupt with this DPL may be used by INT n.
    pub fn may_interrupt(&self, dpl: u8) -> bool {
        dpl >= if self.kernel { 1 } else { 3 }
    }
}

/// One access to an I/O port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// How wide: 1, 2 or 4 bytes.
    pub size: Size,
    /// IOPL does not allow it: only if [`bitmap_allows`] may it be done, otherwise it is a #GP.
    pub needs_bitmap: bool,
}

/// True if an I/O bitmap permits an access. `mask` holds the bitmap's bytes number / 8 and the next, low byte first; beyond the end of
/// the bitmap all is forbidden.
pub fn bitmap_allows(mask: u16, port: Port) -> bool {
    let wanted = ((1u32 << port.size.bytes()) - 1) << (port.number & 7);
    u32::from(mask) & wanted == 0
}

/// What an instruction asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Not emulated: deliver the fault to the guest, RIP untouched.
    Bounce,
    /// Nothing: [`complete`] it.
    Nothing,
    /// Deliver a software interrupt with RIP behind the instruction if [`Privilege::may_interrupt`] its gate, otherwise a #GP with
    /// [`interrupt_error_code`] and RIP untouched.
    Interrupt(u8),
    /// CR0.TS := 0.
    ClearTaskSwitched,
    /// Reply with the value of control register 0, 2, 3 or 4.
    ReadCr(u8),
    /// Write control register 0, 2, 3 or 4.
    WriteCr(u8, u64),
    /// Reply with the value of debug register 0 to 7 (4 and 5 are 6 and 7 unless CR4.DE is set).
    ReadDr(u8),
    /// Write a debug register.
    WriteDr(u8, u64),
    /// Reply with the value of an MSR.
    ReadMsr(u32),
    /// Write an MSR.
    WriteMsr(u32, u64),
    /// Reply with the TSC.
    ReadTsc,
    /// Reply with the TSC and TSC_AUX.
    ReadTscp,
    /// Reply with a CPUID leaf and subleaf.
    Cpuid(u32, u32),
    /// Reply with what a port gives.
    PortIn(Port),
    /// Write a value to a port.
    PortOut(Port, u32),
    /// Read a port and store the value at a linear address of the guest.
    StringIn(Port, u64),
    /// Load a value from a linear address of the guest and write it to a port.
    StringOut(Port, u64),
}

/// What the caller got for an [`Action`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply {
    /// It is done and there is nothing to tell.
    Done,
    /// A register's, port's or counter's value.
    Value(u64),
    /// TSC and TSC_AUX.
    Tscp(u64, u32),
    /// EAX, EBX, ECX and EDX of a CPUID leaf.
    Leaf([u32; 4]),
}

/// What `insn` asks for in this state.
pub fn decide(insn: &Insn, regs: &impl Registers, privilege: Privilege) -> Action {
    match insn.op {
        Op::In(port) => Action::PortIn(port_access(insn, regs, port, privilege)),
        Op::Out(port) => {
            let value = regs::read(regs, Register::low(Gpr::RAX), insn.size) as u32;
            Action::PortOut(port_access(insn, regs, port, privilege), value)
        }
        Op::Ins { rep: true } | Op::Outs { rep: true, .. } if count(insn, regs) == 0 => Action::Nothing,
        Op::Ins { .. } => {
            let va = string_address(insn, regs, Segment::Flat, Gpr::RDI);
            Action::StringIn(port_access(insn, regs, PortOperand::Dx, privilege), va)
        }
        Op::Outs { segment, .. } => {
            let va = string_address(insn, regs, segment, Gpr::RSI);
            Action::StringOut(port_access(insn, regs, PortOperand::Dx, privilege), va)
        }
        Op::Cli | Op::Sti if privilege.iopl_allows() => Action::Nothing,
        Op::Cpuid => Action::Cpuid(low(regs, Gpr::RAX), low(regs, Gpr::RCX)),
        Op::Int(vector) => Action::Interrupt(vector),
        Op::Int3 => Action::Interrupt(3),
        _ if privilege.kernel => decide_for_kernel(insn, regs),
        _ => Action::Bounce,
    }
}

fn decide_for_kernel(insn: &Insn, regs: &impl Registers) -> Action {
    match insn.op {
        Op::Clts => Action::ClearTaskSwitched,
        // A guest owns no device that would look behind the caches, so it is as good as done.
        Op::Wbinvd => Action::Nothing,
        Op::MovFromCr { cr: cr @ 0..=4, .. } => Action::ReadCr(cr),
        Op::MovToCr { cr: cr @ 0..=4, gpr } => Action::WriteCr(cr, regs.gpr(gpr)),
        Op::MovFromDr { dr, .. } => Action::ReadDr(dr),
        Op::MovToDr { dr, gpr } => Action::WriteDr(dr, regs.gpr(gpr)),
        Op::Rdmsr => Action::ReadMsr(low(regs, Gpr::RCX)),
        Op::Wrmsr => {
            let value = u64::from(low(regs, Gpr::RDX)) << 32 | u64::from(low(regs, Gpr::RAX));
            Action::WriteMsr(low(regs, Gpr::RCX), value)
        }
        Op::Rdtsc => Action::ReadTsc,
        Op::Rdtscp => Action::ReadTscp,
        _ => Action::Bounce,
    }
}

/// Writes the reply to an [`Action`] into the registers and moves RIP behind the instruction; a repeated string instruction that is
/// not through stays where it is and faults again for its next element.
pub fn complete(insn: &Insn, regs: &mut impl Registers, reply: Reply) {
    match (insn.op, reply) {
        (Op::In(_), Reply::Value(value)) => {
            regs::write(regs, Register::low(Gpr::RAX), insn.size, value);
        }
        (Op::MovFromCr { gpr, .. } | Op::MovFromDr { gpr, .. }, Reply::Value(value)) => {
            regs.set_gpr(gpr, value);
        }
        (Op::Rdmsr | Op::Rdtsc, Reply::Value(value)) => set_pair(regs, value),
        (Op::Rdtscp, Reply::Tscp(tsc, aux)) => {
            set_pair(regs, tsc);
            regs.set_gpr(Gpr::RCX, aux.into());
        }
        (Op::Cpuid, Reply::Leaf(leaf)) => {
            let into = [Gpr::RAX, Gpr::RBX, Gpr::RCX, Gpr::RDX];
            for (gpr, value) in into.into_iter().zip(leaf) {
                regs.set_gpr(gpr, value.into());
            }
        }
        (Op::Ins { rep }, _) if step_string(insn, regs, Gpr::RDI, rep) => return,
        (Op::Outs { rep, .. }, _) if step_string(insn, regs, Gpr::RSI, rep) => return,
        _ => {}
    }
    retire(insn, regs);
}

/// Moves RIP behind the instruction and ends the effect of RF, as every instruction that completes does. (A guest that single-steps is
/// owed a #DB afterwards; the caller sees RFLAGS.TF.)
pub fn retire(insn: &Insn, regs: &mut impl Registers) {
    regs.set_rip(regs.rip().wrapping_add(insn.length.into()));
    regs.set_rflags(regs.rflags() & !RF);
}

/// The error code of the #GP for INT n through a gate that may not be used: an IDT index. (QEMU 7.2 computes it wrongly.)
pub fn interrupt_error_code(vector: u8) -> u32 {
    u32::from(vector) << 3 | 2
}

fn low(regs: &impl Registers, gpr: Gpr) -> u32 {
    regs.gpr(gpr) as u32
}

fn set_pair(regs: &mut impl Registers, value: u64) {
    regs.set_gpr(Gpr::RAX, value & 0xffff_ffff);
    regs.set_gpr(Gpr::RDX, value >> 32);
}

fn port_access(insn: &Insn, regs: &impl Registers, port: PortOperand, privilege: Privilege) -> Port {
    let number = match port {
        PortOperand::Imm(number) => number.into(),
        PortOperand::Dx => regs.gpr(Gpr::RDX) as u16,
    };
    let needs_bitmap = !privilege.iopl_allows();
    Port { number, size: insn.size, needs_bitmap }
}

fn string_address(insn: &Insn, regs: &impl Registers, segment: Segment, index: Gpr) -> u64 {
    segmented(segment, cut(regs.gpr(index), insn.addr32), regs)
}

/// How many elements a repeated string instruction has left.
fn count(insn: &Insn, regs: &impl Registers) -> u64 {
    cut(regs.gpr(Gpr::RCX), insn.addr32)
}

/// Moves on by one element (none, if a repeated instruction has none left); true if there are more to come.
fn step_string(insn: &Insn, regs: &mut impl Registers, index: Gpr, rep: bool) -> bool {
    let left = if rep { count(insn, regs) } else { 1 };
    if left == 0 {
        return false;
    }
    let bytes = u64::from(insn.size.bytes());
    let delta = if regs.rflags() & DF != 0 { bytes.wrapping_neg() } else { bytes };
    let next = regs.gpr(index).wrapping_add(delta);
    regs.set_gpr(index, cut(next, insn.addr32));
    if rep {
        regs.set_gpr(Gpr::RCX, left - 1);
    }
    rep && left > 1
}
