//! Reservations.

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::scratch::{Page, address};
use domus_test_kernels::{holds, same};
use pv_guest_sdk::abi::domid::SELF;
use pv_guest_sdk::abi::memory::{
    MemoryDomain, OP_CURRENT_RESERVATION, OP_DECREASE_RESERVATION, OP_INCREASE_RESERVATION, OP_MAXIMUM_RESERVATION, OP_POPULATE_PHYSMAP,
    Reservation,
};
use pv_guest_sdk::hypercall;

pub const CHECKS: &[Check] = &[
    ("counts beyond reason do nothing", huge),
    ("orders beyond reason do nothing", orders),
    ("frames that are not ours cannot be given back", foreign),
    ("a frame that is mapped or pinned cannot be used by others after it was given back", balloon),
    ("reservations of domains that do not exist", no_domain),
];

fn op(operation: u32, request: Reservation) -> hypercall::Result {
    let mut request = request;
    // SAFETY: the frames named are nobody's in this kernel.
    unsafe { hypercall::memory_op(operation, &mut request) }
}

fn current() -> hypercall::Result {
    // SAFETY: the structure of the operation.
    unsafe { hypercall::memory_op(OP_CURRENT_RESERVATION, &mut MemoryDomain { domid: SELF }) }
}

fn huge() -> Outcome {
    let before = current();
    let list = [0u64; 4];
    for operation in [OP_INCREASE_RESERVATION, OP_DECREASE_RESERVATION, OP_POPULATE_PHYSMAP] {
        for nr_extents in [u64::MAX, 1 << 58, 1 << 60] {
            let request = Reservation { extent_start: list.as_ptr() as u64, nr_extents, domid: SELF, ..Default::default() };
            let done = op(operation, request);
            holds!(done.is_err() || done == Ok(0));
        }
    }
    same!(current(), before);
    Ok(())
}

fn orders() -> Outcome {
    let before = current();
    let mut list = [0x7000_0000u64];
    for extent_order in [20u32, 52, 63, 64, u32::MAX] {
        for operation in [OP_INCREASE_RESERVATION, OP_DECREASE_RESERVATION, OP_POPULATE_PHYSMAP] {
            let request =
                Reservation { extent_start: list.as_mut_ptr() as u64, nr_extents: 1, extent_order, domid: SELF, ..Default::default() };
            let done = op(operation, request);
            holds!(done.is_err() || done == Ok(0));
        }
    }
    same!(current(), before);
    Ok(())
}

fn foreign() -> Outcome {
    for mfn in [0u64, 0x1_0000_0000, u64::MAX, u64::MAX >> 12] {
        let list = [mfn];
        let request = Reservation { extent_start: list.as_ptr() as u64, nr_extents: 1, domid: SELF, ..Default::default() };
        same!((mfn, op(OP_DECREASE_RESERVATION, request)), (mfn, Ok(0)));
    }
    Ok(())
}

fn balloon() -> Outcome {
    let before = current();
    let page = Page::new();
    let _ = address();
    let mut list = [page.mfn];
    let pfn = pv_guest_sdk::memory::mfn_to_pfn(page.mfn).unwrap_or(0);
    // Unmapped first, as a balloon does.
    same!(page.remap(0), Ok(()));
    let request = Reservation { extent_start: list.as_mut_ptr() as u64, nr_extents: 1, domid: SELF, ..Default::default() };
    same!(op(OP_DECREASE_RESERVATION, request), Ok(1));
    same!(current(), before.map(|pages| pages - 1));
    // It is not ours any more.
    holds!(page.remap(page.mfn << 12 | 0x63).is_err());
    same!(op(OP_DECREASE_RESERVATION, request), Ok(0));
    list[0] = pfn;
    let request = Reservation { extent_start: list.as_mut_ptr() as u64, nr_extents: 1, domid: SELF, ..Default::default() };
    same!(op(OP_POPULATE_PHYSMAP, request), Ok(1));
    same!(current(), before);
    // SAFETY: the list holds the new frame.
    let mfn = unsafe { (&raw const list[0]).read_volatile() };
    same!(Page { address: page.address, mfn }.unprotect(), Ok(()));
    same!(page.read(0), 0);
    // SAFETY: it is so.
    unsafe { pv_guest_sdk::memory::set_mfn(pfn, mfn) };
    Ok(())
}

fn no_domain() -> Outcome {
    for domid in [77u16, 0x7fef, 0x7ff1, 0xffff] {
        for operation in [OP_CURRENT_RESERVATION, OP_MAXIMUM_RESERVATION] {
            // SAFETY: the structure of the operation.
            holds!(unsafe { hypercall::memory_op(operation, &mut MemoryDomain { domid }) }.is_err());
        }
    }
    Ok(())
}
