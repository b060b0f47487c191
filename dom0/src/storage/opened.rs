//! A disk that has been opened for somebody, with what he needs to use it the quick way, and his claim on it.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::pin::Pin;

use dom0_core::block::SharedDisk;
use dom0_core::block::quick::QuickDisk;
use dom0_core::storage::claims::{ClaimId, Claims, Range};

use crate::hal::task_cell::TaskCell;

static CLAIMS: TaskCell<Claims> = TaskCell::new(Claims::new());

/// A claim on bytes of physical disks. Dropping it ends it.
pub struct Claim(ClaimId);

impl Claim {
    /// Claims ranges.
    ///
    /// # Errors
    /// Who is in the way, and what to do about it.
    pub fn take(holder: &str, ranges: Vec<Range>, write: bool) -> Result<Self, String> {
        CLAIMS.with(|claims| claims.take(holder, ranges, write)).map(Self).map_err(|error| error.to_string())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMS.with(|claims| claims.give(self.0));
    }
}

/// Work that is done when a disk is closed.
pub type Closing = Pin<Box<dyn Future<Output = ()>>>;

/// An open disk.
pub struct Opened {
    disk: SharedDisk,
    devices: Vec<(u32, Rc<dyn QuickDisk>)>,
    closing: Option<Closing>,
    claims: Vec<Claim>,
}

impl Opened {
    /// A disk whose bytes lie on `devices`, by the numbers that [`dom0_core::block::Place::At`] has, and the claims on them.
    pub fn new(disk: SharedDisk, devices: Vec<(u32, Rc<dyn QuickDisk>)>, claims: Vec<Claim>) -> Self {
        Self { disk, devices, closing: None, claims }
    }

    /// What else is to be done when it is closed, such as writing back metadata.
    #[must_use]
    pub fn closing(mut self, work: Closing) -> Self {
        self.closing = Some(work);
        self
    }

    /// The disk.
    pub fn disk(&self) -> &SharedDisk {
        &self.disk
    }

    /// The physical disks that bytes lie on, by their numbers.
    pub fn devices(&self) -> &[(u32, Rc<dyn QuickDisk>)] {
        &self.devices
    }

    /// Ends the use of the disk. Nothing of it may be under way any more; others can claim it when this is over.
    pub async fn close(self) {
        if let Some(work) = self.closing {
            work.await;
        }
        drop(self.disk);
        drop(self.claims);
    }
}
