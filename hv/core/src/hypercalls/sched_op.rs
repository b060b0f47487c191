//! `sched_op` (29): decodes yield, block, poll and shutdown, and hands on to [`crate::sched`].

use abi::errno::Errno;
use abi::sched::{
    MAX_POLL_PORTS, OP_BLOCK, OP_PIN_OVERRIDE, OP_POLL, OP_REMOTE_SHUTDOWN, OP_SHUTDOWN, OP_SHUTDOWN_CODE, OP_WATCHDOG, OP_YIELD, Poll,
    RemoteShutdown, SHUTDOWN_CRASH, Shutdown, Watchdog,
};
use zerocopy::IntoBytes;

use crate::call::{Call, Outcome};
use crate::machine::Machine;

/// `SCHEDOP_*` in RDI, the address of its structure in RSI. Pinning is refused (-EPERM).
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let [operation, address, ..] = args;
    match operation as u32 {
        OP_BLOCK => {
            call.hv.block(call.who);
            Outcome::Done(0)
        }
        OP_YIELD => {
            call.hv.give_way(call.cpu, call.who);
            Outcome::Done(0)
        }
        OP_POLL => poll(call, address).into(),
        OP_SHUTDOWN => shutdown(call, address),
        OP_REMOTE_SHUTDOWN => remote_shutdown(call, address).into(),
        OP_WATCHDOG => watchdog(call, address).into(),
        OP_PIN_OVERRIDE => Errno::PERM.into(),
        OP_SHUTDOWN_CODE => shutdown_code(call, address).into(),
        _ => Errno::NOSYS.into(),
    }
}

fn poll<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let request: Poll = call.read(address)?;
    if request.nr_ports > MAX_POLL_PORTS {
        return Err(Errno::INVAL);
    }
    let mut room = [0u32; MAX_POLL_PORTS as usize];
    let ports = &mut room[..request.nr_ports as usize];
    if !ports.is_empty() {
        call.hv.machine.copy_from_guest(request.ports, ports.as_mut_bytes())?;
    }
    if call.hv.poll(call.who, ports)? {
        arm_poll(call, request.timeout);
    }
    Ok(())
}

/// Ends a poll at `timeout` (system time in ns; 0 is never), which may have passed already.
fn arm_poll<M: Machine>(call: &mut Call<'_, M>, timeout: u64) {
    if timeout != 0 && timeout <= call.hv.machine.now() {
        call.hv.wake(call.who);
        return;
    }
    call.hv.set_poll_timeout(call.who, (timeout != 0).then_some(timeout));
    call.hv.arm_timer(call.cpu);
}

/// The domain stops; should it be resumed, this returns 0 or what the control domain wrote into RAX.
fn shutdown<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Outcome {
    match call.read::<Shutdown>(address) {
        Ok(Shutdown { reason }) => shut_down(call, reason as u8),
        Err(fault) => Errno::from(fault).into(),
    }
}

/// The same with the reason itself.
pub(super) fn shut_down<M: Machine>(call: &mut Call<'_, M>, reason: u8) -> Outcome {
    match u32::from(reason) {
        SHUTDOWN_CRASH => call.hv.crash_domain(call.who.domain, format_args!("it said so itself")),
        reason => call.hv.shut_down(call.who.domain, reason),
    }
    Outcome::Done(0)
}

fn remote_shutdown<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let request: RemoteShutdown = call.read(address)?;
    if !call.domain().privileged {
        return Err(Errno::PERM);
    }
    let domain = call.target(request.domain_id)?;
    call.hv.shut_down(domain, request.reason & 0xff);
    Ok(())
}

fn watchdog<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<i64, Errno> {
    let request: Watchdog = call.read(address)?;
    let answer = call.hv.watchdog(call.who.domain, request)?;
    call.hv.arm_timer(call.cpu);
    Ok(answer)
}

fn shutdown_code<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let Shutdown { reason } = call.read(address)?;
    call.hv.latch_shutdown_reason(call.who.domain, reason & 0xff);
    Ok(())
}
