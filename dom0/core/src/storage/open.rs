//! Opening a disk for a guest, or for whoever uses one: its layers from the top down, then the images in them from the bottom up.

use alloc::{
    format,
    rc::Rc,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use super::layer::Layer;
use super::mount::Mount;
use super::{Access, Claim, Result, Storage, StorageError, Target};
use crate::block::SharedDisk;
use crate::config::Format;
use crate::qcow2::{self, Backing, Header, Image};

/// Images over each other at most.
const DEEPEST: usize = 16;

/// A disk that is open. The claims on it end with this.
pub struct Opened {
    disk: SharedDisk,
    image: Option<Rc<Image>>,
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

    /// The image that the disk is, if it is one.
    pub fn image(&self) -> Option<&Rc<Image>> {
        self.image.as_ref()
    }

    /// The physical disks that its bytes lie on.
    pub fn devices(&self) -> &[u32] {
        &self.devices
    }

    /// Ends the use of the disk. Nothing of it may be under way any more.
    ///
    /// # Errors
    /// When what was written last could not be made durable.
    pub async fn close(self) -> Result<()> {
        if self.disk.info().read_only {
            return Ok(());
        }
        self.disk.flush().await.map_err(|error| StorageError::new(error.to_string()))
    }
}

impl Drop for Opened {
    /// Before the claims end: commands of operators may still have the image.
    fn drop(&mut self) {
        if let Some(image) = &self.image {
            image.shut();
        }
    }
}

/// A layer that is found and claimed, and what is in it.
struct Found {
    target: Target,
    layer: Layer,
    claim: Claim,
    access: Access,
}

impl Storage {
    /// Opens a disk for `holder`, whom messages to others name. The images below an image are opened for reading.
    ///
    /// # Errors
    /// One message, which names the target.
    pub async fn open(&self, target: &Target, access: Access, holder: &str) -> Result<Opened> {
        let found = self.descend(target, access, holder).await?;
        let range = found.first().map(|top| top.layer.range);
        let (mut devices, mut claims, mut mounts) = (vec![], vec![], vec![]);
        let (mut disk, mut image) = (None, None);
        for Found { target, layer, claim, access } in found.into_iter().rev() {
            if !devices.contains(&layer.device) {
                devices.push(layer.device);
            }
            claims.push(claim);
            mounts.extend(layer.mount);
            let made: SharedDisk = match target.format {
                Format::Raw => layer.disk,
                Format::Qcow2 => {
                    let opened = Image::open(layer.disk, self.memory.clone(), disk.take(), access.into()).await;
                    let opened = opened.map_err(|error| StorageError::about(&target, error))?;
                    image = Some(opened.clone());
                    opened
                }
            };
            disk = Some(made);
        }
        let disk = disk.ok_or_else(|| StorageError::about(target, "there is nothing to open"))?;
        if let (Some(image), Some(range), true) = (&image, range, access.writes()) {
            self.remember(range, image);
        }
        Ok(Opened { disk, image, devices, _claims: claims, _mounts: mounts })
    }

    /// Finds and claims the target and all that it lies over, from the top down.
    async fn descend(&self, target: &Target, access: Access, holder: &str) -> Result<Vec<Found>> {
        let mut found: Vec<Found> = vec![];
        let mut next = Some((target.clone(), access));
        while let Some((target, access)) = next.take() {
            let about = |message: &dyn core::fmt::Display| match found.last() {
                None => StorageError::about(&target, message),
                Some(above) => StorageError::about(&above.target, format!("its backing file {target}: {message}")),
            };
            if found.len() == DEEPEST {
                return Err(about(&format!("there are more than {DEEPEST} images over each other; flatten some with qemu-img convert")));
            }
            let layer = self.layer(&target, access).await.map_err(|error| match found.last() {
                None => error,
                Some(above) => StorageError::about(&above.target, format!("its backing file: {error}")),
            })?;
            if found.iter().any(|above| above.layer.range.meets(&layer.range)) {
                return Err(about(&"it lies over itself; give it another backing with qemu-img rebase"));
            }
            let claim = Claim::take(&self.claims, holder, layer.claims(), access.writes()).map_err(|error| about(&error))?;
            if target.format == Format::Qcow2 {
                let header = Header::read(&*layer.disk, &*self.memory).await.map_err(|error| about(&error))?;
                let below = header.backing.as_ref().map(|backing| below(&target, backing)).transpose()?;
                next = below.map(|target| (target, Access::Read));
            }
            found.push(Found { target, layer, claim, access });
        }
        Ok(found)
    }
}

/// The target that an image names as its backing.
fn below(target: &Target, backing: &Backing) -> Result<Target> {
    let Backing { name, format } = backing;
    let about = |message: String| Err(StorageError::about(target, format!("its backing file \"{name}\": {message}")));
    let Some(format) = format else {
        return about(format!(
            "the image does not say what it is, and a guest could forge the signs: qemu-img rebase -u -F raw -b {name} IMAGE says it"
        ));
    };
    let Some(format) = Format::from_name(format) else {
        return about(format!("it is said to be {format}, and the formats here are raw and qcow2: convert it with qemu-img convert"));
    };
    let path = name.strip_prefix("file:").unwrap_or(name);
    match path.split_once(':') {
        Some((protocol, _)) if !protocol.contains('/') => {
            about(format!("it is reached by `{protocol}`, which Dom0 does not offer: copy it to a disk here"))
        }
        _ => Ok(target.beside(path, format)),
    }
}

impl From<Access> for qcow2::Access {
    fn from(access: Access) -> Self {
        match access {
            Access::Read => Self::ReadOnly,
            Access::Write => Self::ReadWrite,
        }
    }
}
