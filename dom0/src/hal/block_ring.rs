//! The ring of a block device that a front end shares with us.

use abi::Errno;
use abi::blkif::{Request, Response};
use dom0_core::blkback::ends::{Corrupt, Ring};
use pv_guest_sdk::ring::BackRing;

use super::grant_pages::GrantPages;

/// A mapped ring.
pub struct BlockRing {
    ring: BackRing<Request, Response>,
    /// Behind the ring: it is mapped as long as the ring is used.
    _pages: GrantPages,
}

impl BlockRing {
    /// Maps a ring by the references of its pages, in order.
    ///
    /// # Errors
    /// As for [`GrantPages::all`].
    pub fn map(domid: u16, grefs: &[u32]) -> Result<Self, Errno> {
        let pages = GrantPages::all(domid, grefs)?;
        // SAFETY: all of the pages are mapped, side by side, and stay so while the ring lives: they are dropped together.
        let ring = unsafe { BackRing::new(pages.start(), pages.bytes()) };
        Ok(Self { ring, _pages: pages })
    }

    /// Requests that it holds at most.
    pub fn size(&self) -> u32 {
        self.ring.size()
    }

    /// Shows the front end what was answered; whether it must be notified.
    pub fn publish(&mut self) -> bool {
        self.ring.publish()
    }

    /// Asks to be notified of the next request; whether one has come meanwhile.
    pub fn arm(&mut self) -> bool {
        self.ring.arm()
    }
}

impl Ring for BlockRing {
    fn pop(&mut self, into: &mut Request) -> Result<bool, Corrupt> {
        self.ring.pop_into(into).map_err(|_| Corrupt)
    }

    fn push(&mut self, response: Response) {
        self.ring.push(response);
    }
}
