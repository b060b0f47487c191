//! Event channels: binding, sending, the handler of each port, and waiting without losing a wake-up.

mod bind;
mod bits;
mod upcall;

use core::sync::atomic::Ordering;

use abi::event::{self as ev, NR_CHANNELS_2L};

use crate::hypercall::{self, Result};
use crate::sync::IrqMutex;
use bits::{mask_word, pending_word};

pub use bind::{alloc_unbound, alloc_unbound_for, bind_interdomain, bind_ipi, bind_msi, bind_virq, own_domid, status};
pub(crate) use upcall::dispatch;
pub use upcall::{block, mask_upcalls, poll, unmask_upcalls, upcalls_masked, wait_until, yield_now};

/// A port of the two-level ABI, 0 to 4095.
pub type Port = u32;

/// What runs when a port is pending: on the kernel's stack, with events masked.
pub type Handler = fn(Port);

static HANDLERS: IrqMutex<[Option<Handler>; NR_CHANNELS_2L as usize]> = IrqMutex::new([None; NR_CHANNELS_2L as usize]);

/// Masks every port; binding unmasks.
pub(crate) fn init() {
    for word in 0..64 {
        mask_word(word).store(!0, Ordering::Relaxed);
    }
}

/// Gives a port that exists already (start info names some) a handler, and unmasks it.
///
/// # Errors
/// -EINVAL for a port out of range.
pub fn start(port: Port, handler: Handler) -> Result<Port> {
    *HANDLERS.lock().get_mut(port as usize).ok_or(abi::Errno::INVAL)? = Some(handler);
    unmask(port);
    Ok(port)
}

/// Makes the other end pending.
///
/// # Errors
/// -EINVAL if the port is not one that can be sent on.
pub fn send(port: Port) -> Result<()> {
    let mut argument = ev::Port { port };
    // SAFETY: the structure of the operation.
    unsafe { hypercall::event_channel_op(ev::OP_SEND, &mut argument) }?;
    Ok(())
}

/// Frees the port and forgets its handler.
///
/// # Errors
/// -EINVAL if the port is not in use.
pub fn close(port: Port) -> Result<()> {
    mask(port);
    if let Some(handler) = HANDLERS.lock().get_mut(port as usize) {
        *handler = None;
    }
    let mut argument = ev::Port { port };
    // SAFETY: the structure of the operation.
    unsafe { hypercall::event_channel_op(ev::OP_CLOSE, &mut argument) }?;
    Ok(())
}

/// Keeps a port from raising upcalls; it can still become pending.
pub fn mask(port: Port) {
    if port < NR_CHANNELS_2L {
        mask_word(port as usize / 64).fetch_or(1 << (port % 64), Ordering::SeqCst);
    }
}

/// Lets a port raise upcalls again; if it is pending it does so at once.
pub fn unmask(port: Port) {
    let mut argument = ev::Port { port };
    // SAFETY: the structure of the operation.
    let _ = unsafe { hypercall::event_channel_op(ev::OP_UNMASK, &mut argument) };
}

/// Whether a port is pending.
pub fn is_pending(port: Port) -> bool {
    port < NR_CHANNELS_2L && pending_word(port as usize / 64).load(Ordering::SeqCst) >> (port % 64) & 1 != 0
}

/// Clears a pending port; returns whether it was.
pub fn take_pending(port: Port) -> bool {
    if port >= NR_CHANNELS_2L {
        return false;
    }
    let bit = 1 << (port % 64);
    pending_word(port as usize / 64).fetch_and(!bit, Ordering::SeqCst) & bit != 0
}
