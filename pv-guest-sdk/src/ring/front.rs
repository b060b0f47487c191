//! The front end's half of a ring.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{Ordering, fence};

use abi::ring::{RingHeader, must_notify};

use super::{Corrupt, Message, Shared, share};

/// The end that sends requests.
pub struct FrontRing<Req, Rsp> {
    shared: Shared,
    produced: u32,
    consumed: u32,
    types: PhantomData<fn(Req) -> Rsp>,
}

impl<Req: Message, Rsp: Message> FrontRing<Req, Rsp> {
    /// Initialises the shared memory, before it is granted to the other end.
    ///
    /// # Safety
    /// `base` must point to `bytes` bytes of page-aligned memory that stays valid and is used for nothing else while the ring lives.
    pub unsafe fn new(base: NonNull<u8>, bytes: usize) -> Self {
        let header = RingHeader { req_event: 1, rsp_event: 1, ..Default::default() };
        // SAFETY: the caller's obligation.
        unsafe { ptr::write_volatile(base.as_ptr().cast(), header) };
        FrontRing { shared: share::<Req, Rsp>(base, bytes), produced: 0, consumed: 0, types: PhantomData }
    }

    /// How many slots there are.
    pub fn size(&self) -> u32 {
        self.shared.slots
    }

    /// How many requests there is room for.
    pub fn free(&self) -> u32 {
        self.shared.slots - self.produced.wrapping_sub(self.consumed)
    }

    /// Writes a request; the other end sees it after [`Self::publish`]. Returns it if there is no room.
    ///
    /// # Errors
    /// The request, if the ring is full.
    pub fn push(&mut self, request: Req) -> Result<(), Req> {
        if self.free() == 0 {
            return Err(request);
        }
        self.shared.write(self.produced, &request);
        self.produced = self.produced.wrapping_add(1);
        Ok(())
    }

    /// Shows the other end what was pushed; returns whether it must be notified.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        let old = self.shared.req_prod().load(Ordering::Relaxed);
        self.shared.req_prod().store(self.produced, Ordering::Release);
        fence(Ordering::SeqCst);
        must_notify(old, self.produced, self.shared.req_event().load(Ordering::Relaxed))
    }

    /// Takes a response.
    ///
    /// # Errors
    /// If the other end answers more than it was asked.
    pub fn pop(&mut self) -> Result<Option<Rsp>, Corrupt> {
        let ready = self.shared.rsp_prod().load(Ordering::Acquire).wrapping_sub(self.consumed);
        if ready > self.produced.wrapping_sub(self.consumed) {
            return Err(Corrupt);
        }
        if ready == 0 {
            return Ok(None);
        }
        let mut response = Rsp::new_zeroed();
        self.shared.read(self.consumed, &mut response);
        self.consumed = self.consumed.wrapping_add(1);
        Ok(Some(response))
    }

    /// To be called when [`Self::pop`] finds nothing: asks to be notified of the next response and returns whether one has come meanwhile.
    #[must_use]
    pub fn arm(&mut self) -> bool {
        self.shared.rsp_event().store(self.consumed.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.shared.rsp_prod().load(Ordering::Acquire) != self.consumed
    }
}
