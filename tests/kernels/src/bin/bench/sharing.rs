//! Grants, to ourselves.

use pv_guest_sdk::abi::domid::SELF;
use pv_guest_sdk::abi::grant::{
    Copy, CopyPtr, GNTCOPY_SOURCE_GREF, GNTMAP_HOST_MAP, MapGrantRef, OP_COPY, OP_MAP_GRANT_REF, OP_UNMAP_GRANT_REF, UnmapGrantRef,
};
use pv_guest_sdk::{events, grants, hypercall, memory};

use domus_test_kernels::tables::page;

use crate::count::count;

fn share() -> (u16, grants::GrantRef) {
    let own = events::own_domid().expect("our identifier");
    // SAFETY: nothing uses the page.
    (own, unsafe { grants::grant(own, page().0, true) }.expect("a grant"))
}

/// Maps a granted page and unmaps it: two hypercalls.
pub fn map_and_unmap() -> u64 {
    let (own, reference) = share();
    let window = memory::reserve(1).expect("address space");
    let host_addr = window.as_ptr() as u64;
    let mut map = [MapGrantRef { host_addr, flags: GNTMAP_HOST_MAP, grant_ref: reference, dom: own, ..Default::default() }];
    let instructions = count(|_| {
        // SAFETY: nothing else is mapped there, and nothing uses it.
        unsafe {
            hypercall::grant_table_op(OP_MAP_GRANT_REF, &mut map).expect("a grant operation");
            let mut unmap = [UnmapGrantRef { host_addr, handle: map[0].handle, ..Default::default() }];
            hypercall::grant_table_op(OP_UNMAP_GRANT_REF, &mut unmap).expect("a grant operation");
            assert_eq!((map[0].status, unmap[0].status), (0, 0));
        }
    });
    core::mem::forget(window);
    instructions
}

/// Bytes of a short message.
const SHORT: u16 = 64;

/// Copies a short message by the grant operation, from one frame of ours to another.
pub fn copy() -> u64 {
    copy_from(frame(), 0, SHORT)
}

/// The same from a granted page.
pub fn copy_granted() -> u64 {
    copy_from(granted(), GNTCOPY_SOURCE_GREF, SHORT)
}

/// Copies all of a granted page.
pub fn copy_granted_page() -> u64 {
    copy_from(granted(), GNTCOPY_SOURCE_GREF, 4096)
}

fn frame() -> CopyPtr {
    CopyPtr { ref_or_frame: page().1, domid: SELF, ..Default::default() }
}

fn granted() -> CopyPtr {
    let (own, reference) = share();
    CopyPtr { ref_or_frame: reference.into(), domid: own, ..Default::default() }
}

fn copy_from(source: CopyPtr, flags: u16, len: u16) -> u64 {
    let mut copy = [Copy { source, dest: frame(), len, flags, ..Default::default() }];
    let instructions = count(|_| {
        // SAFETY: nothing uses the destination.
        unsafe { hypercall::grant_table_op(OP_COPY, &mut copy) }.expect("a grant operation");
    });
    assert_eq!(copy[0].status, 0);
    instructions
}

/// Grants in a batch.
const BATCH: usize = 32;

/// Maps and unmaps many granted pages by two hypercalls; for one of them.
pub fn map_and_unmap_batch() -> u64 {
    let window = memory::reserve(BATCH).expect("address space");
    let host_addr = |index: usize| window.page(index) as u64;
    let mut map: [MapGrantRef; BATCH] = core::array::from_fn(|index| {
        let (dom, grant_ref) = share();
        MapGrantRef { host_addr: host_addr(index), flags: GNTMAP_HOST_MAP, grant_ref, dom, ..Default::default() }
    });
    let mut unmap: [UnmapGrantRef; BATCH] =
        core::array::from_fn(|index| UnmapGrantRef { host_addr: host_addr(index), ..Default::default() });
    let instructions = count(|_| {
        // SAFETY: nothing else is mapped there, and nothing uses it.
        unsafe {
            hypercall::grant_table_op(OP_MAP_GRANT_REF, &mut map).expect("a grant operation");
            for (unmap, map) in unmap.iter_mut().zip(&map) {
                unmap.handle = map.handle;
            }
            hypercall::grant_table_op(OP_UNMAP_GRANT_REF, &mut unmap).expect("a grant operation");
        }
    });
    assert!(map.iter().all(|map| map.status == 0) && unmap.iter().all(|unmap| unmap.status == 0));
    core::mem::forget(window);
    instructions / BATCH as u64
}

/// Copies short messages from as many granted pages by one hypercall; for one of them.
pub fn copy_batch() -> u64 {
    let mut copies: [Copy; BATCH] = core::array::from_fn(|_| {
        let (source, dest) = (granted(), frame());
        Copy { source, dest, len: SHORT, flags: GNTCOPY_SOURCE_GREF, ..Default::default() }
    });
    let instructions = count(|_| {
        // SAFETY: nothing uses the destination.
        unsafe { hypercall::grant_table_op(OP_COPY, &mut copies) }.expect("a grant operation");
    });
    assert!(copies.iter().all(|copy| copy.status == 0));
    instructions / BATCH as u64
}
