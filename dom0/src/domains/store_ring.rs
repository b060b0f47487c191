//! A domain's xenstore page: two byte queues. Our own indices are kept here and only published there, so that a guest cannot move them.

use core::mem::offset_of;

use abi::DomId;
use abi::xenstore::{ERROR_RINGIDX, RING_SIZE, XenstoreRing};
use dom0_core::xenstore::SUPPORTED_FEATURES;

use super::error::{Error, Result};
use crate::hal::shared_page::SharedPage;

/// The guest's index is one that cannot be.
pub struct BadIndex;

impl BadIndex {
    /// What the page's error field is to say.
    pub const CODE: u32 = ERROR_RINGIDX;
}

/// A mapped ring.
pub struct StoreRing {
    page: SharedPage,
    taken: u32,
    given: u32,
}

impl StoreRing {
    /// Maps the ring of a new domain.
    pub fn map(domid: DomId, frame: u64) -> Result<Self> {
        let page = SharedPage::map(domid, frame).map_err(Error::refused("map the xenstore ring"))?;
        page.store(offset_of!(XenstoreRing, server_features), SUPPORTED_FEATURES);
        Ok(Self { page, taken: 0, given: 0 })
    }

    /// How many bytes of requests wait.
    pub fn ready(&self) -> core::result::Result<usize, BadIndex> {
        let produced = self.page.load(offset_of!(XenstoreRing, req_prod));
        within(produced.wrapping_sub(self.taken))
    }

    /// Copies the next bytes of requests, which must be ready.
    pub fn peek(&self, into: &mut [u8]) {
        self.page.read_queue(offset_of!(XenstoreRing, req), RING_SIZE, self.taken, into);
    }

    /// Makes room of bytes that were peeked at.
    pub fn take(&mut self, bytes: usize) {
        self.taken = self.taken.wrapping_add(bytes as u32);
        self.page.store(offset_of!(XenstoreRing, req_cons), self.taken);
    }

    /// How many bytes of replies fit.
    pub fn room(&self) -> core::result::Result<usize, BadIndex> {
        let consumed = self.page.load(offset_of!(XenstoreRing, rsp_cons));
        within(self.given.wrapping_sub(consumed)).map(|queued| RING_SIZE - queued)
    }

    /// Gives the guest bytes, for which there must be room.
    pub fn give(&mut self, bytes: &[u8]) {
        self.page.write_queue(offset_of!(XenstoreRing, rsp), RING_SIZE, self.given, bytes);
        self.given = self.given.wrapping_add(bytes.len() as u32);
        self.page.store(offset_of!(XenstoreRing, rsp_prod), self.given);
    }

    /// Says in the page why the connection has ended (`ERROR_*`).
    pub fn report(&self, error: u32) {
        self.page.store(offset_of!(XenstoreRing, error), error);
    }
}

fn within(bytes: u32) -> core::result::Result<usize, BadIndex> {
    Some(bytes as usize).filter(|&bytes| bytes <= RING_SIZE).ok_or(BadIndex)
}
