//! The forms that three hypercalls had before Xen 3.2: what a kernel issues that is compiled against the public headers without saying
//! for which version.

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::same;
use pv_guest_sdk::abi::event::{
    OP_ALLOC_UNBOUND, OP_BIND_IPI, OP_BIND_VIRQ, OP_CLOSE, OP_RESET, OP_SEND, OP_STATUS, OP_UNMASK, STATUS_IPI,
};
use pv_guest_sdk::abi::hypercall as number;
use pv_guest_sdk::abi::physdev::{OP_SET_IOBITMAP, OP_SET_IOPL};
use pv_guest_sdk::abi::sched::{OP_BLOCK, OP_POLL, OP_YIELD};
use pv_guest_sdk::abi::{Errno, domid};
use pv_guest_sdk::{events, hypercall, time};

pub const CHECKS: &[Check] = &[
    ("the scheduler call of old yields and blocks", sched),
    ("the event-channel call of old has number and structure in memory", event_channel),
    ("the device call of old sets the I/O privilege level", physdev),
];

fn call(number: u64, first: u64, second: u64) -> hypercall::Result {
    // SAFETY: the checks name nothing that this kernel needs, and structures that are there.
    unsafe { hypercall::call(number, [first, second, 0, 0, 0]) }
}

fn sched() -> Outcome {
    let sched = |operation: u32| call(number::SCHED_OP_COMPAT, operation.into(), 0);
    same!(sched(OP_YIELD), Ok(0));
    // Masked first: an event that comes before the call must not be gone by then.
    events::mask_upcalls();
    let start = time::now();
    same!(time::set_timer(start + 2_000_000), Ok(()));
    same!(sched(OP_BLOCK), Ok(0));
    same!((time::now() >= start + 2_000_000, events::upcalls_masked()), (true, false));
    same!(sched(OP_POLL), Err(Errno::NOSYS));
    same!(sched(99), Err(Errno::NOSYS));
    Ok(())
}

/// The structure and what the call makes of it: a number, then up to five words of the operation.
fn event<const N: usize>(operation: u32, words: [u32; N]) -> (hypercall::Result, [u32; 6]) {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&words);
    let mut argument = [operation, all[0], all[1], all[2], all[3], all[4], all[5]];
    let result = call(number::EVENT_CHANNEL_OP_COMPAT, argument.as_mut_ptr() as u64, 0);
    let [_, rest @ ..] = argument;
    (result, rest)
}

fn event_channel() -> Outcome {
    let (bound, [_, port, ..]) = event(OP_BIND_IPI, [0, 0]);
    same!(bound, Ok(0));
    let (told, [_, same_port, status, vcpu, ..]) = event(OP_STATUS, [u32::from(domid::SELF), port]);
    same!((told, same_port, status, vcpu), (Ok(0), port, STATUS_IPI, 0));
    events::mask_upcalls();
    for operation in [OP_SEND, OP_UNMASK, OP_CLOSE] {
        same!((operation, event(operation, [port]).0), (operation, Ok(0)));
    }
    events::unmask_upcalls();
    same!(event(OP_CLOSE, [port]).0, Err(Errno::INVAL));
    let (allocated, [_, port, ..]) = event(OP_ALLOC_UNBOUND, [u32::from(domid::SELF) | u32::from(domid::SELF) << 16, 0]);
    same!((allocated, event(OP_CLOSE, [port]).0), (Ok(0), Ok(0)));
    // The SDK has the timer.
    same!(event(OP_BIND_VIRQ, [0, 0, 0]).0, Err(Errno::EXIST));
    same!(event(OP_RESET, [u32::from(domid::SELF)]).0, Err(Errno::NOSYS));
    same!(event(99, [0]).0, Err(Errno::NOSYS));
    same!(call(number::EVENT_CHANNEL_OP_COMPAT, 8, 0), Err(Errno::FAULT));
    Ok(())
}

fn physdev() -> Outcome {
    let device = |operation: u32, first: u64, second: u64| {
        let argument = [u64::from(operation), first, second];
        call(number::PHYSDEV_OP_COMPAT, argument.as_ptr() as u64, 0)
    };
    same!(device(OP_SET_IOPL, 1, 0), Ok(0));
    same!(device(OP_SET_IOPL, 4, 0), Err(Errno::INVAL));
    same!(device(OP_SET_IOPL, 0, 0), Ok(0));
    same!(device(OP_SET_IOBITMAP, 0, 0), Ok(0));
    same!(device(99, 0, 0), Err(Errno::NOSYS));
    same!(call(number::PHYSDEV_OP_COMPAT, 8, 0), Err(Errno::FAULT));
    Ok(())
}
