//! Pages that the back end may use at any time: granted once, filled and emptied by copying.

use alloc::vec::Vec;
use core::ptr::{self, NonNull};

use abi::blkif::Segment;
use abi::layout::PAGE_SIZE;

use super::Error;
use super::machine::Machine;
use crate::grants::GrantRef;

/// A granted page. It is shared memory: there is never a reference into it.
#[derive(Debug)]
pub struct Page {
    start: NonNull<u8>,
    /// Its grant.
    pub gref: GrantRef,
}

// SAFETY: the page is only accessed through this value's methods, which copy.
unsafe impl Send for Page {}

impl Page {
    /// Grants a fresh page to domain `domid`, to read and write.
    ///
    /// # Errors
    /// If there is no memory or no grant.
    pub fn new<M: Machine>(machine: &M, domid: u16) -> Result<Page, Error> {
        let start = machine.pages(1).ok_or(Error::Memory)?;
        // SAFETY: the page is fresh, and from here on accessed by copying only.
        match unsafe { machine.grant(domid, start, true) } {
            Ok(gref) => Ok(Page { start, gref }),
            Err(error) => {
                // SAFETY: nobody else knows the page.
                unsafe { machine.free(start, 1) };
                Err(error.into())
            }
        }
    }

    /// Takes the grant back and frees the page.
    ///
    /// # Errors
    /// The page, if the other end has it mapped.
    pub fn release<M: Machine>(self, machine: &M) -> Result<(), Page> {
        if machine.revoke(self.gref).is_err() {
            return Err(self);
        }
        // SAFETY: it came from there, and now nobody else can reach it.
        unsafe { machine.free(self.start, 1) };
        Ok(())
    }

    /// Writes a segment's descriptor: number `index` of this page.
    pub fn put_segment(&self, index: usize, segment: Segment) {
        assert!(index < PAGE_SIZE / size_of::<Segment>());
        // SAFETY: the index lies in the page (checked), which is aligned and mapped.
        unsafe { self.start.cast::<Segment>().add(index).write_volatile(segment) }
    }
}

/// Spreads `data` over pages.
pub fn fill(pages: &[Page], data: &[u8]) {
    for (page, piece) in pages.iter().zip(data.chunks(PAGE_SIZE)) {
        // SAFETY: a piece is not longer than a page; the page is granted memory, which is no part of any Rust object.
        unsafe { copy(piece.as_ptr(), page.start.as_ptr(), piece.len()) }
    }
}

/// Gathers `data` from pages.
pub fn empty(pages: &[Page], data: &mut [u8]) {
    for (page, piece) in pages.iter().zip(data.chunks_mut(PAGE_SIZE)) {
        // SAFETY: as above.
        unsafe { copy(page.start.as_ptr(), piece.as_mut_ptr(), piece.len()) }
    }
}

/// Copies bytes one of whose ends another domain may be writing at the same time. An instruction that the compiler cannot look into does so soundly:
/// whatever bytes it finds, they are bytes.
///
/// # Safety
/// Both ends must be mapped for `bytes` bytes and must not overlap.
unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    if cfg!(miri) {
        // SAFETY: the caller's obligation; Miri knows no instructions, and in its world there is no other domain.
        return unsafe { ptr::copy_nonoverlapping(from, to, bytes) };
    }
    // SAFETY: the caller's obligation; the direction flag is clear by the calling convention. Words first, then what is left.
    unsafe {
        core::arch::asm!(
            "rep movsq",
            "mov rcx, {rest}",
            "rep movsb",
            rest = in(reg) bytes % 8,
            inout("rcx") bytes / 8 => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

/// Pages of one ring that are not in use. They stay granted, so that a back end with persistent grants maps each of them once.
#[derive(Debug)]
pub struct Pool {
    domid: u16,
    most: usize,
    made: usize,
    free: Vec<Page>,
}

impl Pool {
    /// A pool of at most `most` pages. They are made as they are needed.
    pub fn new(domid: u16, most: usize) -> Pool {
        Pool { domid, most, made: 0, free: Vec::new() }
    }

    /// How many pages it may have.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Adds `count` pages to `pages`, or none and `false` if that many are not there now.
    ///
    /// # Errors
    /// If it could not have that many even when none were in use.
    pub fn take<M: Machine>(&mut self, machine: &M, count: usize, pages: &mut Vec<Page>) -> Result<bool, Error> {
        while self.free.len() < count && self.made < self.most {
            match Page::new(machine, self.domid) {
                Ok(page) => {
                    self.made += 1;
                    self.free.push(page);
                }
                // What is in use will come back.
                Err(_) if self.made >= count => break,
                Err(error) => return Err(error),
            }
        }
        if self.free.len() < count {
            return if count > self.most { Err(Error::Memory) } else { Ok(false) };
        }
        // The last ones back are the first ones out: they are the ones that the back end has mapped most lately.
        pages.extend(self.free.drain(self.free.len() - count..));
        Ok(true)
    }

    /// Takes pages back.
    pub fn give(&mut self, pages: &mut Vec<Page>) {
        self.free.append(pages);
    }

    /// Empties the pool: for its end.
    pub fn drain(&mut self) -> Vec<Page> {
        self.made = self.most;
        core::mem::take(&mut self.free)
    }
}
