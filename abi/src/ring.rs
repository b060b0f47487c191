//! The shared ring of the paravirtual devices (`io/ring.h`): header layout and index arithmetic.
//!
//! A ring page is a [`RingHeader`] and a power of two of equal slots, each of which holds a request and later its response. Indices
//! run freely over 32 bits and are masked when used; an end publishes its producer index after the slots, and notifies only if
//! the other end's event index lies in what was just published.

layout! {
    /// The first 64 bytes of a ring page.
    RingHeader [64] {
        /// Requests produced; written by the front end.
        @0 req_prod: u32,
        /// Notify the back end when `req_prod` passes this; written by the back end.
        @4 req_event: u32,
        /// Responses produced; written by the back end.
        @8 rsp_prod: u32,
        /// Notify the front end when `rsp_prod` passes this; written by the front end.
        @12 rsp_event: u32,
        /// Of the protocol.
        @16 pvt: [u8; 4],
        /// Padding.
        @20 _pad: [u8; 44],
    }
}

/// Offset of the first slot.
pub const SLOTS_OFFSET: usize = 64;

/// How many slots of `slot_size` bytes a ring of `bytes` bytes has: the largest power of two that fits (2^31 at most), 0 if none does.
pub const fn slots(bytes: usize, slot_size: usize) -> u32 {
    match bytes.saturating_sub(SLOTS_OFFSET).checked_div(slot_size) {
        None | Some(0) => 0,
        Some(fit) => {
            let log = fit.ilog2();
            1 << if log > 31 { 31 } else { log }
        }
    }
}

/// Whether publishing from `old` to `new` has passed `event`, so that the other end wants to be notified.
pub const fn must_notify(old: u32, new: u32, event: u32) -> bool {
    new.wrapping_sub(event) < new.wrapping_sub(old)
}
