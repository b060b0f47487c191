//! The back end's half of a ring.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

use abi::ring::must_notify;

use super::{Corrupt, Message, Shared, share};

/// The end that answers.
pub struct BackRing<Req, Rsp> {
    shared: Shared,
    consumed: u32,
    produced: u32,
    types: PhantomData<fn(Rsp) -> Req>,
}

impl<Req: Message, Rsp: Message> BackRing<Req, Rsp> {
    /// Attaches to memory that the front end has initialised.
    ///
    /// # Safety
    /// `base` must point to `bytes` bytes of page-aligned memory that stays mapped while the ring lives.
    pub unsafe fn new(base: NonNull<u8>, bytes: usize) -> Self {
        let shared = share::<Req, Rsp>(base, bytes);
        let start = shared.rsp_prod().load(Ordering::Relaxed);
        BackRing { shared, consumed: start, produced: start, types: PhantomData }
    }

    /// How many slots there are.
    pub fn size(&self) -> u32 {
        self.shared.slots
    }

    /// Takes a request, copied once.
    ///
    /// # Errors
    /// If the other end claims more requests than there is room for.
    pub fn pop(&mut self) -> Result<Option<Req>, Corrupt> {
        let mut request = Req::new_zeroed();
        Ok(self.pop_into(&mut request)?.then_some(request))
    }

    /// Takes a request, copied once, to where it is wanted; false if there is none.
    ///
    /// # Errors
    /// If the other end claims more requests than there is room for.
    #[inline]
    pub fn pop_into(&mut self, request: &mut Req) -> Result<bool, Corrupt> {
        let ready = self.shared.req_prod().load(Ordering::Acquire).wrapping_sub(self.consumed);
        let open = self.consumed.wrapping_sub(self.produced);
        if ready > self.shared.slots - open.min(self.shared.slots) {
            return Err(Corrupt);
        }
        if ready == 0 {
            return Ok(false);
        }
        self.shared.read(self.consumed, request);
        self.consumed = self.consumed.wrapping_add(1);
        Ok(true)
    }

    /// Writes the response to a request that was taken; the other end sees it after [`Self::publish`].
    ///
    /// # Panics
    /// If there are more responses than requests.
    pub fn push(&mut self, response: Rsp) {
        assert!(self.produced != self.consumed, "a response without a request");
        self.shared.write(self.produced, &response);
        self.produced = self.produced.wrapping_add(1);
    }

    /// Shows the other end what was pushed; returns whether it must be notified.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        let old = self.shared.rsp_prod().load(Ordering::Relaxed);
        self.shared.rsp_prod().store(self.produced, Ordering::Release);
        fence(Ordering::SeqCst);
        must_notify(old, self.produced, self.shared.rsp_event().load(Ordering::Relaxed))
    }

    /// To be called when [`Self::pop`] finds nothing: asks to be notified of the next request and returns whether one has come meanwhile.
    #[must_use]
    pub fn arm(&mut self) -> bool {
        self.shared.req_event().store(self.consumed.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.shared.req_prod().load(Ordering::Acquire) != self.consumed
    }
}
