//! Event channels: binding, sending, the handler of each port, and waiting without losing a wake-up.

use core::sync::atomic::{Ordering, compiler_fence};

use abi::event::{self as ev, NR_CHANNELS_2L};

use crate::hypercall::{self, Result};
use crate::shared;
use crate::sync::{IrqMutex, upcalls_masked};

/// A port of the two-level ABI, 0 to 4095.
pub type Port = u32;

/// What runs when a port is pending: on the kernel's stack, with events masked.
pub type Handler = fn(Port);

static HANDLERS: IrqMutex<[Option<Handler>; NR_CHANNELS_2L as usize]> =
    IrqMutex::new([None; NR_CHANNELS_2L as usize]);

/// Masks every port; binding unmasks.
pub(crate) fn init() {
    for word in 0..64 {
        mask_word(word).store(!0, Ordering::Relaxed);
    }
}

/// Masks upcalls; returns whether they were masked.
pub fn mask_upcalls() -> bool {
    let was = upcalls_masked();
    upcall_mask().store(1, Ordering::Relaxed);
    compiler_fence(Ordering::SeqCst);
    was
}

/// Unmasks upcalls and takes what is pending.
pub fn unmask_upcalls() {
    compiler_fence(Ordering::SeqCst);
    upcall_mask().store(0, Ordering::SeqCst);
    if upcall_pending().load(Ordering::SeqCst) != 0 {
        // Upcalls are delivered on the way out of the hypervisor, so any cheap call will do.
        let _ = hypercall::xen_version();
    }
}

/// Blocks until `condition` holds. It is checked with upcalls masked, so an event between check and block ends the block at once.
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    loop {
        let was_masked = mask_upcalls();
        if condition() {
            if !was_masked {
                unmask_upcalls();
            }
            return;
        }
        block();
        if was_masked {
            mask_upcalls();
        }
    }
}

/// Blocks until an event arrives, and handles it. To be called with upcalls masked, right after finding nothing to do: the hypervisor
/// unmasks and blocks in one step, so nothing is lost. Returns with upcalls unmasked.
pub fn block() {
    let _ = hypercall::sched_op(abi::sched::OP_BLOCK, &mut ());
}

/// Lets other domains run.
pub fn yield_now() {
    let _ = hypercall::sched_op(abi::sched::OP_YIELD, &mut ());
}

/// Waits for `port` to be pending, handled or not, for at most `timeout_ns` of system time (0 means for ever). For masked ports: an unmasked
/// one is handled and cleared before this returns.
pub fn poll(port: Port, deadline_ns: u64) {
    let mut argument = abi::sched::Poll {
        ports: (&raw const port) as u64,
        nr_ports: 1,
        timeout: deadline_ns,
        ..Default::default()
    };
    let _ = hypercall::sched_op(abi::sched::OP_POLL, &mut argument);
}

/// Binds a new port to a virtual interrupt of vCPU 0 and unmasks it.
///
/// # Errors
/// -EEXIST if it is bound already; -EPERM if it is not ours to have.
pub fn bind_virq(virq: u32, handler: Handler) -> Result<Port> {
    let mut argument = ev::BindVirq {
        virq,
        ..Default::default()
    };
    // SAFETY: the structure of the operation.
    unsafe { hypercall::event_channel_op(ev::OP_BIND_VIRQ, &mut argument) }?;
    start(argument.port, handler)
}

/// Binds a new port to ourselves: sending to it makes it pending here.
///
/// # Errors
/// -ENOSPC if no port is free.
pub fn bind_ipi(handler: Handler) -> Result<Port> {
    let mut argument = ev::BindIpi::default();
    // SAFETY: the structure of the operation.
    unsafe { hypercall::event_channel_op(ev::OP_BIND_IPI, &mut argument) }?;
    start(argument.port, handler)
}

/// Allocates a port that `remote` may bind to.
///
/// # Errors
/// -ENOSPC if no port is free; -ESRCH if there is no such domain.
pub fn alloc_unbound(remote: u16, handler: Handler) -> Result<Port> {
    start(alloc_unbound_for(abi::domid::SELF, remote)?, handler)
}

/// Allocates a port of domain `dom` that `remote` may bind to, for a toolstack.
///
/// # Errors
/// As for [`alloc_unbound`], and -EPERM.
pub fn alloc_unbound_for(dom: u16, remote: u16) -> Result<Port> {
    let mut argument = ev::AllocUnbound {
        dom,
        remote_dom: remote,
        ..Default::default()
    };
    // SAFETY: the structure of the operation.
    unsafe { hypercall::event_channel_op(ev::OP_ALLOC_UNBOUND, &mut argument) }?;
    Ok(argument.port)
}

/// Binds a new port to the unbound port of another domain. The new port starts pending.
///
/// # Errors
/// -EINVAL if that port is not waiting for us; -ESRCH if there is no such domain.
pub fn bind_interdomain(remote: u16, remote_port: Port, handler: Handler) -> Result<Port> {
    let mut argument = ev::BindInterdomain {
        remote_dom: remote,
        remote_port,
        ..Default::default()
    };
    // SAFETY: the structure of the operation.
    unsafe { hypercall::event_channel_op(ev::OP_BIND_INTERDOMAIN, &mut argument) }?;
    start(argument.local_port, handler)
}

/// Gives a port that exists already (start info names some) a handler, and unmasks it.
///
/// # Errors
/// -EINVAL for a port out of range.
pub fn start(port: Port, handler: Handler) -> Result<Port> {
    *HANDLERS
        .lock()
        .get_mut(port as usize)
        .ok_or(abi::Errno::INVAL)? = Some(handler);
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

/// What a port of domain `dom` is bound to.
///
/// # Errors
/// -EINVAL for a port out of range; -EPERM for another's port.
pub fn status(dom: u16, port: Port) -> Result<ev::Status> {
    let mut argument = ev::Status {
        dom,
        port,
        ..Default::default()
    };
    // SAFETY: the structure of the operation.
    unsafe { hypercall::event_channel_op(ev::OP_STATUS, &mut argument) }?;
    Ok(argument)
}

/// Our own domain identifier, learnt from the status of a port that waits for ourselves.
///
/// # Errors
/// -ENOSPC if no port is free.
pub fn own_domid() -> Result<u16> {
    let port = alloc_unbound_for(abi::domid::SELF, abi::domid::SELF)?;
    let status = status(abi::domid::SELF, port);
    close(port)?;
    Ok(status?.u0 as u16)
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
    port < NR_CHANNELS_2L
        && pending_word(port as usize / 64).load(Ordering::SeqCst) >> (port % 64) & 1 != 0
}

/// Clears a pending port; returns whether it was.
pub fn take_pending(port: Port) -> bool {
    if port >= NR_CHANNELS_2L {
        return false;
    }
    let bit = 1 << (port % 64);
    pending_word(port as usize / 64).fetch_and(!bit, Ordering::SeqCst) & bit != 0
}

/// Runs the handlers of all pending ports; called by the upcall with upcalls masked.
pub(crate) fn dispatch() {
    while upcall_pending().swap(0, Ordering::SeqCst) != 0 {
        let mut words = pending_sel().swap(0, Ordering::SeqCst);
        while words != 0 {
            let word = words.trailing_zeros();
            words &= words - 1;
            dispatch_word(word);
        }
    }
}

fn dispatch_word(word: u32) {
    let ready = || {
        pending_word(word as usize).load(Ordering::SeqCst)
            & !mask_word(word as usize).load(Ordering::SeqCst)
    };
    let mut bits = ready();
    while bits != 0 {
        let port = word * 64 + bits.trailing_zeros();
        take_pending(port);
        let handler = HANDLERS.lock()[port as usize];
        match handler {
            Some(handler) => handler(port),
            None => mask(port),
        }
        bits = ready();
    }
}

fn upcall_pending() -> &'static core::sync::atomic::AtomicU8 {
    // SAFETY: computes the address of a field in the static shared page.
    shared::atomic_u8(unsafe { &raw mut (*shared::vcpu()).evtchn_upcall_pending })
}

fn upcall_mask() -> &'static core::sync::atomic::AtomicU8 {
    // SAFETY: computes the address of a field in the static shared page.
    shared::atomic_u8(unsafe { &raw mut (*shared::vcpu()).evtchn_upcall_mask })
}

fn pending_sel() -> &'static core::sync::atomic::AtomicU64 {
    // SAFETY: computes the address of a field in the static shared page.
    shared::atomic_u64(unsafe { &raw mut (*shared::vcpu()).evtchn_pending_sel })
}

fn pending_word(index: usize) -> &'static core::sync::atomic::AtomicU64 {
    // SAFETY: computes the address of an element in the static shared page; the index is bounds-checked.
    shared::atomic_u64(unsafe { &raw mut (*shared::info()).evtchn_pending[index] })
}

fn mask_word(index: usize) -> &'static core::sync::atomic::AtomicU64 {
    // SAFETY: computes the address of an element in the static shared page; the index is bounds-checked.
    shared::atomic_u64(unsafe { &raw mut (*shared::info()).evtchn_mask[index] })
}
