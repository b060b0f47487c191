//! Windows and grants.

use core::ptr::NonNull;

use pv_guest_sdk::grants::{self, CopyEnd, GrantRef};
use pv_guest_sdk::{abi::Errno, abi::domid, events, memory};

use crate::Check;

pub const CHECKS: &[Check] = &[
    ("a window shows the frame it maps", window),
    ("windows are handed out again", reuse),
    ("another domain's frame is refused", foreign),
    ("a grant can be mapped twice and copied", grant),
    ("a read-only grant cannot be mapped for writing", read_only),
    ("the grant table grows", many_grants),
];

fn window() {
    let pages = memory::alloc_pages(3).expect("pages");
    let mfns = [2, 0, 1].map(|index| memory::virt_to_mfn(pages.as_ptr().wrapping_add(index * 4096)).expect("a frame"));
    // SAFETY: the pages are ours; both views are read and written volatile.
    unsafe {
        let window = memory::map_frames(&mfns).expect("a window");
        window.page(0).write_volatile(17);
        assert_eq!(pages.add(2 * 4096).read_volatile(), 17);
        pages.write_volatile(18);
        assert_eq!(window.page(1).read_volatile(), 18);
        let address = window.as_ptr() as u64;
        drop(window);
        assert_eq!(memory::lookup(address), None);
        memory::free_pages(pages, 3);
    }
}

fn reuse() {
    let first = memory::reserve(600).expect("a window");
    let second = memory::reserve(5).expect("a window");
    let start = first.as_ptr();
    drop(first);
    let third = memory::reserve(100).expect("a window");
    assert_eq!(third.as_ptr(), start);
    drop((second, third));
    assert_eq!(memory::reserve(1000).expect("a window").as_ptr(), start);
    assert_eq!(memory::reserve(0).err(), Some(Errno::INVAL));
}

fn foreign() {
    let page = memory::alloc_page().expect("a page");
    let mfn = memory::virt_to_mfn(page.as_ptr()).expect("a frame");
    // SAFETY: it must fail; if it did not, nothing would use the window.
    let refused = unsafe { memory::map_foreign(domid::FIRST_RESERVED - 1, &[mfn], true) };
    assert!(refused.is_err());
    // SAFETY: nothing uses it.
    unsafe { memory::free_page(page) };
}

fn grant() {
    let own = events::own_domid().expect("our identifier");
    let page = memory::alloc_page().expect("a page");
    let reference = share(own, page, true);
    let first = grants::map(own, reference, true).expect("a mapping");
    let second = grants::map(own, reference, false).expect("a mapping");
    let target = memory::alloc_page().expect("a page");
    let target_mfn = memory::virt_to_mfn(target.as_ptr()).expect("a frame");
    // SAFETY: all views are of our own pages, read and written volatile.
    unsafe {
        first.as_ptr().add(5).write_volatile(99);
        assert_eq!(second.as_ptr().add(5).read_volatile(), 99);
        grants::copy(CopyEnd::Grant(own, reference, 4), CopyEnd::Frame(target_mfn, 100), 8).expect("a copy");
        assert_eq!(target.add(101).read_volatile(), 99);
        let beyond = grants::copy(CopyEnd::Grant(own, reference, 4000), CopyEnd::Frame(target_mfn, 0), 100);
        assert_eq!(beyond, Err(Errno::INVAL));
    }
    drop(first);
    assert_eq!(grants::revoke(reference), Err(Errno::BUSY));
    drop(second);
    assert_eq!(grants::revoke(reference), Ok(()));
    assert!(grants::map(own, reference, true).is_err(), "a revoked grant cannot be mapped");
    // SAFETY: nothing uses them.
    unsafe {
        memory::free_page(page);
        memory::free_page(target);
    }
}

fn read_only() {
    let own = events::own_domid().expect("our identifier");
    let page = memory::alloc_page().expect("a page");
    let reference = share(own, page, false);
    assert!(grants::map(own, reference, true).is_err());
    drop(grants::map(own, reference, false).expect("a mapping"));
    grants::revoke(reference).expect("an unused grant");
    // SAFETY: nothing uses it.
    unsafe { memory::free_page(page) };
}

fn many_grants() {
    let own = events::own_domid().expect("our identifier");
    let page = memory::alloc_page().expect("a page");
    let references: [u32; 1200] = core::array::from_fn(|_| share(own, page, true));
    let mapping = grants::map(own, references[1199], true).expect("a mapping");
    // SAFETY: both views are of our own page.
    unsafe {
        mapping.as_ptr().write_volatile(7);
        assert_eq!(page.read_volatile(), 7);
    }
    drop(mapping);
    for reference in references {
        grants::revoke(reference).expect("an unused grant");
    }
    // SAFETY: nothing uses it.
    unsafe { memory::free_page(page) };
}

fn share(own: u16, page: NonNull<u8>, writable: bool) -> GrantRef {
    // SAFETY: the checks access the page through volatile reads and writes only, and free it after revoking.
    unsafe { grants::grant(own, page, writable) }.expect("a grant")
}
