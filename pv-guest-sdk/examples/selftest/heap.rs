//! The frame allocator and the heap, past what the builder mapped.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pv_guest_sdk::memory;

use crate::Check;

pub const CHECKS: &[Check] = &[
    ("pages are zeroed, distinct and come back", pages),
    ("the linear area grows on demand", growth),
    ("p2m and m2p agree", translations),
    ("contiguous pages are contiguous in the machine", contiguous),
    ("the heap serves many sizes", heap),
];

fn pages() {
    let (used, _) = memory::used_frames();
    let first = memory::alloc_page().expect("a page");
    let second = memory::alloc_page().expect("a page");
    assert_ne!(first, second);
    // SAFETY: both pages are ours; they are given back unused.
    unsafe {
        assert!(core::slice::from_raw_parts(first.as_ptr(), 4096).iter().all(|&byte| byte == 0));
        first.write_bytes(0xaa, 4096);
        memory::free_page(first);
        let again = memory::alloc_page().expect("a page");
        assert_eq!(again, first);
        assert_eq!(again.read(), 0);
        memory::free_page(again);
        memory::free_page(second);
    }
    assert_eq!(memory::used_frames().0, used);
}

fn growth() {
    // More than the builder's slack, so that new tables are linked.
    const PAGES: usize = 4096;
    let start = memory::alloc_pages(PAGES).expect("16 MiB");
    for index in 0..PAGES {
        // SAFETY: the pages are ours.
        unsafe { start.add(index * 4096).cast::<usize>().write_volatile(index) };
    }
    for index in 0..PAGES {
        // SAFETY: the pages are ours.
        let value = unsafe { start.add(index * 4096).cast::<usize>().read_volatile() };
        assert_eq!(value, index);
    }
    // SAFETY: nothing uses them any more.
    unsafe { memory::free_pages(start, PAGES) };
}

fn translations() {
    let page = memory::alloc_page().expect("a page");
    let mfn = memory::virt_to_mfn(page.as_ptr()).expect("a frame");
    assert_eq!(memory::mfn_to_pfn(mfn), memory::virt_to_pfn(page.as_ptr()));
    assert_eq!(memory::lookup(page.as_ptr() as u64).map(|entry| entry >> 12 & 0xff_ffff_ffff), Some(mfn));
    // SAFETY: nothing uses it.
    unsafe { memory::free_page(page) };
}

fn contiguous() {
    let pages = memory::alloc_contiguous(8).expect("pages");
    let mfn = |index: usize| memory::virt_to_mfn(pages.as_ptr().wrapping_add(index * 4096));
    let first = mfn(0).expect("a frame");
    assert!((0..8).all(|index| mfn(index) == Some(first + index as u64)));
    // SAFETY: nothing uses them.
    unsafe { memory::free_pages(pages, 8) };
}

fn heap() {
    let mut map = BTreeMap::new();
    for key in 0u64..2000 {
        map.insert(key * 7919 % 2003, Box::new([key; 9]));
    }
    assert!(map.iter().all(|(&key, value)| value[0] * 7919 % 2003 == key));
    let big: Vec<u32> = (0..1 << 20).collect();
    assert_eq!(big.iter().map(|&value| u64::from(value)).sum::<u64>(), (1u64 << 19) * ((1 << 20) - 1));
    drop((map, big));
    let held = pv_guest_sdk::heap::size();
    for _ in 0..20 {
        drop(Vec::<u8>::with_capacity(1 << 20));
    }
    assert_eq!(pv_guest_sdk::heap::size(), held, "freed memory is used again");
}
