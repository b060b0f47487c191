//! The bits that hypervisor and guest share, and the order in which they are touched so that no event is lost.
//!
//! The guest's side of the protocol (it may run at any moment on another CPU): on an upcall it clears the upcall byte, takes the
//! whole selector with one exchange, and for each word so named handles the bits that are pending and not masked, clearing each before
//! it handles it. To mask it sets the mask bit; to unmask it clears it and, if the port is pending then, raises its own
//! selector and upcall, or has the hypervisor do both by `EVTCHNOP_unmask`.
//!
//! The steps are generic over the word so that a test can run this very code against every interleaving with a guest.

use core::sync::atomic::{AtomicU64, Ordering};

/// One 64-bit word of shared memory. Every operation is atomic and a full barrier.
pub trait SharedWord {
    /// Sets a bit; true if it was set before.
    fn set(&self, bit: u32) -> bool;
    /// Clears a bit; true if it was set before.
    fn clear(&self, bit: u32) -> bool;
    /// True if a bit is set.
    fn test(&self, bit: u32) -> bool;
}

impl SharedWord for AtomicU64 {
    #[inline]
    fn set(&self, bit: u32) -> bool {
        let mask = 1 << (bit % 64);
        self.fetch_or(mask, Ordering::SeqCst) & mask != 0
    }

    #[inline]
    fn clear(&self, bit: u32) -> bool {
        let mask = 1 << (bit % 64);
        self.fetch_and(!mask, Ordering::SeqCst) & mask != 0
    }

    #[inline]
    fn test(&self, bit: u32) -> bool {
        self.load(Ordering::SeqCst) & (1 << (bit % 64)) != 0
    }
}

/// The words that an event of one port passes through.
pub struct Words<'a, W> {
    /// Which port.
    pub port: u32,
    /// Its word of `evtchn_pending`.
    pub pending: &'a W,
    /// Its word of `evtchn_mask`.
    pub mask: &'a W,
    /// `evtchn_pending_sel` of the vCPU that it notifies.
    pub selector: &'a W,
    /// The word of that `vcpu_info` whose lowest byte is `evtchn_upcall_pending`.
    pub upcall: &'a W,
}

/// What raising an event changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Raised {
    /// Nothing: it was pending already.
    Already,
    /// It is pending now; no upcall was due, or one was due already.
    Quiet,
    /// It is pending and its vCPU has an upcall due that was not due before.
    Upcall,
}

impl<W: SharedWord> Words<'_, W> {
    /// Makes the port pending.
    ///
    /// The pending bit comes before the look at the mask: a guest that unmasks in between sees one or the other. The
    /// selector comes before the upcall byte: a guest that takes the upcall finds what it is for.
    #[inline]
    pub fn raise(&self) -> Raised {
        if self.pending.set(self.port) {
            return Raised::Already;
        }
        if !self.mask.test(self.port) && self.raise_upcall() {
            return Raised::Upcall;
        }
        Raised::Quiet
    }

    /// Unmasks the port and delivers it if it is pending; true if an upcall is due that was not due before.
    #[inline]
    pub fn unmask(&self) -> bool {
        self.mask.clear(self.port) && self.pending.test(self.port) && self.raise_upcall()
    }

    #[inline]
    fn raise_upcall(&self) -> bool {
        !self.selector.set(self.port / 64) && !self.upcall.set(0)
    }
}
