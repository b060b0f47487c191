//! The words of the shared page that events live in.

use core::sync::atomic::{AtomicU8, AtomicU64};

use crate::shared;

pub(super) fn upcall_pending() -> &'static AtomicU8 {
    // SAFETY: computes the address of a field in the static shared page.
    shared::atomic_u8(unsafe { &raw mut (*shared::vcpu()).evtchn_upcall_pending })
}

pub(super) fn upcall_mask() -> &'static AtomicU8 {
    // SAFETY: computes the address of a field in the static shared page.
    shared::atomic_u8(unsafe { &raw mut (*shared::vcpu()).evtchn_upcall_mask })
}

pub(super) fn pending_sel() -> &'static AtomicU64 {
    // SAFETY: computes the address of a field in the static shared page.
    shared::atomic_u64(unsafe { &raw mut (*shared::vcpu()).evtchn_pending_sel })
}

pub(super) fn pending_word(index: usize) -> &'static AtomicU64 {
    // SAFETY: computes the address of an element in the static shared page; the index is bounds-checked.
    shared::atomic_u64(unsafe { &raw mut (*shared::info()).evtchn_pending[index] })
}

pub(super) fn mask_word(index: usize) -> &'static AtomicU64 {
    // SAFETY: computes the address of an element in the static shared page; the index is bounds-checked.
    shared::atomic_u64(unsafe { &raw mut (*shared::info()).evtchn_mask[index] })
}
