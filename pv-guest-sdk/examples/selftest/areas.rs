//! Many grants at once: areas and batches of copies.

use alloc::vec::Vec;
use core::ptr::NonNull;

use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::grants::{self, Area, CopyEnd, CopyRequest, GrantRef, MapRequest};
use pv_guest_sdk::{events, memory};

use crate::Check;

pub const CHECKS: &[Check] = &[
    ("many grants are mapped one behind the other", ring),
    ("what cannot be mapped does not keep the others from it", some_refused),
    ("pages of an area are given back and used again", again),
    ("an area that is dropped has no grant in use", dropped),
    ("many copies are made at once", copies),
];

/// Pages that are granted to ourselves; dropping it takes them back, which fails while one is in use.
struct Shared {
    own: u16,
    pages: Vec<(NonNull<u8>, GrantRef)>,
}

impl Shared {
    fn new(count: usize) -> Shared {
        let own = events::own_domid().expect("our identifier");
        let share = |_| {
            let page = memory::alloc_page().expect("a page");
            // SAFETY: the checks access the page through volatile reads and writes only, and free it after revoking.
            (page, unsafe { grants::grant(own, page, true) }.expect("a grant"))
        };
        Shared { own, pages: (0..count).map(share).collect() }
    }

    fn references(&self) -> Vec<GrantRef> {
        self.pages.iter().map(|page| page.1).collect()
    }

    fn request(&self, page: usize, grant: usize) -> MapRequest {
        MapRequest::new(page, self.own, self.pages[grant].1, true)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for &(page, reference) in &self.pages {
            grants::revoke(reference).expect("a grant that is in use no more");
            // SAFETY: nothing uses it.
            unsafe { memory::free_page(page) };
        }
    }
}

/// The grant's page shows what is written to the area's page.
fn same_page(area: &Area, page: usize, granted: NonNull<u8>, mark: u8) -> bool {
    // SAFETY: both views are of our own page, read and written volatile.
    unsafe {
        area.page(page).write_volatile(mark);
        granted.read_volatile() == mark && area.mfn(page) == memory::virt_to_mfn(granted.as_ptr())
    }
}

fn ring() {
    let shared = Shared::new(70);
    let area = grants::map_all(shared.own, &shared.references()).expect("an area");
    assert_eq!((area.pages(), area.mapped()), (70, 70));
    for (index, &(page, _)) in shared.pages.iter().enumerate() {
        assert_eq!(area.page(index).as_ptr() as usize - area.page(0).as_ptr() as usize, index * 4096);
        assert!(same_page(&area, index, page, index as u8));
    }
    drop(area);
    let mut references = shared.references();
    references[69] = 100_000;
    assert_eq!(grants::map_all(shared.own, &references).err(), Some(Errno::INVAL), "all or none");
    assert_eq!(grants::map_all(shared.own, &[]).err(), Some(Errno::INVAL));
}

fn some_refused() {
    let shared = Shared::new(40);
    let mut area = Area::new(64).expect("an area");
    let mut requests: Vec<MapRequest> = (0..40).map(|index| shared.request(index, index)).collect();
    requests[3].reference = 100_000;
    requests[5].domid = 0x7fef;
    requests[7].page = 64;
    requests[9].page = 8;
    requests[33].page = 4;
    assert_eq!(area.map_many(&mut requests), 35);
    for (index, request) in requests.iter().enumerate() {
        assert_eq!(request.outcome.is_err(), [3, 5, 7, 9, 33].contains(&index), "request {index}");
    }
    assert_eq!(area.mapped(), 35);
    for index in [4, 8] {
        assert!(same_page(&area, index, shared.pages[index].0, 77), "the first that asked has the page");
    }
    for index in [3, 5, 7, 9, 33, 40, 64, usize::MAX] {
        assert_eq!(area.mfn(index), None, "page {index}");
    }
}

fn again() {
    let shared = Shared::new(2);
    let mut area = Area::new(600).expect("an area");
    for round in 0..100 {
        let page = round * 7 % 600;
        assert_eq!(area.map_many(&mut [shared.request(page, 0), shared.request(599 - page, 1)]), 2);
        assert!(same_page(&area, page, shared.pages[0].0, round as u8));
        assert_eq!(area.map_many(&mut [shared.request(page, 1)]), 0, "it is taken");
        assert_eq!(area.unmap_many([page, 599 - page, 600, usize::MAX]), Ok(()));
        assert_eq!((area.mapped(), memory::lookup(area.page(page).as_ptr() as u64)), (0, None));
    }
    assert_eq!(area.map_many(&mut [shared.request(0, 0)]), 1);
    assert_eq!(area.unmap_many([0, 0]), Err(Errno::INVAL), "once only");
    assert_eq!(area.mapped(), 0);
}

fn dropped() {
    let before = memory::used_frames();
    let shared = Shared::new(1);
    for _ in 0..50 {
        let mut area = Area::new(33).expect("an area");
        let mut requests: Vec<MapRequest> = (0..33).map(|page| shared.request(page, 0)).collect();
        assert_eq!(area.map_many(&mut requests), 33);
        assert_eq!(area.unmap_many(0..5), Ok(()));
        assert_eq!(grants::revoke(shared.pages[0].1), Err(Errno::BUSY));
    }
    drop(shared);
    assert_eq!(memory::used_frames(), before);
}

fn copies() {
    let shared = Shared::new(40);
    let target = memory::alloc_page().expect("a page");
    let mfn = memory::virt_to_mfn(target.as_ptr()).expect("a frame");
    let mut requests: Vec<CopyRequest> = Vec::new();
    for (index, &(page, reference)) in shared.pages.iter().enumerate() {
        // SAFETY: a page of ours, written volatile.
        unsafe { page.add(4 * index).cast::<u32>().write_volatile(index as u32 + 1) };
        let offset = 4 * index as u16;
        requests.push(CopyRequest::new(CopyEnd::Grant(shared.own, reference, offset), CopyEnd::Frame(mfn, offset), 4));
    }
    requests[10].len = 4096;
    // SAFETY: the target is ours, and read volatile.
    assert_eq!(unsafe { grants::copy_many(&mut requests) }, 39);
    for (index, request) in requests.iter().enumerate() {
        let wanted = if index == 10 { (Err(Errno::INVAL), 0) } else { (Ok(()), index as u32 + 1) };
        // SAFETY: as above.
        assert_eq!((request.outcome, unsafe { target.cast::<u32>().add(index).read_volatile() }), wanted);
    }
    // SAFETY: nothing uses it.
    unsafe { memory::free_page(target) };
}
