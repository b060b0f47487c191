//! What `lsblk` lists.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::claims::Range;
use super::mount::MOUNT;
use super::{DEVICES, Physical, Storage, layer};
use crate::block::{Disk, DiskError, read_bytes};
use crate::partitions::{self, Partition, Table};
use crate::{ext4, qcow2};

/// Bytes from the beginning that tell what a disk holds.
const START: usize = 2048;
/// Bytes from the beginning that are empty on an empty disk. The signs that file systems, volume managers and swap areas begin with lie within them: the
/// furthest is that of btrfs, behind 64 KiB.
const BLANK: u64 = 128 << 10;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole disk.
    Disk,
    /// A part of the disk above.
    Part,
}

/// One disk or partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What stands behind `/dev/`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes.
    pub bytes: u64,
    /// It cannot be written.
    pub read_only: bool,
    /// What it seems to hold: `gpt`, `dos`, `ext4`, `qcow2`; empty if that is not known.
    pub holds: &'static str,
    /// The name of what it holds, or of the partition.
    pub label: String,
    /// Where it is mounted.
    pub mounted: Option<String>,
    /// Who uses it, a part of it or, if it is mounted, a file on it; mounts aside.
    pub users: Vec<String>,
    /// What the operator should know.
    pub note: Option<String>,
}

impl Storage {
    /// All disks, each followed by its partitions.
    pub async fn list(&self) -> Vec<Listed> {
        let mut rows = Vec::new();
        for physical in self.physical() {
            let table = partitions::read(&*physical.disk, &*self.memory).await;
            let range = Range::whole(physical.number);
            let mut row = self.row(physical.name.clone(), Kind::Disk, &*physical.disk, range);
            match &table {
                Ok(Some(table)) => {
                    row.holds = table.scheme.name();
                    row.note = table.warning.map(ToString::to_string);
                }
                Ok(None) => self.probe(&*physical.disk, &mut row).await,
                Err(error) => row.note = Some(error.to_string()),
            }
            rows.push(row);
            if let Ok(Some(table)) = table {
                self.list_parts(&physical, &table, &mut rows).await;
            }
        }
        rows
    }

    async fn list_parts(&self, physical: &Physical, table: &Table, rows: &mut Vec<Listed>) {
        for Partition { number, start, bytes, name } in &table.partitions {
            let Ok(disk) = partitions::Slice::new(physical.disk.clone(), *start, *bytes) else { continue };
            let range = Range { device: physical.number, from: *start, to: start + bytes };
            let mut row = self.row(format!("{}{number}", physical.name), Kind::Part, &disk, range);
            self.probe(&disk, &mut row).await;
            if row.label.is_empty() {
                row.label.clone_from(name);
            }
            rows.push(row);
        }
    }

    fn row(&self, name: String, kind: Kind, disk: &dyn Disk, range: Range) -> Listed {
        let path = format!("{DEVICES}{name}");
        let mounts = self.mounts.borrow();
        let mount = mounts.iter().find(|mount| mount.source == path);
        let mounted = mount.map(|mount| mount.folder.clone());
        let ranges = [Some(range), mount.map(|mount| layer::files(mount))];
        let claims = self.claims.borrow();
        let holders = ranges.iter().flatten().flat_map(|range| claims.holders(range));
        let users = holders
            .filter(|(holder, _)| !holder.starts_with(MOUNT))
            .map(|(holder, writes)| format!("{holder}{}", if writes { "" } else { " (reads)" }))
            .collect();
        let info = disk.info();
        Listed { name, kind, bytes: info.bytes, read_only: info.read_only, holds: "", label: String::new(), mounted, users, note: None }
    }

    /// Looks at what a disk holds.
    async fn probe(&self, disk: &dyn Disk, row: &mut Listed) {
        match self.holds(disk).await {
            Ok((holds, label)) => (row.holds, row.label) = (holds, label),
            Err(error) => row.note = Some(error.to_string()),
        }
    }

    /// What would be lost if a disk were overwritten, in words; none if it looks empty.
    pub(super) async fn in_the_way(&self, disk: &dyn Disk) -> Result<Option<&'static str>, DiskError> {
        if let Ok(Some(_)) = partitions::read(disk, &*self.memory).await {
            return Ok(Some("a partition table"));
        }
        Ok(match self.holds(disk).await?.0 {
            "ext4" => Some("an ext4 volume"),
            "qcow2" => Some("a qcow2 image"),
            _ => {
                let start = read_bytes(disk, &*self.memory, 0, disk.info().bytes.min(BLANK) as usize).await?;
                start.iter().any(|&byte| byte != 0).then_some("something that is not recognised")
            }
        })
    }

    async fn holds(&self, disk: &dyn Disk) -> Result<(&'static str, String), DiskError> {
        if disk.info().bytes < START as u64 {
            return Ok(("", String::new()));
        }
        let start = read_bytes(disk, &*self.memory, 0, START).await?;
        Ok(if start.starts_with(&qcow2::MAGIC) {
            ("qcow2", String::new())
        } else if ext4::is_ext(&start) {
            ("ext4", ext4::label(&start))
        } else {
            ("", String::new())
        })
    }
}
