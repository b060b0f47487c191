//! Volumes in Dom0's tree.

use alloc::{
    format,
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};

use super::{Access, Claim, DEVICES, Result, Storage, StorageError, Target, layer};
use crate::config::Format;
use crate::ext4::Volume;
use crate::fs::normalise;

/// How a mount is named as a holder; its folder follows.
pub const MOUNT: &str = "the mount at ";

/// A mounted volume.
pub struct Mount {
    /// Its number; never used again.
    pub number: u32,
    /// The physical disk that it lies on.
    pub device: u32,
    /// The disk or partition, as `/dev/...`.
    pub source: String,
    /// Where it is seen.
    pub folder: String,
    /// Files on it can only be read.
    pub read_only: bool,
    /// The volume.
    pub volume: Rc<Volume>,
    _claim: Claim,
}

/// What is mounted where, for lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// The disk or partition, as `/dev/...`.
    pub source: String,
    /// Where it is seen.
    pub folder: String,
    /// Files on it can only be read.
    pub read_only: bool,
}

impl Storage {
    /// Mounts the ext4 volume on a disk or partition. It is only read there if `read_only` says so, if the disk cannot be written, and otherwise must
    /// have been left in order.
    ///
    /// # Errors
    /// One message: what is wrong, and what to do.
    pub async fn mount(&self, disk: &str, folder: &str, read_only: bool) -> Result<Mounted> {
        let target = Target::parse(disk, Format::Raw)?;
        let Some(name) = target.device() else {
            return Err(StorageError::about(disk, "only disks and partitions can be mounted, such as /dev/vda1"));
        };
        let folder = normalise("/", folder);
        self.check_folder(&folder)?;
        let layer = self.device(name).await?;
        let read_only = read_only || layer.disk.info().read_only;
        let holder = format!("{MOUNT}{folder}");
        let claim = Claim::take(&self.claims, &holder, layer.claims(), !read_only).map_err(|error| StorageError::about(&target, error))?;
        let volume = Volume::open(layer.disk, self.memory.clone(), &folder).await.map_err(|error| StorageError::about(&target, error))?;
        if let (Some(why), false) = (volume.superblock().unclean, read_only) {
            let message = format!(
                "the file system was not left in order: {why}; mount it once in a guest, which repairs it, or look at it as it is with mount -r"
            );
            return Err(StorageError::about(&target, message));
        }
        // Somebody may have been quicker.
        self.check_folder(&folder)?;
        let number = self.mounted.replace(self.mounted.get() + 1);
        let (source, volume) = (target.path, Rc::new(volume));
        let mount = Mount { number, device: layer.device, source, folder, read_only, volume, _claim: claim };
        let mounted = mount.listed();
        self.mounts.borrow_mut().push(Rc::new(mount));
        Ok(mounted)
    }

    fn check_folder(&self, folder: &str) -> Result<()> {
        if folder == "/" || format!("{folder}/").starts_with(DEVICES) {
            return Err(StorageError::about(folder, "nothing can be mounted there; take a folder such as /mnt"));
        }
        let taken = self.mounts.borrow().iter().find(|mount| mount.folder == folder).map(|mount| mount.source.clone());
        taken.map_or(Ok(()), |source| {
            Err(StorageError::about(folder, format!("{source} is mounted there already; take another folder, or umount {folder} first")))
        })
    }

    /// Ends what [`Storage::mount`] began; by the folder or the disk.
    ///
    /// # Errors
    /// When nothing is mounted there, and when files on it are in use.
    pub fn umount(&self, name: &str) -> Result<()> {
        let path = normalise("/", name);
        let mut mounts = self.mounts.borrow_mut();
        let found = mounts.iter().position(|mount| mount.folder == path || mount.source == path);
        let at = found.ok_or_else(|| StorageError::about(&path, "nothing is mounted there; `mount` lists what is mounted where"))?;
        if let Some(mount) = mounts.get(at) {
            let claims = self.claims.borrow();
            let users: Vec<String> = claims.holders(&layer::files(mount)).map(|(holder, _)| holder.to_string()).collect();
            if !users.is_empty() {
                let message = format!("files on it are in use by {}; detach them first", users.join(", "));
                return Err(StorageError::about(path, message));
            }
        }
        let mount = mounts.remove(at);
        // Its claim ends with it, which asks for nothing that is borrowed here.
        drop(mounts);
        drop(mount);
        Ok(())
    }

    /// What is mounted where, in the order of mounting.
    pub fn mounts(&self) -> Vec<Mounted> {
        self.mounts.borrow().iter().map(|mount| mount.listed()).collect()
    }

    /// The volume that a path of Dom0's tree leads to, and the rest of the path within it.
    pub fn locate(&self, path: &str) -> Option<(Rc<Volume>, String)> {
        self.locate_mount(path).map(|(mount, rest)| (mount.volume.clone(), rest))
    }

    pub(super) fn locate_mount(&self, path: &str) -> Option<(Rc<Mount>, String)> {
        let path = normalise("/", path);
        let mounts = self.mounts.borrow();
        let rests = mounts.iter().filter_map(|mount| {
            let rest = path.strip_prefix(&mount.folder)?;
            (rest.is_empty() || rest.starts_with('/')).then_some((mount, rest))
        });
        // The innermost counts.
        let (mount, rest) = rests.max_by_key(|(mount, _)| mount.folder.len())?;
        Some((mount.clone(), rest.to_string()))
    }

    /// Opens a file for reading what it holds, without claiming it: for `cat` and kernels.
    ///
    /// # Errors
    /// When it is none.
    pub async fn look(&self, target: &Target) -> Result<(crate::block::SharedDisk, u64)> {
        let layer = self.layer(target, Access::Read).await?;
        let bytes = match &layer.mount {
            Some(_) => {
                let (volume, path) = self.locate(&target.path).ok_or_else(|| StorageError::about(target, "it was unmounted"))?;
                volume.find(&path).await.map_err(|error| StorageError::new(error.to_string()))?.bytes
            }
            None => layer.disk.info().bytes,
        };
        Ok((layer.disk, bytes))
    }
}

impl Mount {
    fn listed(&self) -> Mounted {
        Mounted { source: self.source.clone(), folder: self.folder.clone(), read_only: self.read_only }
    }
}
