//! Event channels that one task each waits for.

use alloc::vec::Vec;
use core::task::Waker;

use abi::Errno;
use abi::event::STATUS_INTERDOMAIN;
use pv_guest_sdk::events::{self, Port};
use pv_guest_sdk::sync::IrqMutex;

/// What is known of a port.
struct Bound {
    rung: bool,
    waker: Option<Waker>,
}

/// By port: ports are small numbers, given out from below.
static BOUND: IrqMutex<Vec<Option<Bound>>> = IrqMutex::new(Vec::new());

/// An event channel to another domain. Dropping it closes our end.
pub struct Doorbell(Port);

impl Doorbell {
    /// Binds to a port of another domain that waits for us. It counts as rung at first.
    ///
    /// # Errors
    /// -EINVAL if that port does not wait for us.
    pub fn bind(domid: u16, remote_port: Port) -> Result<Self, Errno> {
        let port = events::bind_interdomain(domid, remote_port, rang)?;
        let mut bound = BOUND.lock();
        let index = port as usize;
        if bound.len() <= index {
            bound.resize_with(index + 1, || None);
        }
        bound[index] = Some(Bound { rung: true, waker: None });
        Ok(Self(port))
    }

    /// Forgets that it was rung: for who is about to look at what it was rung for.
    pub fn clear(&self) {
        with(self.0, |bound| bound.rung = false);
    }

    /// Whether it was rung since this was asked last. If not, the task is woken when it is.
    pub fn poll(&self, waker: &Waker) -> bool {
        let rung = with(self.0, |bound| {
            if !bound.rung && !bound.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                bound.waker = Some(waker.clone());
            }
            core::mem::take(&mut bound.rung)
        });
        rung.unwrap_or(false)
    }

    /// Whether the other end has not been closed. Nobody is told when that happens.
    pub fn is_open(&self) -> bool {
        events::status(abi::domid::SELF, self.0).is_ok_and(|status| status.status == STATUS_INTERDOMAIN)
    }

    /// Rings at the other end.
    pub fn ring(&self) {
        // A domain that is dying may have closed its end.
        let _ = events::send(self.0);
    }
}

fn with<R>(port: Port, act: impl FnOnce(&mut Bound) -> R) -> Option<R> {
    BOUND.lock().get_mut(port as usize)?.as_mut().map(act)
}

fn rang(port: Port) {
    with(port, |bound| {
        bound.rung = true;
        if let Some(waker) = bound.waker.take() {
            waker.wake();
        }
    });
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        // It is our port; that it might be closed already is no error.
        let _ = events::close(self.0);
        if let Some(bound) = BOUND.lock().get_mut(self.0 as usize) {
            *bound = None;
        }
    }
}
