//! Images for operators: made, described, grown, and their snapshots. One that a guest is writing is worked on through what the guest has open.

use alloc::{
    format,
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};

use super::{Access, Claim, Opened, Result, Storage, StorageError, Target};
use crate::block::SharedDisk;
use crate::config::Format;
use crate::qcow2::{self, Header, Image, New, Snapshot, Taken, USUAL_CLUSTER_BITS};

/// Who holds an image while an operator's command works on it.
const HOLDER: &str = "dom disk";
/// The largest disk that can be told to a guest, in bytes: its sectors have numbers of 63 bits.
const LARGEST: u64 = i64::MAX as u64;

/// What `dom disk info` tells of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// What holds it.
    pub target: String,
    /// What it says about itself.
    pub header: Header,
    /// Bytes of what holds it.
    pub holder_bytes: u64,
    /// Its snapshots.
    pub snapshots: Vec<Snapshot>,
    /// Who uses it.
    pub users: Vec<String>,
}

/// An image that is worked on.
struct Held {
    image: Rc<Image>,
    /// None if somebody else has it open.
    opened: Option<Opened>,
}

impl Held {
    async fn done(self) -> Result<()> {
        drop(self.image);
        match self.opened {
            Some(opened) => opened.close().await,
            None => Ok(()),
        }
    }
}

impl Storage {
    async fn held(&self, target: &Target, access: Access) -> Result<Held> {
        let range = self.layer(target, Access::Read).await?.range;
        if let Some(image) = self.written(range) {
            return Ok(Held { image, opened: None });
        }
        let opened = self.open(target, access, HOLDER).await?;
        let image = opened.image().cloned().ok_or_else(|| StorageError::about(target, "this works on qcow2 images only"))?;
        Ok(Held { image, opened: Some(opened) })
    }

    /// Makes an image in a disk or file; of the backing's size if none is given. What is there already is overwritten only if it may be.
    ///
    /// # Errors
    /// One message: what is wrong, and what to do.
    pub async fn create_image(
        &self,
        target: &Target,
        bytes: Option<u64>,
        backing: Option<(String, Format)>,
        overwrite: bool,
    ) -> Result<()> {
        let about = |message: &dyn core::fmt::Display| StorageError::about(target, message);
        let layer = self.layer(target, Access::Write).await?;
        let mut backing_bytes = None;
        if let Some((name, format)) = &backing {
            let below = target.beside(name, *format);
            let opened = self.open(&below, Access::Read, HOLDER).await.map_err(|error| about(&format!("the backing: {error}")))?;
            backing_bytes = Some(opened.disk().info().bytes);
        }
        let virtual_bytes = bytes.or(backing_bytes).ok_or_else(|| about(&"how large shall it be? SIZE is missing"))?;
        if virtual_bytes > LARGEST {
            return Err(about(&"no disk can be so large"));
        }
        // Only now, so that an image over itself is told as what it is when it is opened.
        let _claim = Claim::take(&self.claims, HOLDER, layer.claims(), true).map_err(|error| about(&error))?;
        if let Some((name, format)) = &backing
            && self.layer(&target.beside(name, *format), Access::Read).await?.range.meets(&layer.range)
        {
            return Err(about(&"an image cannot lie over what holds it; name another backing"));
        }
        if !overwrite && let Some(what) = self.in_the_way(&*layer.disk).await.map_err(|error| about(&error))? {
            return Err(about(&format!("it holds {what}, which would be lost; take another, or overwrite it by --force")));
        }
        let backing = backing.map(|(name, format)| (name, format.name().to_string()));
        let disk: SharedDisk = layer.disk;
        let new = New { virtual_bytes, cluster_bits: USUAL_CLUSTER_BITS, backing };
        qcow2::create(&disk, &self.memory, &new).await.map_err(|error| about(&error))
    }

    /// Describes an image.
    ///
    /// # Errors
    /// When it is none, or is damaged.
    pub async fn image_info(&self, target: &Target) -> Result<ImageInfo> {
        let layer = self.layer(target, Access::Read).await?;
        let users = self.claims.borrow().holders(&layer.range).map(|(holder, _)| holder.to_string()).collect();
        let about = |message: &dyn core::fmt::Display| StorageError::about(target, message);
        // Not opened, so that what it lies over may be missing; but what somebody is changing is asked for the truth.
        let (header, snapshots) = match self.written(layer.range) {
            Some(image) => (image.header(), image.snapshots().await.map_err(|error| about(&error))?),
            None => {
                let header = Header::read(&*layer.disk, &*self.memory).await.map_err(|error| about(&error))?;
                let snapshots = if header.snapshots == 0 { Vec::new() } else { self.snapshots(target).await? };
                (header, snapshots)
            }
        };
        Ok(ImageInfo { target: target.path.clone(), header, holder_bytes: layer.disk.info().bytes, snapshots, users })
    }

    /// The snapshots within an image.
    ///
    /// # Errors
    /// As for [`Storage::image_info`].
    pub async fn snapshots(&self, target: &Target) -> Result<Vec<Snapshot>> {
        let held = self.held(target, Access::Read).await?;
        let snapshots = held.image.snapshots().await.map_err(|error| StorageError::about(target, error));
        held.done().await?;
        snapshots
    }

    /// Keeps what the disk holds now under a name. While a guest writes it, that is what a loss of power would leave.
    ///
    /// # Errors
    /// One message: what is wrong, and what to do.
    pub async fn take_snapshot(&self, target: &Target, name: &str, taken: Taken) -> Result<()> {
        let held = self.held(target, Access::Write).await?;
        let result = held.image.take_snapshot(name, taken).await.map_err(|error| StorageError::about(target, error));
        result.and(held.done().await)
    }

    /// Makes the disk hold what it held when the snapshot was taken.
    ///
    /// # Errors
    /// One message: what is wrong, and what to do; also when a guest uses it, whose memory would contradict its disk.
    pub async fn apply_snapshot(&self, target: &Target, name: &str) -> Result<()> {
        let held = self.held(target, Access::Write).await?;
        if held.opened.is_none() {
            return Err(StorageError::about(
                target,
                "it is in use, and its user would not notice; detach it, or shut the domain down, first",
            ));
        }
        let result = held.image.apply_snapshot(name).await.map_err(|error| StorageError::about(target, error));
        result.and(held.done().await)
    }

    /// Forgets a snapshot.
    ///
    /// # Errors
    /// One message: what is wrong, and what to do.
    pub async fn delete_snapshot(&self, target: &Target, name: &str) -> Result<()> {
        let held = self.held(target, Access::Write).await?;
        let result = held.image.delete_snapshot(name).await.map_err(|error| StorageError::about(target, error));
        result.and(held.done().await)
    }

    /// Lets the guest's disk grow to this size, or by it; the new size in bytes. Who has it open sees it.
    ///
    /// # Errors
    /// One message: what is wrong, and what to do.
    pub async fn resize(&self, target: &Target, bytes: u64, more: bool) -> Result<u64> {
        let held = self.held(target, Access::Write).await?;
        let now = held.image.header().virtual_bytes;
        let wanted = if more { now.saturating_add(bytes) } else { bytes };
        let result = if wanted > LARGEST {
            Err(StorageError::about(target, "no disk can be so large"))
        } else {
            held.image.grow(wanted).await.map_err(|error| StorageError::about(target, error))
        };
        result.and(held.done().await)?;
        Ok(wanted)
    }
}
