//! Opening a disk for a guest, or for whoever uses one.

use alloc::{rc::Rc, vec, vec::Vec};

use super::mount::Mount;
use super::{Access, Claim, Result, Storage, StorageError, Target};
use crate::block::SharedDisk;

/// A disk that is open. The claims on it end with this.
pub struct Opened {
    disk: SharedDisk,
    devices: Vec<u32>,
    _claims: Vec<Claim>,
    // Volumes stay while files on them are open.
    _mounts: Vec<Rc<Mount>>,
}

impl Opened {
    /// The disk.
    pub fn disk(&self) -> &SharedDisk {
        &self.disk
    }

    /// Ends the use of the disk. Nothing of it may be under way any more.
    pub async fn close(self) {}

    /// The physical disks that its bytes lie on.
    pub fn devices(&self) -> &[u32] {
        &self.devices
    }
}

impl Storage {
    /// Opens a disk for `holder`, whom messages to others name.
    ///
    /// # Errors
    /// One message, which begins with the target.
    pub async fn open(&self, target: &Target, access: Access, holder: &str) -> Result<Opened> {
        let layer = self.layer(target, access).await?;
        let claim = Claim::take(&self.claims, holder, layer.range, access.writes());
        let claim = claim.map_err(|error| StorageError::about(target, error))?;
        Ok(Opened { disk: layer.disk, devices: vec![layer.device], _claims: vec![claim], _mounts: layer.mount.into_iter().collect() })
    }
}
