//! From a path to the bytes behind it: a device, a partition or a file, before anybody looks at what they mean.

use alloc::{format, rc::Rc, string::String, vec, vec::Vec};

use super::claims::Range;
use super::mount::Mount;
use super::{Access, DEVICES, Physical, ReadOnly, Result, Storage, StorageError, Target};
use crate::block::SharedDisk;
use crate::partitions::{self, Slice};

/// Volumes have numbers of their own among those of physical disks, for claims: a file is a "byte" of its volume, at its inode's number.
const VOLUMES: u32 = 1 << 31;
/// And the blocks of files are bytes of a volume at these numbers: whoever made the volume may have given two files the same.
const BLOCKS: u32 = 1 << 30;

/// What a path leads to.
pub struct Layer {
    /// What is claimed by whoever uses it, and tells it from others.
    pub range: Range,
    /// What is claimed besides: the blocks of a file.
    pub blocks: Vec<Range>,
    /// Its bytes.
    pub disk: SharedDisk,
    /// The physical disk below.
    pub device: u32,
    /// The volume that it lies on, if it is a file.
    pub mount: Option<Rc<Mount>>,
}

impl Layer {
    /// All that is claimed by whoever uses it.
    pub fn claims(&self) -> Vec<Range> {
        let mut all = self.blocks.clone();
        all.push(self.range);
        all
    }
}

impl Storage {
    /// Finds a target's bytes. The caller claims them.
    pub(super) async fn layer(&self, target: &Target, access: Access) -> Result<Layer> {
        let layer = match target.device() {
            Some(name) => self.device(name).await?,
            None => self.file(target, access).await?,
        };
        if !access.writes() {
            return Ok(Layer { disk: Rc::new(ReadOnly(layer.disk)), ..layer });
        }
        if layer.disk.info().read_only {
            return Err(StorageError::about(target, "it can only be read; use it read-only (`r` in place of `w`)"));
        }
        Ok(layer)
    }

    /// A disk or a partition, by what stands behind `/dev/`.
    pub(super) async fn device(&self, name: &str) -> Result<Layer> {
        let disks = self.physical();
        if let Some(Physical { number, disk, .. }) = disks.iter().find(|disk| disk.name == name) {
            return Ok(Layer { range: Range::whole(*number), blocks: vec![], disk: disk.clone(), device: *number, mount: None });
        }
        let parts = disks.iter().find_map(|disk| Some((disk, name.strip_prefix(&disk.name)?.parse::<u32>().ok()?)));
        let Some((physical, number)) = parts else {
            return Err(StorageError::new(format!("there is no disk {DEVICES}{name}: the machine has {}", known(&disks))));
        };
        let about = |message: &dyn core::fmt::Display| StorageError::about(format!("{DEVICES}{name}"), message);
        let table = partitions::read(&*physical.disk, &*self.memory).await.map_err(|error| about(&error))?;
        let found = table.iter().flat_map(|table| &table.partitions).find(|partition| partition.number == number);
        let found = found.ok_or_else(|| about(&format!("{DEVICES}{} has no partition {number}; `lsblk` lists them", physical.name)))?;
        let disk = Slice::new(physical.disk.clone(), found.start, found.bytes).map_err(|error| about(&error))?;
        let range = Range { device: physical.number, from: found.start, to: found.start + found.bytes };
        Ok(Layer { range, blocks: vec![], disk: Rc::new(disk), device: physical.number, mount: None })
    }

    async fn file(&self, target: &Target, access: Access) -> Result<Layer> {
        let Some((mount, path)) = self.locate_mount(&target.path) else {
            let message = "not on a mounted volume; `mount DISK FOLDER` mounts one (files of Dom0's own archive are no disks)";
            return Err(StorageError::about(target, message));
        };
        if access.writes() && mount.read_only {
            let message = format!("the volume at {} is mounted read-only; use the file read-only (`r`), or mount it again", mount.folder);
            return Err(StorageError::about(target, message));
        }
        let file = async {
            let inode = mount.volume.find(&path).await?;
            Ok((inode.number, mount.volume.file(&path, &inode, access.writes()).await?))
        };
        let (inode, disk) = file.await.map_err(|error: crate::ext4::VolumeError| StorageError::new(format!("{error}")))?;
        let range = Range { device: VOLUMES + mount.number, from: inode.into(), to: u64::from(inode) + 1 };
        let device = BLOCKS + mount.number;
        let blocks = disk.places().map(|(from, to)| Range { device, from, to }).collect();
        Ok(Layer { range, blocks, disk, device: mount.device, mount: Some(mount) })
    }
}

fn known(disks: &[Physical]) -> String {
    match disks {
        [] => "none that Dom0 drives (`lspci` lists the devices)".into(),
        [one] => format!("{DEVICES}{}", one.name),
        [first, .., last] => format!("{DEVICES}{} to {DEVICES}{}", first.name, last.name),
    }
}

/// All files of a volume.
pub fn files(mount: &Mount) -> Range {
    Range::whole(VOLUMES + mount.number)
}
