//! Event channels.

use core::sync::atomic::{AtomicU32, Ordering};

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{holds, same};
use pv_guest_sdk::abi::event::*;
use pv_guest_sdk::abi::{Errno, domid::SELF};
use pv_guest_sdk::{events, hypercall};

pub const CHECKS: &[Check] = &[
    ("ports out of range are refused", out_of_range),
    ("ports that are not in use are refused", not_in_use),
    ("virtual interrupts and vCPUs that do not exist are refused", no_such),
    ("a virtual interrupt is bound once", once),
    ("domains that do not exist are refused", no_domain),
    ("all ports can be taken, and given back", exhaust),
    ("events still arrive", arrive),
];

fn op<T>(operation: u32, mut argument: T) -> hypercall::Result<T> {
    // SAFETY: the structures are those of the operations, and ports in use by this kernel are not named.
    unsafe { hypercall::event_channel_op(operation, &mut argument) }?;
    Ok(argument)
}

fn out_of_range() -> Outcome {
    for port in [NR_CHANNELS_2L, 1 << 17, 1 << 31, u32::MAX] {
        for operation in [OP_CLOSE, OP_SEND, OP_UNMASK] {
            holds!(op(operation, Port { port }).is_err());
        }
        holds!(op(OP_STATUS, Status { dom: SELF, port, ..Default::default() }).is_err());
        holds!(op(OP_BIND_VCPU, BindVcpu { port, vcpu: 0 }).is_err());
        holds!(op(OP_BIND_INTERDOMAIN, BindInterdomain { remote_dom: SELF, remote_port: port, ..Default::default() }).is_err());
    }
    Ok(())
}

fn not_in_use() -> Outcome {
    for port in [0u32, 900, 1000] {
        same!((port, op(OP_CLOSE, Port { port }).err()), (port, Some(Errno::INVAL)));
        same!((port, op(OP_SEND, Port { port }).err()), (port, Some(Errno::INVAL)));
    }
    Ok(())
}

fn no_such() -> Outcome {
    for virq in [NR_VIRQS, 99, u32::MAX] {
        holds!(op(OP_BIND_VIRQ, BindVirq { virq, ..Default::default() }).is_err());
    }
    for vcpu in [32, 1000, u32::MAX] {
        holds!(op(OP_BIND_VIRQ, BindVirq { virq: VIRQ_DEBUG, vcpu, ..Default::default() }).is_err());
        holds!(op(OP_BIND_IPI, BindIpi { vcpu, ..Default::default() }).is_err());
    }
    Ok(())
}

fn once() -> Outcome {
    // The SDK has bound the timer.
    same!(op(OP_BIND_VIRQ, BindVirq { virq: VIRQ_TIMER, ..Default::default() }).err(), Some(Errno::EXIST));
    Ok(())
}

fn no_domain() -> Outcome {
    for dom in [77u16, 0x7fef, 0x7ff1, 0xffff] {
        holds!(op(OP_ALLOC_UNBOUND, AllocUnbound { dom, remote_dom: 0, ..Default::default() }).is_err());
        holds!(op(OP_BIND_INTERDOMAIN, BindInterdomain { remote_dom: dom, remote_port: 1, ..Default::default() }).is_err());
        holds!(op(OP_RESET, Reset { dom }).is_err());
    }
    Ok(())
}

fn exhaust() -> Outcome {
    let mut ports = [0u32; NR_CHANNELS_2L as usize];
    let mut count = 0;
    let error = loop {
        match op(OP_ALLOC_UNBOUND, AllocUnbound { dom: SELF, remote_dom: SELF, ..Default::default() }) {
            Ok(argument) => {
                ports[count] = argument.port;
                count += 1;
            }
            Err(error) => break error,
        }
    };
    same!(error, Errno::NOSPC);
    holds!(count > 100 && count < 4096);
    for &port in &ports[..count] {
        same!((port, op(OP_CLOSE, Port { port }).err()), (port, None));
    }
    Ok(())
}

fn arrive() -> Outcome {
    static SEEN: AtomicU32 = AtomicU32::new(0);
    let port = events::bind_ipi(|_| {
        SEEN.fetch_add(1, Ordering::Relaxed);
    });
    let port = match port {
        Ok(port) => port,
        Err(error) => domus_test_kernels::fail!("{error}"),
    };
    same!(events::send(port), Ok(()));
    events::wait_until(|| SEEN.load(Ordering::Relaxed) == 1);
    same!(events::close(port), Ok(()));
    Ok(())
}
