//! What a domain has of memory: how much it may have and has, and its frames as a list.

use core::sync::atomic::Ordering::Relaxed;

use super::frame::Frame;

/// What a domain has of memory. All zero is a domain that has nothing and may have nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainFrames {
    /// How many frames it may have.
    pub limit: u64,
    /// How many frames are its own, those that it gave back but someone still refers to included.
    pub total: u64,
    /// How many frames hold the hypervisor's objects for it.
    pub overhead: u64,
    /// How many of `total` it gave back.
    pub given_back: u64,
    /// How many frames are held as page tables.
    pub tables: u64,
    /// How many of those are pinned.
    pub pinned: u64,
    /// Its frames that it has not given back.
    pub(super) allocated: u32,
    /// Frames that it gave back and that are still referred to.
    pub(super) lingering: u32,
    /// The same, after teardown has seen them.
    pub(super) released: u32,
    /// Page tables at count zero that must be taken apart.
    pub(super) work: u32,
    /// It is being destroyed: it gets nothing more.
    pub(super) closed: bool,
}

impl DomainFrames {
    pub(super) const fn new() -> Self {
        DomainFrames {
            limit: 0,
            total: 0,
            overhead: 0,
            given_back: 0,
            tables: 0,
            pinned: 0,
            allocated: 0,
            lingering: 0,
            released: 0,
            work: 0,
            closed: false,
        }
    }

    /// True if nothing of the domain is left, so that its number can name another.
    pub fn is_empty(&self) -> bool {
        self.total == 0 && self.overhead == 0 && self.work == 0
    }
}

pub(super) fn link(table: &[Frame], head: &mut u32, mfn: u32) {
    let frame = &table[mfn as usize];
    frame.prev.store(0, Relaxed);
    frame.next.store(*head, Relaxed);
    if *head != 0 {
        table[*head as usize].prev.store(mfn, Relaxed);
    }
    *head = mfn;
}

/// Takes a frame off the list that it is on, which is one of these.
pub(super) fn unlink(table: &[Frame], heads: &mut [&mut u32], mfn: u32) {
    let frame = &table[mfn as usize];
    let (next, prev) = (frame.next.load(Relaxed), frame.prev.load(Relaxed));
    if next != 0 {
        table[next as usize].prev.store(prev, Relaxed);
    }
    if prev != 0 {
        table[prev as usize].next.store(next, Relaxed);
    } else if let Some(head) = heads.iter_mut().find(|head| ***head == mfn) {
        **head = next;
    }
}

impl DomainFrames {
    /// The lists that a frame can be on.
    pub(super) fn heads(&mut self) -> [&mut u32; 3] {
        [&mut self.allocated, &mut self.lingering, &mut self.released]
    }
}
