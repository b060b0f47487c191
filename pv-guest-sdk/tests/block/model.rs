//! A machine on the host: pages, and a grant table that knows who has what mapped.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;

use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::block::machine::Machine;

pub(crate) const PAGE: usize = 4096;

#[derive(Clone, Copy)]
struct Grant {
    page: NonNull<u8>,
    writable: bool,
    live: bool,
    mapped: u32,
}

#[derive(Default)]
struct State {
    grants: Vec<Grant>,
    pages_out: usize,
    pages_most: usize,
    notified: u64,
}

/// The machine; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Model(Rc<RefCell<State>>);

fn layout(count: usize) -> Layout {
    Layout::from_size_align(count * PAGE, PAGE).unwrap()
}

// SAFETY: the host's allocator hands out such pages.
unsafe impl Machine for Model {
    fn pages(&self, count: usize) -> Option<NonNull<u8>> {
        let mut state = self.0.borrow_mut();
        if count == 0 || state.pages_out + count > state.pages_most {
            return None;
        }
        state.pages_out += count;
        // SAFETY: the layout is not empty.
        NonNull::new(unsafe { alloc_zeroed(layout(count)) })
    }

    unsafe fn free(&self, start: NonNull<u8>, count: usize) {
        let mut state = self.0.borrow_mut();
        state.pages_out -= count;
        let range = start.as_ptr().addr()..start.as_ptr().addr() + count * PAGE;
        assert!(!state.grants.iter().any(|grant| grant.live && range.contains(&grant.page.as_ptr().addr())), "freed while granted");
        // SAFETY: the caller's obligation.
        unsafe { dealloc(start.as_ptr(), layout(count)) }
    }

    unsafe fn grant(&self, domid: u16, page: NonNull<u8>, writable: bool) -> Result<u32, Errno> {
        assert_eq!(domid, 7, "the back end's domain");
        assert_eq!(page.as_ptr().addr() % PAGE, 0);
        let mut state = self.0.borrow_mut();
        state.grants.push(Grant { page, writable, live: true, mapped: 0 });
        // References are never used again here, so that a stale one is seen.
        Ok(state.grants.len() as u32 + 7)
    }

    fn revoke(&self, reference: u32) -> Result<(), Errno> {
        let mut state = self.0.borrow_mut();
        let grant = &mut state.grants[reference as usize - 8];
        assert!(grant.live, "revoked twice");
        if grant.mapped > 0 {
            return Err(Errno::BUSY);
        }
        grant.live = false;
        Ok(())
    }

    fn notify(&self, port: u32) {
        assert!(port >= 100, "a port of the test's");
        self.0.borrow_mut().notified += 1;
    }
}

impl Model {
    /// With so many pages of memory.
    pub(crate) fn new(pages: usize) -> Model {
        let model = Model::default();
        model.0.borrow_mut().pages_most = pages;
        model
    }

    /// How often the back end was notified.
    pub(crate) fn notified(&self) -> u64 {
        self.0.borrow().notified
    }

    /// Pages that are not given back.
    pub(crate) fn pages_out(&self) -> usize {
        self.0.borrow().pages_out
    }

    /// Grants that are not revoked.
    pub(crate) fn grants_out(&self) -> usize {
        self.0.borrow().grants.iter().filter(|grant| grant.live).count()
    }

    /// The page of a grant, as the back end maps it; `None` if that fails.
    pub(crate) fn map(&self, reference: u32, writable: bool) -> Option<NonNull<u8>> {
        let mut state = self.0.borrow_mut();
        let grant = state.grants.get_mut((reference as usize).checked_sub(8)?)?;
        if !grant.live || writable && !grant.writable {
            return None;
        }
        grant.mapped += 1;
        Some(grant.page)
    }

    /// Ends a mapping.
    pub(crate) fn unmap(&self, reference: u32) {
        let mut state = self.0.borrow_mut();
        let grant = &mut state.grants[reference as usize - 8];
        assert!(grant.mapped > 0);
        grant.mapped -= 1;
    }
}
