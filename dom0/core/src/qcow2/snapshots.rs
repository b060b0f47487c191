//! The table of snapshots: read as if an enemy had written it, kept as it is where we do not understand it.

use alloc::string::String;
use alloc::vec::Vec;

use super::error::ImageError;
use super::header::{long, word};
use super::image::Image;
use super::inner::Inner;
use super::store::zeroes;

/// The part of an entry whose length is fixed.
const FIXED: usize = 40;
/// Bytes of extra data that we write: the size of the VM state again, the size of the disk.
const EXTRA: usize = 16;
/// Bounds on what is read. While a snapshot is taken the table is in memory twice, with its names as text, which may be three times as long.
const MAX_EXTRA: u64 = 1024;
const MAX_TABLE: u64 = 1 << 20;
/// The longest name that we give, in bytes; what is read may have 65535.
const MAX_NAME: usize = 255;

/// A snapshot inside an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// A number, as a rule; unique in the image.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was taken, in seconds since 1970.
    pub seconds: u32,
    /// The guest disk's size, in bytes.
    pub virtual_bytes: u64,
    /// Bytes of a machine's state that QEMU keeps with it; 0 if there is none.
    pub vm_state_bytes: u64,
}

/// When a snapshot is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Seconds since 1970.
    pub seconds: u32,
    /// Nanoseconds of that second.
    pub nanoseconds: u32,
    /// For how long the guest has been running, in nanoseconds.
    pub running: u64,
}

/// An entry of the table.
pub(super) struct Kept {
    raw: Vec<u8>,
    pub l1_offset: u64,
    pub l1_entries: u32,
    pub snapshot: Snapshot,
}

impl Kept {
    /// Its length in the table.
    pub fn bytes(&self) -> u64 {
        self.raw.len() as u64
    }

    /// A new one.
    pub fn new(id: u64, name: &str, taken: Taken, l1: (u64, u32), virtual_bytes: u64) -> Result<Self, ImageError> {
        let id = alloc::format!("{id}");
        let mut raw = zeroes(FIXED + EXTRA)?;
        let mut put = |at: usize, field: &[u8]| raw[at..at + field.len()].copy_from_slice(field);
        put(0, &l1.0.to_be_bytes());
        put(8, &l1.1.to_be_bytes());
        put(12, &(id.len() as u16).to_be_bytes());
        put(14, &(name.len() as u16).to_be_bytes());
        put(16, &taken.seconds.to_be_bytes());
        put(20, &taken.nanoseconds.to_be_bytes());
        put(24, &taken.running.to_be_bytes());
        put(36, &(EXTRA as u32).to_be_bytes());
        put(FIXED + 8, &virtual_bytes.to_be_bytes());
        raw.extend(id.as_bytes());
        raw.extend(name.as_bytes());
        raw.resize(raw.len().next_multiple_of(8), 0);
        let snapshot = Snapshot { id, name: name.into(), seconds: taken.seconds, virtual_bytes, vm_state_bytes: 0 };
        Ok(Self { raw, l1_offset: l1.0, l1_entries: l1.1, snapshot })
    }
}

impl Image {
    /// The snapshots in the image, in the order in which they were taken.
    ///
    /// # Errors
    /// When the table is damaged or the disk below fails.
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>, ImageError> {
        let kept = self.inner.carried(|inner| async move { inner.read_snapshots().await }).await?;
        Ok(kept.into_iter().map(|kept| kept.snapshot).collect())
    }
}

impl Inner {
    /// The table as it lies below.
    pub async fn read_snapshots(&self) -> Result<Vec<Kept>, ImageError> {
        let header = self.header.borrow().clone();
        let mut all = Vec::new();
        let mut done = 0;
        for _ in 0..header.snapshots {
            let kept = self.read_snapshot(header.snapshots_offset + done).await?;
            done += kept.bytes();
            if done > MAX_TABLE {
                return Err(ImageError::Damaged("its snapshot table has more than 1 MiB"));
            }
            all.push(kept);
        }
        Ok(all)
    }

    async fn read_snapshot(&self, at: u64) -> Result<Kept, ImageError> {
        let fixed = self.store.read(at, FIXED).await?;
        let short = |at: usize| word(&fixed, at).map(|both| (both >> 16, both & 0xffff));
        let (id_bytes, name_bytes) = short(12)?;
        let extra = u64::from(word(&fixed, 36)?);
        if extra > MAX_EXTRA {
            return Err(ImageError::Damaged("an entry of its snapshot table is too long"));
        }
        let names = FIXED + extra as usize;
        let length = (names + id_bytes as usize + name_bytes as usize).next_multiple_of(8);
        let raw = self.store.read(at, length).await?;
        let text = |from: usize, bytes: u32| {
            let text = raw.get(from..from + bytes as usize).unwrap_or(&[]);
            String::from_utf8_lossy(text).replace(char::is_control, "?")
        };
        let (l1_offset, l1_entries) = (long(&fixed, 0)?, word(&fixed, 8)?);
        let l1_bytes = u64::from(l1_entries) * 8;
        if l1_bytes > super::header::MAX_L1_BYTES {
            return Err(ImageError::Damaged("the L1 table of a snapshot is too large"));
        }
        let what = "the L1 table of a snapshot lies outside of the file";
        self.geometry.area(l1_offset, l1_bytes, self.below_bytes.get(), what)?;
        let snapshot = Snapshot {
            id: text(names, id_bytes),
            name: text(names + id_bytes as usize, name_bytes),
            seconds: word(&fixed, 16)?,
            virtual_bytes: if extra >= 16 { long(&raw, FIXED + 8)? } else { self.header.borrow().virtual_bytes },
            vm_state_bytes: if extra >= 8 { long(&raw, FIXED)? } else { word(&fixed, 32)?.into() },
        };
        Ok(Kept { raw, l1_offset, l1_entries, snapshot })
    }

    /// Puts another table in the place of the old one, with the mark for "counts may be wrong" set or not in the same write of the header. The
    /// old table is given up.
    pub async fn write_snapshots(&self, kept: &[Kept], dirty: bool) -> Result<(), ImageError> {
        let bytes: Vec<u8> = kept.iter().flat_map(|kept| kept.raw.iter().copied()).collect();
        let old_bytes: u64 = self.read_snapshots().await?.iter().map(Kept::bytes).sum();
        let at = if kept.is_empty() { 0 } else { self.write_table(&bytes).await?.0 };
        self.commit().await?;
        let old = self.header.borrow().snapshots_offset;
        let version = self.version();
        self.patch(|header| {
            header.snapshots = kept.len() as u32;
            header.snapshots_offset = at;
            if version >= 3 {
                header.set_dirty(dirty);
            }
        })
        .await?;
        if old_bytes != 0 {
            self.space.release((self.geometry.index(old), self.geometry.clusters(old_bytes)));
        }
        Ok(())
    }
}

/// A name that somebody chose.
pub(super) fn check_name(name: &str) -> Result<(), ImageError> {
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(ImageError::SnapshotName("the name of a snapshot has 1 to 255 bytes and no control characters"));
    }
    Ok(())
}

/// The snapshot of this name, or else of this number: its place in the table.
pub(super) fn find(kept: &[Kept], name: &str) -> Result<usize, ImageError> {
    let by_name = kept.iter().position(|kept| kept.snapshot.name == name);
    let found = by_name.or_else(|| kept.iter().position(|kept| kept.snapshot.id == name));
    found.ok_or_else(|| ImageError::NoSnapshot(name.into()))
}
