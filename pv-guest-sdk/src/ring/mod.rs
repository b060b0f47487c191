//! The shared ring of paravirtual devices, both ends: requests one way, responses the other, in the same slots.
//!
//! The page is shared with a domain that is not trusted: every slot is copied out once, and the other end's index is checked against
//! the ring's size before it is believed.

mod back;
mod front;

use core::ptr::{self, NonNull};
use core::sync::atomic::AtomicU32;

use abi::ring::{RingHeader, SLOTS_OFFSET, slots};
use abi::zerocopy::{FromBytes, Immutable, IntoBytes};

pub use back::BackRing;
pub use front::FrontRing;

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

    /// Copies a slot out, once.
    #[inline]
    fn read<T: Message>(&self, index: u32, into: &mut T) {
        let slot = self.slot::<T>(index);
        if !in_words::<T>() {
            // SAFETY: the slot is as large as `T`; its bytes are copied once and valid whatever they are.
            *into = unsafe { ptr::read_volatile(slot) };
            return;
        }
        let (from, to) = (slot.cast::<u64>(), ptr::from_mut(into).cast::<u64>());
        for word in 0..size_of::<T>() / size_of::<u64>() {
            // SAFETY: both are as large and as aligned as `T`, which consists of whole words; whatever bytes are written are a valid `T`.
            unsafe { to.add(word).write(from.add(word).read_volatile()) };
        }
    }

    /// Writes a slot.
    #[inline]
    fn write<T: Message>(&self, index: u32, value: &T) {
        let slot = self.slot::<T>(index);
        if !in_words::<T>() {
            // SAFETY: the slot is as large as `T`.
            return unsafe { ptr::write_volatile(slot, *value) };
        }
        let (from, to) = (ptr::from_ref(value).cast::<u64>(), slot.cast::<u64>());
        for word in 0..size_of::<T>() / size_of::<u64>() {
            // SAFETY: as in `read`; every byte of a message is initialised.
            unsafe { to.add(word).write_volatile(from.add(word).read()) };
        }
    }
}

/// Whether a message is copied by long words: the compiler copies a volatile structure field by field, which takes three times as many
/// instructions for a request of a disk.
const fn in_words<T>() -> bool {
    size_of::<T>().is_multiple_of(size_of::<u64>()) && align_of::<T>().is_multiple_of(align_of::<u64>())
}

fn slot_size<Req, Rsp>() -> usize {
    size_of::<Req>().max(size_of::<Rsp>())
}

fn share<Req, Rsp>(base: NonNull<u8>, bytes: usize) -> Shared {
    let slot_size = slot_size::<Req, Rsp>();
    let slots = slots(bytes, slot_size);
    assert!(slots > 0, "no slot of {slot_size} bytes fits a ring of {bytes} bytes");
    Shared { base, slot_size, slots }
}
