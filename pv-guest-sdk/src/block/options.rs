//! What the caller wants of a connection, and what becomes of it with what the back end offers.

use abi::blkif::{MAX_INDIRECT_PAGES, MAX_SEGMENTS, SEGMENTS_PER_INDIRECT_PAGE};

/// What the caller wants. The back end may offer less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Rings, each with its event channel.
    pub queues: u32,
    /// A ring has 2^`ring_order` pages: 32 requests fit into one page.
    pub ring_order: u32,
    /// Segments of a request at most, which are its pages of 4 KiB.
    pub segments: u16,
    /// Let the back end keep the pages of the pool mapped. Without, a [`super::Buffer`] is used in place; with it, it is copied.
    pub persistent: bool,
    /// Pages of a queue's pool at most. They are granted when they are first needed.
    pub pool: usize,
}

impl Default for Options {
    /// One ring of one page; requests of 128 KiB, and 512 KiB of pool.
    fn default() -> Options {
        Options { queues: 1, ring_order: 0, segments: 32, persistent: true, pool: 128 }
    }
}

/// More queues than this are never asked for.
const MOST_QUEUES: u32 = 16;
/// 16 pages are what Xen's protocol has as a ring at most.
const MOST_ORDER: u32 = 4;

impl Options {
    /// Queues, given what the back end has at most.
    pub fn queues(&self, offered: Option<u32>) -> u32 {
        self.queues.clamp(1, MOST_QUEUES).min(offered.unwrap_or(1).max(1))
    }

    /// The ring's order, given what the back end has at most.
    pub fn ring_order(&self, offered: Option<u32>) -> u32 {
        self.ring_order.min(MOST_ORDER).min(offered.unwrap_or(0))
    }

    /// Segments of a request, given what the back end has at most in an indirect one. The pool has room for two such requests at least.
    pub fn segments(&self, indirect: u16) -> usize {
        let most = MAX_INDIRECT_PAGES * SEGMENTS_PER_INDIRECT_PAGE;
        let offered = usize::from(indirect).min(most).max(MAX_SEGMENTS);
        usize::from(self.segments).clamp(1, offered).min((self.pool_pages() / 2).saturating_sub(1).max(1))
    }

    /// Pages of a pool: two at least.
    pub fn pool_pages(&self) -> usize {
        self.pool.max(2)
    }
}
