//! Time: system time from the TSC, the wall clock, the one-shot timer.

use core::sync::atomic::{Ordering, compiler_fence, fence};

use abi::event::VIRQ_TIMER;
use abi::shared_info::VcpuTimeInfo;
use abi::vcpu;
use spin::Once;

use crate::events::{self, Handler, Port};
use crate::hypercall::{self, Result};
use crate::shared;
use crate::sync::IrqMutex;

static TIMER: Once<Port> = Once::new();
static ON_TIMER: IrqMutex<Option<Handler>> = IrqMutex::new(None);

/// Stops the periodic timer that a new vCPU has, and takes the timer interrupt.
pub(crate) fn init() {
    // SAFETY: the operation takes no argument.
    let _ = unsafe { hypercall::vcpu_op(vcpu::OP_STOP_PERIODIC_TIMER, 0, &mut ()) };
    if let Ok(port) = events::bind_virq(VIRQ_TIMER, expired) {
        TIMER.call_once(|| port);
    }
}

fn expired(port: Port) {
    let handler = *ON_TIMER.lock();
    if let Some(handler) = handler {
        handler(port);
    }
}

/// System time in nanoseconds: since the hypervisor's start, the same on every vCPU, never going back.
pub fn now() -> u64 {
    // SAFETY: computes the address of a field in the static shared page.
    let info = unsafe { &raw const (*shared::vcpu()).time };
    loop {
        // SAFETY: computes the address of a field in the static shared page.
        let before = shared::read(unsafe { &raw const (*info).version });
        compiler_fence(Ordering::SeqCst);
        let copy: VcpuTimeInfo = shared::read(info);
        fence(Ordering::SeqCst);
        // SAFETY: rdtsc has no memory effects; the fence above keeps it behind the reads.
        let tsc = unsafe { core::arch::x86_64::_rdtsc() };
        compiler_fence(Ordering::SeqCst);
        // SAFETY: as above.
        let after = shared::read(unsafe { &raw const (*info).version });
        if before & 1 == 0 && before == after {
            return at(&copy, tsc);
        }
    }
}

fn at(info: &VcpuTimeInfo, tsc: u64) -> u64 {
    let delta = tsc.saturating_sub(info.tsc_timestamp);
    let shift = u32::from(info.tsc_shift.unsigned_abs());
    let scaled = if info.tsc_shift < 0 { delta.wrapping_shr(shift) } else { delta.wrapping_shl(shift) };
    let elapsed = (u128::from(scaled) * u128::from(info.tsc_to_system_mul)) >> 32;
    info.system_time.wrapping_add(elapsed as u64)
}

/// Wall-clock time: seconds and nanoseconds since 1970, UTC.
pub fn wall_clock() -> (u64, u32) {
    let info = shared::info();
    loop {
        // SAFETY: computes the addresses of fields in the static shared page.
        let fields =
            unsafe { [&raw const (*info).wc_version, &raw const (*info).wc_sec, &raw const (*info).wc_nsec, &raw const (*info).wc_sec_hi] };
        let [before, sec, nsec, sec_hi] = fields.map(|field| {
            compiler_fence(Ordering::SeqCst);
            shared::read(field)
        });
        compiler_fence(Ordering::SeqCst);
        if before & 1 == 0 && before == shared::read(fields[0]) {
            let now = now();
            let total = u64::from(nsec) + now % 1_000_000_000;
            let start = u64::from(sec_hi) << 32 | u64::from(sec);
            let seconds = start + now / 1_000_000_000 + total / 1_000_000_000;
            return (seconds, (total % 1_000_000_000) as u32);
        }
    }
}

/// Has `handler` run whenever the timer expires.
pub fn on_timer(handler: Handler) {
    *ON_TIMER.lock() = Some(handler);
}

/// Sets the one-shot timer to a system time, in place of what it was set to. A time that has passed expires at once.
///
/// # Errors
/// What the hypervisor returns.
pub fn set_timer(deadline_ns: u64) -> Result<()> {
    let mut argument = vcpu::SetSingleshotTimer { timeout_abs_ns: deadline_ns, ..Default::default() };
    // SAFETY: the structure of the operation.
    unsafe { hypercall::vcpu_op(vcpu::OP_SET_SINGLESHOT_TIMER, 0, &mut argument) }?;
    Ok(())
}

/// Stops the one-shot timer.
pub fn stop_timer() {
    // SAFETY: the operation takes no argument.
    let _ = unsafe { hypercall::vcpu_op(vcpu::OP_STOP_SINGLESHOT_TIMER, 0, &mut ()) };
}

/// Blocks until a system time; other events are handled meanwhile. Takes the timer from whoever had set it.
pub fn sleep_until(deadline_ns: u64) {
    events::wait_until(|| now() >= deadline_ns || set_timer(deadline_ns).is_err());
}

/// Blocks for so many nanoseconds.
pub fn sleep(ns: u64) {
    sleep_until(now().saturating_add(ns));
}
