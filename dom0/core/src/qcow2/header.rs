//! The header: what an image is, and where its tables lie. It may come from anybody, so every number is checked before it is believed.
//!
//! Reading it is a step of its own, because whoever opens an image has to find the backing file first, and the header names it.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::error::ImageError;
use super::extensions::{self, Extensions};
use super::geometry::Geometry;
use super::store::Store;
use crate::block::{Disk, Memory};

/// The first four bytes of every image.
pub const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Length of a header of version 2, and the least of version 3.
const LENGTH_2: usize = 72;
pub(super) const LENGTH_3: usize = 104;
/// QEMU's limits on the L1 table and on the refcount table, in bytes: they bound what opening an image can cost.
pub(super) const MAX_L1_BYTES: u64 = 32 << 20;
pub(super) const MAX_REFCOUNT_TABLE_BYTES: u64 = 8 << 20;
/// QEMU's limit on the number of snapshots.
pub(super) const MAX_SNAPSHOTS: u32 = 65536;
/// The longest name of a backing file, in bytes.
const MAX_NAME: u32 = 1023;
/// The part of the first cluster that is read: extensions and names lie in it in every image that QEMU makes (their own limit is a cluster).
const READ_BYTES: usize = 64 << 10;

/// Bits of `incompatible`.
pub(super) const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const COMPRESSION: u64 = 1 << 3;

/// Names of incompatible bits that images have and this code does not, for those whose feature name table is missing.
const NOT_OFFERED: [(u32, &str); 2] = [(2, "external data file"), (4, "extended L2 entries")];

/// What an image says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// log2 of the cluster size in bytes: 9 to 21.
    pub cluster_bits: u32,
    /// Size of the disk that the guest sees, in bytes.
    pub virtual_bytes: u64,
    /// What shows where nothing was written.
    pub backing: Option<Backing>,
    /// log2 of the width of a reference count in bits: 0 to 6.
    pub refcount_order: u32,
    /// How compressed clusters are packed.
    pub compression: Compression,
    /// Reference counts may be wrong: they are rebuilt when the image is opened for writing.
    pub dirty: bool,
    /// Anything may be wrong: the image may only be read.
    pub corrupt: bool,
    /// Number of internal snapshots.
    pub snapshots: u32,
    pub(super) l1_entries: u32,
    pub(super) l1_offset: u64,
    pub(super) refcount_table_offset: u64,
    pub(super) refcount_table_clusters: u32,
    pub(super) snapshots_offset: u64,
    pub(super) incompatible: u64,
    pub(super) autoclear: u64,
}

/// The backing file as the header names it. What the name means is for the caller to decide, and whether it may be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backing {
    /// A path, relative to the image as a rule; or anything else.
    pub name: String,
    /// `raw`, `qcow2`, ...; none in old images. An unknown format must not be guessed from contents that a guest could write.
    pub format: Option<String>,
}

/// How compressed clusters are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Deflate, without a header.
    Deflate,
    /// Zstandard frames.
    Zstd,
}

impl Header {
    /// Reads and checks the header of the image that lies on `below`.
    ///
    /// # Errors
    /// When it is none, when it is damaged, and when it needs what is not offered.
    pub async fn read(below: &dyn Disk, memory: &dyn Memory) -> Result<Self, ImageError> {
        let bytes = (READ_BYTES as u64).min(below.info().bytes);
        let start = Store::read_from(below, memory, 0, bytes as usize).await?;
        Self::parse(&start, below.info().bytes)
    }

    /// The header in the image's first bytes (64 KiB of them, or all that there are); the image lies on a disk of so many bytes.
    ///
    /// # Errors
    /// As for [`Header::read`].
    pub fn parse(start: &[u8], below_bytes: u64) -> Result<Self, ImageError> {
        if start.get(..4) != Some(&MAGIC) {
            return Err(ImageError::NotQcow2);
        }
        let version = word(start, 4)?;
        let length = match version {
            2 => LENGTH_2,
            3 => word(start, 100)? as usize,
            other => return Err(ImageError::Version(other)),
        };
        let cluster_bits = word(start, 20)?;
        if !(9..=21).contains(&cluster_bits) {
            return Err(ImageError::Damaged("its cluster size is not between 512 bytes and 2 MiB"));
        }
        let first_cluster = start.get(..start.len().min(1 << cluster_bits)).unwrap_or(start);
        if version == 3 && (length < LENGTH_3 || !length.is_multiple_of(8) || length > first_cluster.len()) {
            return Err(ImageError::Damaged("its header's length is impossible"));
        }
        let incompatible = if version == 3 { long(start, 72)? } else { 0 };
        let extensions = extensions::parse(first_cluster, length, &|bit| incompatible & (1 << bit) != 0)?;
        let compression = features(incompatible, start, length, &extensions)?;
        let header = Self {
            version,
            cluster_bits,
            virtual_bytes: long(start, 24)?,
            backing: backing(start, first_cluster, extensions)?,
            refcount_order: if version == 3 { word(start, 96)? } else { 4 },
            compression,
            dirty: incompatible & DIRTY != 0,
            corrupt: incompatible & CORRUPT != 0,
            snapshots: word(start, 60)?,
            l1_entries: word(start, 36)?,
            l1_offset: long(start, 40)?,
            refcount_table_offset: long(start, 48)?,
            refcount_table_clusters: word(start, 56)?,
            snapshots_offset: long(start, 64)?,
            incompatible,
            autoclear: if version == 3 { long(start, 88)? } else { 0 },
        };
        if word(start, 32)? != 0 {
            return Err(ImageError::Feature("encryption".to_owned()));
        }
        header.check(below_bytes)?;
        Ok(header)
    }

    pub(super) fn set_dirty(&mut self, dirty: bool) {
        self.dirty = dirty;
        self.incompatible = if dirty { self.incompatible | DIRTY } else { self.incompatible & !DIRTY };
    }

    /// The sizes that everything else is computed from.
    pub(super) fn geometry(&self) -> Geometry {
        Geometry { cluster_bits: self.cluster_bits, refcount_order: self.refcount_order }
    }

    fn check(&self, below_bytes: u64) -> Result<(), ImageError> {
        if self.refcount_order > 6 {
            return Err(ImageError::Damaged("its reference counts are wider than 64 bits"));
        }
        let geometry = self.geometry();
        if self.virtual_bytes > geometry.max_virtual_bytes() {
            return Err(ImageError::Damaged("its disk is larger than its tables could ever describe"));
        }
        if u64::from(self.l1_entries) * 8 > MAX_L1_BYTES || u64::from(self.l1_entries) < geometry.l1_entries(self.virtual_bytes) {
            return Err(ImageError::Damaged("its L1 table does not fit its disk"));
        }
        let l1_bytes = u64::from(self.l1_entries) * 8;
        let refcount_bytes = u64::from(self.refcount_table_clusters) << self.cluster_bits;
        if refcount_bytes > MAX_REFCOUNT_TABLE_BYTES || refcount_bytes == 0 {
            return Err(ImageError::Damaged("its refcount table's size is impossible"));
        }
        if self.snapshots > MAX_SNAPSHOTS {
            return Err(ImageError::Damaged("it claims more than 65536 snapshots"));
        }
        geometry.area(self.l1_offset, l1_bytes, below_bytes, "its L1 table lies outside of the file")?;
        geometry.area(self.refcount_table_offset, refcount_bytes, below_bytes, "its refcount table lies outside of the file")?;
        let table = if self.snapshots == 0 { 0 } else { 1 };
        geometry.area(self.snapshots_offset * table, table, below_bytes, "its snapshot table lies outside of the file")
    }
}

/// Refuses what is not offered.
fn features(incompatible: u64, start: &[u8], length: usize, extensions: &Extensions) -> Result<Compression, ImageError> {
    let unknown = incompatible & !(DIRTY | CORRUPT | COMPRESSION);
    if unknown != 0 {
        let bit = unknown.trailing_zeros();
        let known = NOT_OFFERED.iter().find(|(number, _)| *number == bit).map(|(_, name)| (*name).to_owned());
        let name = known.or_else(|| extensions.feature.clone());
        return Err(ImageError::Feature(name.unwrap_or_else(|| alloc::format!("incompatible feature {bit}"))));
    }
    // A field behind the header's end counts as zero.
    let kind = if length > LENGTH_3 { start.get(LENGTH_3).copied().unwrap_or(0) } else { 0 };
    match (incompatible & COMPRESSION != 0, kind) {
        (false, 0) => Ok(Compression::Deflate),
        (true, 1) => Ok(Compression::Zstd),
        (true, 2..) => Err(ImageError::Feature(alloc::format!("compression type {kind}"))),
        _ => Err(ImageError::Damaged("its compression type contradicts its features")),
    }
}

fn backing(start: &[u8], first_cluster: &[u8], extensions: Extensions) -> Result<Option<Backing>, ImageError> {
    let (offset, length) = (long(start, 8)?, word(start, 16)?);
    if offset == 0 {
        return Ok(None);
    }
    if length == 0 || length > MAX_NAME {
        return Err(ImageError::Damaged("the name of its backing file is empty or longer than 1023 bytes"));
    }
    let end = offset.checked_add(length.into()).filter(|end| *end <= first_cluster.len() as u64);
    let name = end.and_then(|end| first_cluster.get(offset as usize..end as usize));
    let name = name.ok_or(ImageError::Damaged("the name of its backing file lies outside of its first cluster"))?;
    let name = text(name).ok_or(ImageError::Damaged("the name of its backing file is not UTF-8"))?;
    Ok(Some(Backing { name, format: extensions.backing_format }))
}

/// Text without control characters, which have no place on an operator's screen.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// A big-endian number of 32 bits.
pub(super) fn word(bytes: &[u8], at: usize) -> Result<u32, ImageError> {
    let number = bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|number| u32::from_be_bytes(*number));
    number.ok_or(ImageError::Damaged("its header is cut short"))
}

/// A big-endian number of 64 bits.
pub(super) fn long(bytes: &[u8], at: usize) -> Result<u64, ImageError> {
    let number = bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|number| u64::from_be_bytes(*number));
    number.ok_or(ImageError::Damaged("its header is cut short"))
}

/// Changes of the header of an image that is open. All of them lie in its first sector, so they become durable together or not at all.
pub(super) struct Patch(Vec<u8>);

impl Patch {
    /// `first` is the image's first block as it is on the disk.
    pub fn new(first: Vec<u8>) -> Self {
        Self(first)
    }

    /// Puts in what can change.
    pub fn apply(mut self, header: &Header) -> Result<Vec<u8>, ImageError> {
        let mut put = |at: usize, bytes: &[u8]| {
            let place = self.0.get_mut(at..at + bytes.len()).ok_or(ImageError::Damaged("its header is cut short"))?;
            place.copy_from_slice(bytes);
            Ok::<_, ImageError>(())
        };
        put(24, &header.virtual_bytes.to_be_bytes())?;
        put(36, &header.l1_entries.to_be_bytes())?;
        put(40, &header.l1_offset.to_be_bytes())?;
        put(48, &header.refcount_table_offset.to_be_bytes())?;
        put(56, &header.refcount_table_clusters.to_be_bytes())?;
        put(60, &header.snapshots.to_be_bytes())?;
        put(64, &header.snapshots_offset.to_be_bytes())?;
        if header.version == 3 {
            put(72, &header.incompatible.to_be_bytes())?;
            put(88, &header.autoclear.to_be_bytes())?;
        }
        Ok(self.0)
    }
}
