//! The shared ring of paravirtual devices, both ends: requests one way, responses the other, in the same slots.
//!
//! The page is shared with a domain that is not trusted: every slot is copied out once, and the other end's index is checked against
//! the ring's size before it is believed.

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, Ordering, fence};

use abi::ring::{RingHeader, SLOTS_OFFSET, must_notify, slots};
use abi::zerocopy::{FromBytes, Immutable, IntoBytes};

/// What a ring carries: plain integers, valid whatever their bytes.
pub trait Message: FromBytes + IntoBytes + Immutable + Copy {}

impl<T: FromBytes + IntoBytes + Immutable + Copy> Message for T {}

/// The other end published an index that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// The shared page or pages.
struct Shared {
    base: NonNull<u8>,
    slot_size: usize,
    slots: u32,
}

// SAFETY: the memory is shared with another domain anyway and accessed through volatile and atomic operations only.
unsafe impl Send for Shared {}

impl Shared {
    fn header(&self) -> *mut RingHeader {
        self.base.as_ptr().cast()
    }

    fn index(&self, field: *mut u32) -> &AtomicU32 {
        // SAFETY: callers pass fields of the header, which is mapped and aligned while the ring lives.
        unsafe { AtomicU32::from_ptr(field) }
    }

    fn req_prod(&self) -> &AtomicU32 {
        // SAFETY: computes the address of a header field.
        self.index(unsafe { &raw mut (*self.header()).req_prod })
    }

    fn req_event(&self) -> &AtomicU32 {
        // SAFETY: computes the address of a header field.
        self.index(unsafe { &raw mut (*self.header()).req_event })
    }

    fn rsp_prod(&self) -> &AtomicU32 {
        // SAFETY: computes the address of a header field.
        self.index(unsafe { &raw mut (*self.header()).rsp_prod })
    }

    fn rsp_event(&self) -> &AtomicU32 {
        // SAFETY: computes the address of a header field.
        self.index(unsafe { &raw mut (*self.header()).rsp_event })
    }

    fn slot<T>(&self, index: u32) -> *mut T {
        let offset = SLOTS_OFFSET + (index & (self.slots - 1)) as usize * self.slot_size;
        // SAFETY: the masked index is below the number of slots, all of which lie in the shared memory.
        unsafe { self.base.as_ptr().add(offset).cast() }
    }

    fn read<T: Message>(&self, index: u32) -> T {
        // SAFETY: the slot is as large as `T`; its bytes are copied once and valid whatever they are.
        unsafe { ptr::read_volatile(self.slot::<T>(index)) }
    }

    fn write<T: Message>(&self, index: u32, value: T) {
        // SAFETY: the slot is as large as `T`.
        unsafe { ptr::write_volatile(self.slot::<T>(index), value) }
    }
}

fn slot_size<Req, Rsp>() -> usize {
    size_of::<Req>().max(size_of::<Rsp>())
}

fn share<Req, Rsp>(base: NonNull<u8>, bytes: usize) -> Shared {
    let slot_size = slot_size::<Req, Rsp>();
    let slots = slots(bytes, slot_size);
    assert!(
        slots > 0,
        "no slot of {slot_size} bytes fits a ring of {bytes} bytes"
    );
    Shared {
        base,
        slot_size,
        slots,
    }
}

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
        let header = RingHeader {
            req_event: 1,
            rsp_event: 1,
            ..Default::default()
        };
        // SAFETY: the caller's obligation.
        unsafe { ptr::write_volatile(base.as_ptr().cast(), header) };
        FrontRing {
            shared: share::<Req, Rsp>(base, bytes),
            produced: 0,
            consumed: 0,
            types: PhantomData,
        }
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
        self.shared.write(self.produced, request);
        self.produced = self.produced.wrapping_add(1);
        Ok(())
    }

    /// Shows the other end what was pushed; returns whether it must be notified.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        let old = self.shared.req_prod().load(Ordering::Relaxed);
        self.shared
            .req_prod()
            .store(self.produced, Ordering::Release);
        fence(Ordering::SeqCst);
        must_notify(
            old,
            self.produced,
            self.shared.req_event().load(Ordering::Relaxed),
        )
    }

    /// Takes a response.
    ///
    /// # Errors
    /// If the other end answers more than it was asked.
    pub fn pop(&mut self) -> Result<Option<Rsp>, Corrupt> {
        let ready = self
            .shared
            .rsp_prod()
            .load(Ordering::Acquire)
            .wrapping_sub(self.consumed);
        if ready > self.produced.wrapping_sub(self.consumed) {
            return Err(Corrupt);
        }
        if ready == 0 {
            return Ok(None);
        }
        let response = self.shared.read(self.consumed);
        self.consumed = self.consumed.wrapping_add(1);
        Ok(Some(response))
    }

    /// To be called when [`Self::pop`] finds nothing: asks to be notified of the next response and returns whether one has come meanwhile.
    #[must_use]
    pub fn arm(&mut self) -> bool {
        self.shared
            .rsp_event()
            .store(self.consumed.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.shared.rsp_prod().load(Ordering::Acquire) != self.consumed
    }
}

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
        BackRing {
            shared,
            consumed: start,
            produced: start,
            types: PhantomData,
        }
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
        let ready = self
            .shared
            .req_prod()
            .load(Ordering::Acquire)
            .wrapping_sub(self.consumed);
        let open = self.consumed.wrapping_sub(self.produced);
        if ready > self.shared.slots - open.min(self.shared.slots) {
            return Err(Corrupt);
        }
        if ready == 0 {
            return Ok(None);
        }
        let request = self.shared.read(self.consumed);
        self.consumed = self.consumed.wrapping_add(1);
        Ok(Some(request))
    }

    /// Writes the response to a request that was taken; the other end sees it after [`Self::publish`].
    ///
    /// # Panics
    /// If there are more responses than requests.
    pub fn push(&mut self, response: Rsp) {
        assert!(
            self.produced != self.consumed,
            "a response without a request"
        );
        self.shared.write(self.produced, response);
        self.produced = self.produced.wrapping_add(1);
    }

    /// Shows the other end what was pushed; returns whether it must be notified.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        let old = self.shared.rsp_prod().load(Ordering::Relaxed);
        self.shared
            .rsp_prod()
            .store(self.produced, Ordering::Release);
        fence(Ordering::SeqCst);
        must_notify(
            old,
            self.produced,
            self.shared.rsp_event().load(Ordering::Relaxed),
        )
    }

    /// To be called when [`Self::pop`] finds nothing: asks to be notified of the next request and returns whether one has come meanwhile.
    #[must_use]
    pub fn arm(&mut self) -> bool {
        self.shared
            .req_event()
            .store(self.consumed.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.shared.req_prod().load(Ordering::Acquire) != self.consumed
    }
}
