//! `vcpu_op` (24): bringing up vCPUs, their timers, and the areas that they share with the hypervisor. A domain names its own vCPUs only.

use abi::context::VcpuGuestContext;
use abi::errno::Errno;
use abi::vcpu::{
    OP_DOWN, OP_GET_PHYSID, OP_GET_RUNSTATE_INFO, OP_INITIALISE, OP_IS_UP, OP_REGISTER_RUNSTATE_MEMORY_AREA, OP_REGISTER_VCPU_INFO,
    OP_REGISTER_VCPU_TIME_MEMORY_AREA, OP_SET_PERIODIC_TIMER, OP_SET_SINGLESHOT_TIMER, OP_STOP_PERIODIC_TIMER, OP_STOP_SINGLESHOT_TIMER,
    OP_UP, RegisterArea, RegisterVcpuInfo, SetPeriodicTimer, SetSingleshotTimer,
};
use abi::vm_assist::TYPE_RUNSTATE_UPDATE_FLAG;
use zerocopy::{FromZeros, IntoBytes};

use crate::call::{Call, Outcome};
use crate::context::{try_set, vcpu_info};
use crate::ids::{Mfn, VcpuRef};
use crate::machine::Machine;
use crate::mm::Stop;
use crate::mm::walk::is_guest_address;

/// The shortest and the longest period of a periodic timer, in nanoseconds (1 ms, and 2^50 ns as for one-shot timers).
const PERIODS: core::ops::RangeInclusive<u64> = 1_000_000..=1 << 50;

/// `VCPUOP_*` in RDI, the vCPU's number in RSI, the address of the operation's structure in RDX. Physical numbers (-EINVAL) and NMIs
/// (-ENOSYS) are refused.
#[inline]
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let [operation, number, address, ..] = args;
    if operation as u32 == OP_SET_SINGLESHOT_TIMER && number == u64::from(call.who.vcpu) {
        return set_singleshot(call, address).into();
    }
    let number = u16::try_from(number as u32).unwrap_or(u16::MAX);
    let who = VcpuRef { domain: call.who.domain, vcpu: number };
    if call.hv.vcpu(who).is_none() {
        return Errno::NOENT.into();
    }
    match operation as u32 {
        OP_INITIALISE => initialise(call, who, args),
        operation => perform(call, who, operation, address).into(),
    }
}

#[inline(never)]
fn perform<M: Machine>(call: &mut Call<'_, M>, who: VcpuRef, operation: u32, address: u64) -> Result<i64, Errno> {
    match operation {
        OP_UP => call.hv.vcpu_up(who)?,
        OP_DOWN => call.hv.vcpu_down(who)?,
        OP_IS_UP => return Ok(i64::from(call.hv.vcpu(who).is_some_and(|vcpu| vcpu.sched.online))),
        OP_GET_RUNSTATE_INFO => get_runstate(call, who, address)?,
        OP_REGISTER_RUNSTATE_MEMORY_AREA => register_runstate_area(call, who, address)?,
        OP_SET_PERIODIC_TIMER => set_periodic(call, who, address)?,
        OP_STOP_PERIODIC_TIMER => change_periodic(call, who, None),
        OP_SET_SINGLESHOT_TIMER => return Err(Errno::INVAL),
        OP_STOP_SINGLESHOT_TIMER if who != call.who => return Err(Errno::INVAL),
        OP_STOP_SINGLESHOT_TIMER => call.hv.stop_singleshot(who),
        OP_REGISTER_VCPU_INFO => register_vcpu_info(call, who, address)?,
        OP_REGISTER_VCPU_TIME_MEMORY_AREA => register_time_area(call, who, address)?,
        // The numbers of processors are for a domain whose vCPUs are bound to them.
        OP_GET_PHYSID => return Err(Errno::INVAL),
        _ => return Err(Errno::NOSYS),
    }
    Ok(0)
}

/// Gives another vCPU its first state. Validating its page tables may take several slices.
#[inline(never)]
fn initialise<M: Machine>(call: &mut Call<'_, M>, who: VcpuRef, args: [u64; 5]) -> Outcome {
    let mut context = VcpuGuestContext::new_zeroed();
    if call.hv.machine.copy_from_guest(args[2], context.as_mut_bytes()).is_err() {
        return Errno::FAULT.into();
    }
    if call.hv.vcpu(who).is_some_and(|vcpu| vcpu.initialised) {
        return Errno::EXIST.into();
    }
    match try_set(call.hv, who, &context) {
        Ok(()) => Outcome::Done(0),
        Err(Stop::Error(error)) => error.into(),
        Err(Stop::Preempted) => {
            call.hv.mm().settle(who.domain);
            Outcome::Again(args)
        }
    }
}

#[inline]
fn set_singleshot<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let request: SetSingleshotTimer = call.read(address)?;
    // SSHOTTMR_FUTURE is ignored, as on Xen: old kernels that set it try again for ever when a time has passed.
    call.hv.set_singleshot(call.who, request.timeout_abs_ns);
    call.hv.arm_timer(call.cpu);
    Ok(())
}

fn set_periodic<M: Machine>(call: &mut Call<'_, M>, who: VcpuRef, address: u64) -> Result<(), Errno> {
    let SetPeriodicTimer { period_ns } = call.read(address)?;
    if !PERIODS.contains(&period_ns) {
        return Err(Errno::INVAL);
    }
    change_periodic(call, who, Some(period_ns));
    Ok(())
}

fn change_periodic<M: Machine>(call: &mut Call<'_, M>, who: VcpuRef, period: Option<u64>) {
    call.hv.set_periodic(who, period);
    call.hv.arm_timer(call.cpu);
}

fn get_runstate<M: Machine>(call: &mut Call<'_, M>, who: VcpuRef, address: u64) -> Result<(), Errno> {
    let now = call.hv.machine.now();
    let vcpu = call.hv.vcpu(who).ok_or(Errno::NOENT)?;
    Ok(call.write(address, &vcpu.sched.runstate.info_until(now))?)
}

/// The linear address in a [`RegisterArea`]; 0 is none.
fn area<M: Machine>(call: &Call<'_, M>, address: u64) -> Result<u64, Errno> {
    let RegisterArea { addr } = call.read(address)?;
    if is_guest_address(addr) { Ok(addr) } else { Err(Errno::FAULT) }
}

fn register_runstate_area<M: Machine>(call: &mut Call<'_, M>, who: VcpuRef, address: u64) -> Result<(), Errno> {
    let area = area(call, address)?;
    let now = call.hv.machine.now();
    let flagged = call.domain().assists & 1 << TYPE_RUNSTATE_UPDATE_FLAG != 0;
    let vcpu = call.hv.vcpu_mut(who).ok_or(Errno::NOENT)?;
    vcpu.time.runstate_area = area;
    let info = vcpu.sched.runstate.info_until(now);
    if area != 0 {
        // A domain's vCPUs share their kernel's addresses; an area that cannot be written now is tried again when its vCPU runs.
        let _ = call.hv.write_runstate_area(area, &info, flagged);
    }
    Ok(())
}

fn register_time_area<M: Machine>(call: &mut Call<'_, M>, who: VcpuRef, address: u64) -> Result<(), Errno> {
    let area = area(call, address)?;
    call.hv.vcpu_mut(who).ok_or(Errno::NOENT)?.time.time_area = area;
    call.hv.republish_clock(who);
    if who == call.who {
        call.hv.publish_if_stale(who);
    }
    Ok(())
}

fn register_vcpu_info<M: Machine>(call: &mut Call<'_, M>, who: VcpuRef, address: u64) -> Result<(), Errno> {
    let RegisterVcpuInfo { mfn, offset, .. } = call.read(address)?;
    vcpu_info::register(call.hv, who, Mfn(mfn), offset)
}
