//! The upcall: masking it, blocking for it, and running the handlers of what is pending.

use core::sync::atomic::{Ordering, compiler_fence};

use super::bits::{mask_word, pending_sel, pending_word, upcall_mask, upcall_pending};
use super::{HANDLERS, Port, mask, take_pending};
use crate::hypercall;

/// Whether upcalls are masked.
pub fn upcalls_masked() -> bool {
    let masked = upcall_mask().load(Ordering::Relaxed) != 0;
    compiler_fence(Ordering::SeqCst);
    masked
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

/// Blocks until `condition` holds; other events are handled meanwhile, so no [`crate::sync::IrqMutex`] may be held. It is checked with upcalls masked, so an event between check and block ends the block at once.
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
    let mut argument = abi::sched::Poll { ports: (&raw const port) as u64, nr_ports: 1, timeout: deadline_ns, ..Default::default() };
    let _ = hypercall::sched_op(abi::sched::OP_POLL, &mut argument);
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
    let ready = || pending_word(word as usize).load(Ordering::SeqCst) & !mask_word(word as usize).load(Ordering::SeqCst);
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
