//! A disk that has been opened for somebody, with what he needs to use it the quick way.

use alloc::rc::Rc;
use alloc::vec::Vec;

use dom0_core::block::SharedDisk;
use dom0_core::block::quick::QuickDisk;
use dom0_core::storage;

use crate::block;
use crate::log::log;

/// An open disk, and the claim on its bytes.
pub struct Opened {
    opened: storage::Opened,
    devices: Vec<(u32, Rc<dyn QuickDisk>)>,
}

impl Opened {
    pub(super) fn new(opened: storage::Opened) -> Self {
        let quick = |number: &u32| Some((*number, block::disks().get(*number as usize)?.quick()));
        let devices = opened.devices().iter().filter_map(quick).collect();
        Self { opened, devices }
    }

    /// The disk.
    pub fn disk(&self) -> &SharedDisk {
        self.opened.disk()
    }

    /// The physical disks that bytes lie on, by their numbers.
    pub fn devices(&self) -> &[(u32, Rc<dyn QuickDisk>)] {
        &self.devices
    }

    /// Ends the use of the disk. Nothing of it may be under way any more; others can claim it when this is over.
    pub async fn close(self) {
        if let Err(error) = self.opened.close().await {
            log!("a disk was closed, but what was written last may be lost: {error}");
        }
    }
}
