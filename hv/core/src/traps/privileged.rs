//! Privileged instructions: carries out what [`crate::emulate`] decided, with this vCPU's state.

use abi::trap::{DEBUG, GENERAL_PROTECTION, INVALID_OPCODE};
use abi::vm_assist::TYPE_ARCHITECTURAL_IOPL;

use super::bounce::Between;
use super::deliver::{deliver_trap, raise};
use super::fetch::Code;
use super::registers::Frame;
use crate::call::{Call, Outcome};
use crate::context::debug;
use crate::emulate::cpuid::{self, Support, TscInfo, Vendor, View};
use crate::emulate::insn::Insn;
use crate::emulate::msr::{self, MsrRead, MsrWrite};
use crate::emulate::privop::{self, Action, Port, Privilege, Reply};
use crate::emulate::{cr, decode};
use crate::frames::PageType;
use crate::hypercalls::set_debugreg;
use crate::ids::Mfn;
use crate::machine::Machine;
use crate::mm;

/// Width of machine addresses that guests are told of, in bits: below the 44 at which Linux wants grant version 2.
const MACHINE_ADDRESS_WIDTH: u8 = 44;

/// What the clock chip's registers read as: no domain may see it.
const NO_CMOS: u8 = 0xff;

/// What cannot be done is delivered to the guest as the fault that it was.
struct Fault;

/// #GP: emulates the instruction, delivers INT n to its gate, or hands the fault to the guest.
#[inline(never)]
pub fn general_protection<M: Machine>(call: &mut Call<'_, M>, error_code: u32) {
    let code = Code::at(&call.hv.machine, call.regs.rip);
    let Ok(insn) = decode::decode(code.bytes()) else {
        return deliver_trap(call, GENERAL_PROTECTION, error_code);
    };
    let privilege = privilege(call);
    let action = privop::decide(&insn, &frame(call).0, privilege);
    match action {
        Action::Bounce => deliver_trap(call, GENERAL_PROTECTION, error_code),
        Action::Interrupt(vector) => interrupt(call, &insn, vector, privilege),
        Action::ReadDr(4 | 5) | Action::WriteDr(4 | 5, _) if call.vcpu().cr4 & cr::CR4_DE != 0 => deliver_trap(call, INVALID_OPCODE, 0),
        action => match perform(call, action) {
            Ok(reply) => {
                privop::complete(&insn, &mut frame(call).0, reply);
                single_step(call);
            }
            Err(Fault) => deliver_trap(call, GENERAL_PROTECTION, error_code),
        },
    }
}

/// #UD: the forced-emulation prefix before CPUID, or the guest's own fault.
#[inline(never)]
pub fn invalid_opcode<M: Machine>(call: &mut Call<'_, M>) {
    let code = Code::at(&call.hv.machine, call.regs.rip);
    match decode::decode_forced(code.bytes()) {
        Ok(insn) => {
            let leaf = cpuid_leaf(call, call.regs.rax as u32, call.regs.rcx as u32);
            privop::complete(&insn, &mut frame(call).0, Reply::Leaf(leaf));
            single_step(call);
        }
        Err(_) => deliver_trap(call, INVALID_OPCODE, 0),
    }
}

/// A guest that single-steps is owed its #DB after an emulated instruction, too.
#[inline(always)]
pub fn single_step<M: Machine>(call: &mut Call<'_, M>) {
    const TRAP_FLAG: u64 = 1 << 8;
    if call.regs.rflags & TRAP_FLAG != 0 {
        stepped(call);
    }
}

#[cold]
#[inline(never)]
fn stepped<M: Machine>(call: &mut Call<'_, M>) {
    const SINGLE_STEP: u64 = 1 << 14;
    call.vcpu().debug[6] |= SINGLE_STEP;
    deliver_trap(call, DEBUG, 0);
}

fn privilege<M: Machine>(call: &mut Call<'_, M>) -> Privilege {
    let architectural_iopl = call.domain().assists >> TYPE_ARCHITECTURAL_IOPL & 1 != 0;
    let vcpu = call.vcpu();
    Privilege { kernel: vcpu.in_kernel, iopl: (vcpu.iopl >> 12 & 3) as u8, architectural_iopl }
}

/// The registers for the emulator, and the machine.
fn frame<'a, M: Machine>(call: &'a mut Call<'_, M>) -> (Frame<'a>, &'a M) {
    let (fs_base, gs_base, _) = call.hv.machine.segment_bases();
    (Frame { regs: call.regs, fs_base, gs_base }, &call.hv.machine)
}

/// The interrupt by which 32-bit programs call their kernel: Xen enters its handler at once, without a look at the gate's DPL.
const SYSTEM_CALL: u8 = 0x80;

/// INT n. QEMU 7.2 gets the error code of the refused gate wrong, so it is computed here.
fn interrupt<M: Machine>(call: &mut Call<'_, M>, insn: &Insn, vector: u8, privilege: Privilege) {
    let trap = call.vcpu().traps[usize::from(vector)];
    let open = vector == SYSTEM_CALL || privilege.may_interrupt(trap.flags & abi::trap::FLAGS_DPL_MASK);
    if trap.address != 0 && open {
        privop::retire(insn, &mut frame(call).0);
        return raise(call, vector, Between::Nothing);
    }
    deliver_trap(call, GENERAL_PROTECTION, privop::interrupt_error_code(vector));
}

fn perform<M: Machine>(call: &mut Call<'_, M>, action: Action) -> Result<Reply, Fault> {
    let done = Ok(Reply::Done);
    match action {
        Action::Bounce | Action::Interrupt(_) => Err(Fault),
        Action::Nothing => done,
        Action::ClearTaskSwitched => set_task_switched(call, false),
        Action::ReadCr(number) => read_control(call, number).map(Reply::Value),
        Action::WriteCr(number, value) => write_control(call, number, value),
        Action::ReadDr(number) => read_debug(call, number).map(Reply::Value),
        Action::WriteDr(number, value) => write_debug(call, number, value),
        Action::ReadMsr(number) => read_msr(call, number).map(Reply::Value),
        Action::WriteMsr(number, value) => write_msr(call, number, value),
        Action::ReadTsc => Ok(Reply::Value(call.hv.machine.clock().tsc_timestamp)),
        Action::ReadTscp => Ok(Reply::Tscp(call.hv.machine.clock().tsc_timestamp, 0)),
        Action::Cpuid(leaf, subleaf) => Ok(Reply::Leaf(cpuid_leaf(call, leaf, subleaf))),
        Action::PortIn(port) => read_port(call, port).map(|value| Reply::Value(value.into())),
        Action::PortOut(port, value) => write_port(call, port, value).map(|()| Reply::Done),
        Action::StringIn(port, address) => {
            let value = read_port(call, port)?;
            let bytes = &value.to_le_bytes()[..usize::from(port.size.bytes())];
            call.hv.machine.copy_to_guest(address, bytes).map_err(|_| Fault)?;
            done
        }
        Action::StringOut(port, address) => {
            let mut bytes = [0; 4];
            let wanted = &mut bytes[..usize::from(port.size.bytes())];
            call.hv.machine.copy_from_guest(address, wanted).map_err(|_| Fault)?;
            write_port(call, port, u32::from_le_bytes(bytes)).map(|()| Reply::Done)
        }
    }
}

fn set_task_switched<M: Machine>(call: &mut Call<'_, M>, set: bool) -> Result<Reply, Fault> {
    call.vcpu().task_switched = set;
    call.hv.machine.set_task_switched(set);
    Ok(Reply::Done)
}

fn read_control<M: Machine>(call: &mut Call<'_, M>, number: u8) -> Result<u64, Fault> {
    let (mfn, word) = (call.vcpu().info_mfn, call.vcpu().info_offset as usize / 8 + 2);
    match number {
        0 => Ok(cr::cr0(call.vcpu().task_switched)),
        2 if mfn != 0 => Ok(call.hv.machine.word(Mfn(mfn), word).load(core::sync::atomic::Ordering::Relaxed)),
        3 => Ok(call.vcpu().kernel_table << 12),
        4 => Ok(cr::guest_cr4(call.vcpu().cr4, has_fsgsbase(&call.hv.machine))),
        _ => Err(Fault),
    }
}

fn write_control<M: Machine>(call: &mut Call<'_, M>, number: u8, value: u64) -> Result<Reply, Fault> {
    match number {
        0 => set_task_switched(call, cr::write_cr0(value).ok_or(Fault)?),
        2 => {
            let (mfn, word) = (call.vcpu().info_mfn, call.vcpu().info_offset as usize / 8 + 2);
            if mfn != 0 {
                call.hv.machine.word(Mfn(mfn), word).store(value, core::sync::atomic::Ordering::Relaxed);
            }
            Ok(Reply::Done)
        }
        3 => mm::base::new_kernel_table(call, Mfn(value >> 12)).map(|()| Reply::Done).map_err(|_| Fault),
        4 => {
            let cr4 = cr::guest_cr4(value, has_fsgsbase(&call.hv.machine));
            call.vcpu().cr4 = cr4;
            call.hv.machine.set_guest_cr4(cr::hardware_cr4_bits(cr4));
            Ok(Reply::Done)
        }
        _ => Err(Fault),
    }
}

fn read_debug<M: Machine>(call: &mut Call<'_, M>, number: u8) -> Result<u64, Fault> {
    let vcpu = call.vcpu();
    let index = debug::resolve(number.into(), vcpu.cr4).map_err(|_| Fault)?;
    Ok(vcpu.debug[index])
}

fn write_debug<M: Machine>(call: &mut Call<'_, M>, number: u8, value: u64) -> Result<Reply, Fault> {
    match set_debugreg::handler(call, [number.into(), value, 0, 0, 0]) {
        Outcome::Done(0) => Ok(Reply::Done),
        _ => Err(Fault),
    }
}

fn has_fsgsbase<M: Machine>(machine: &M) -> bool {
    machine.cpuid(0, 0)[0] >= 7 && machine.cpuid(7, 0)[1] & 1 != 0
}

fn cpuid_leaf<M: Machine>(call: &mut Call<'_, M>, leaf: u32, subleaf: u32) -> [u32; 4] {
    let machine = &call.hv.machine;
    let clock = machine.clock();
    let view = View {
        vcpu: call.who.vcpu.into(),
        machine_address_width: MACHINE_ADDRESS_WIDTH,
        support: Support { fsgsbase: has_fsgsbase(machine), tsc_aux: false },
        tsc: TscInfo {
            khz: clock.tsc_khz,
            to_ns_mul: clock.tsc_to_system_mul,
            to_ns_shift: clock.tsc_shift,
            reliable: clock.stable,
            incarnation: 0,
        },
    };
    cpuid::guest_leaf(&|leaf, subleaf| machine.cpuid(leaf, subleaf), &view, leaf, subleaf)
}

fn msr_context<M: Machine>(call: &mut Call<'_, M>) -> msr::Context {
    let machine = &call.hv.machine;
    msr::Context {
        vendor: Vendor::of(&|leaf, subleaf| machine.cpuid(leaf, subleaf)),
        first_vcpu: call.who.vcpu == 0,
        has_gp_handler: call.vcpu().traps[usize::from(GENERAL_PROTECTION)].address != 0,
        tsc_aux: false,
    }
}

fn read_msr<M: Machine>(call: &mut Call<'_, M>, number: u32) -> Result<u64, Fault> {
    let context = msr_context(call);
    let (fs, active, shadow) = call.hv.machine.segment_bases();
    match msr::read(number, &context) {
        MsrRead::Value(value) => Ok(value),
        MsrRead::Host { and, or } => Ok(call.hv.machine.read_msr(number).ok_or(Fault)? & and | or),
        MsrRead::Tsc => Ok(call.hv.machine.clock().tsc_timestamp),
        MsrRead::FsBase => Ok(fs),
        MsrRead::GsBaseKernel => Ok(active),
        MsrRead::GsBaseUser => Ok(shadow),
        MsrRead::TscAux | MsrRead::Fault => Err(Fault),
    }
}

fn write_msr<M: Machine>(call: &mut Call<'_, M>, number: u32, value: u64) -> Result<Reply, Fault> {
    let context = msr_context(call);
    let machine = &call.hv.machine;
    match msr::write(number, value, &context) {
        MsrWrite::Ignore => {}
        MsrWrite::IfUnchanged { and, or } if machine.read_msr(number).is_some_and(|now| now & and | or == value) => {}
        // The guest is in kernel mode: its own GS base is the active one.
        MsrWrite::FsBase(base) => machine.set_fs_base(base),
        MsrWrite::GsBaseKernel(base) => machine.set_gs_base(base),
        MsrWrite::GsBaseUser(base) => machine.set_shadow_gs_base(base),
        MsrWrite::HypercallPage(pfn) => return hypercall_page(call, pfn),
        MsrWrite::IfUnchanged { .. } | MsrWrite::TscAux(_) | MsrWrite::Fault => return Err(Fault),
    }
    Ok(Reply::Done)
}

/// MSR 0x40000000: the guest wants a hypercall page in one of its frames (by MFN: a PV guest knows no other).
#[cold]
#[inline(never)]
fn hypercall_page<M: Machine>(call: &mut Call<'_, M>, mfn: u64) -> Result<Reply, Fault> {
    let (mfn, domain) = (Mfn(mfn), call.who.domain);
    call.hv.mm().get_frame_as(mfn, domain, PageType::Writable).map_err(|_| Fault)?;
    crate::build::write_hypercall_page(&call.hv.machine, mfn);
    call.hv.mm().put_frame_as(mfn);
    Ok(Reply::Done)
}

fn read_port<M: Machine>(call: &mut Call<'_, M>, port: Port) -> Result<u32, Fault> {
    // A guest's I/O bitmap permits nothing (`physdev_op`): IOPL alone decides.
    if port.needs_bitmap {
        return Err(Fault);
    }
    let now = call.hv.machine.now();
    Ok(call.domain().ports.read(port.number, port.size, now, |_| NO_CMOS))
}

fn write_port<M: Machine>(call: &mut Call<'_, M>, port: Port, value: u32) -> Result<(), Fault> {
    // A guest's I/O bitmap permits nothing (`physdev_op`): IOPL alone decides.
    if port.needs_bitmap {
        return Err(Fault);
    }
    let now = call.hv.machine.now();
    call.domain().ports.write(port.number, port.size, value, now);
    Ok(())
}
