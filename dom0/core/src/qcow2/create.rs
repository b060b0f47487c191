//! Making an image, of version 3 with reference counts of 16 bits, as `qemu-img create` does.

use alloc::string::String;
use alloc::vec::Vec;

use super::error::ImageError;
use super::geometry::Geometry;
use super::header::{LENGTH_3, MAGIC};
use super::refcounts::set;
use super::store::{Store, zeroes};
use crate::block::{SharedDisk, SharedMemory};

/// The cluster size that fits most uses: 64 KiB.
pub const USUAL_CLUSTER_BITS: u32 = 16;
const BACKING_FORMAT: u32 = 0xe279_2aca;
const MAX_NAME: usize = 1023;
const REFCOUNT_ORDER: u32 = 4;

/// What a new image is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct New {
    /// Size of the guest's disk, in bytes.
    pub virtual_bytes: u64,
    /// log2 of the cluster size: 9 to 21.
    pub cluster_bits: u32,
    /// Name and format of the backing file. The name is taken as it is.
    pub backing: Option<(String, String)>,
}

/// Makes an image on `below`, in place of whatever is there. Only metadata is written: clusters are taken when they are needed, and what
/// lies below may be smaller than the guest's disk.
///
/// # Errors
/// When a size is out of range, a name is too long, or there is no room for the tables.
pub async fn create(below: &SharedDisk, memory: &SharedMemory, new: &New) -> Result<(), ImageError> {
    let store = Store { below: below.clone(), memory: memory.clone() };
    let plan = Plan::new(new, &store)?;
    let header = plan.header(new)?;
    // As long as the header is incomplete, nobody takes this for an image.
    store.write_zeroes(0, plan.geometry.cluster()).await?;
    store.below.flush().await?;
    store.write(plan.at(plan.table), &plan.refcount_table()?).await?;
    for index in 0..plan.blocks {
        store.write(plan.at(plan.block + index), &plan.refcount_block(index)?).await?;
    }
    store.write_zeroes(plan.at(plan.l1), plan.at(plan.l1_clusters)).await?;
    store.below.flush().await?;
    store.write(0, &header).await?;
    store.below.flush().await?;
    Ok(())
}

/// Where everything lies, in clusters: the header, the refcount table, its blocks, the L1 table.
struct Plan {
    geometry: Geometry,
    table: u64,
    table_clusters: u64,
    block: u64,
    blocks: u64,
    l1: u64,
    l1_clusters: u64,
    l1_entries: u64,
}

impl Plan {
    fn new(new: &New, store: &Store) -> Result<Self, ImageError> {
        if !(9..=21).contains(&new.cluster_bits) {
            return Err(ImageError::Size("a cluster has 512 bytes to 2 MiB, a power of two"));
        }
        let geometry = Geometry { cluster_bits: new.cluster_bits, refcount_order: REFCOUNT_ORDER };
        if geometry.cluster() < store.block() {
            return Err(ImageError::Size("a cluster must not be smaller than a block of the disk below"));
        }
        if new.virtual_bytes == 0 || new.virtual_bytes > geometry.max_virtual_bytes() {
            return Err(ImageError::Size("the disk must have one byte at least; with clusters of 64 KiB, 2 PiB at most"));
        }
        let there = store.below.info().bytes;
        let l1_entries = geometry.l1_entries(new.virtual_bytes);
        let l1_clusters = geometry.clusters(l1_entries * 8);
        // The table counts all that is there now; a file that grows later gets a larger one.
        let table_clusters = geometry.clusters(geometry.index(there).div_ceil(geometry.block_entries()) * 8).max(1);
        let mut blocks = 1;
        while blocks * geometry.block_entries() < 1 + table_clusters + blocks + l1_clusters {
            blocks += 1;
        }
        let (table, block) = (1, 1 + table_clusters);
        let l1 = block + blocks;
        let plan = Self { geometry, table, table_clusters, block, blocks, l1, l1_clusters, l1_entries };
        let needed = plan.at(plan.used());
        if needed > there { Err(ImageError::TooSmall { there, needed }) } else { Ok(plan) }
    }

    fn at(&self, cluster: u64) -> u64 {
        cluster << self.geometry.cluster_bits
    }

    /// Clusters that are in use.
    fn used(&self) -> u64 {
        self.l1 + self.l1_clusters
    }

    fn refcount_table(&self) -> Result<Vec<u8>, ImageError> {
        let mut table = zeroes(self.at(self.table_clusters) as usize)?;
        for (entry, index) in table.chunks_exact_mut(8).zip(0..self.blocks) {
            entry.copy_from_slice(&self.at(self.block + index).to_be_bytes());
        }
        Ok(table)
    }

    fn refcount_block(&self, index: u64) -> Result<Vec<u8>, ImageError> {
        let mut block = zeroes(self.geometry.cluster() as usize)?;
        let entries = self.geometry.block_entries();
        let used = self.used().saturating_sub(index * entries).min(entries);
        (0..used).for_each(|index| set(&mut block, index << REFCOUNT_ORDER, REFCOUNT_ORDER, 1));
        Ok(block)
    }

    /// The first cluster: header, extensions, the backing file's name.
    fn header(&self, new: &New) -> Result<Vec<u8>, ImageError> {
        let mut bytes = zeroes(LENGTH_3)?;
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        put(4, &3u32.to_be_bytes());
        put(20, &new.cluster_bits.to_be_bytes());
        put(24, &new.virtual_bytes.to_be_bytes());
        put(36, &(self.l1_entries as u32).to_be_bytes());
        put(40, &self.at(self.l1).to_be_bytes());
        put(48, &self.at(self.table).to_be_bytes());
        put(56, &(self.table_clusters as u32).to_be_bytes());
        put(96, &REFCOUNT_ORDER.to_be_bytes());
        put(100, &(LENGTH_3 as u32).to_be_bytes());
        if let Some((name, format)) = &new.backing {
            if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
                return Err(ImageError::Size("the name of a backing file has 1 to 1023 bytes and no control characters"));
            }
            bytes.extend(BACKING_FORMAT.to_be_bytes());
            bytes.extend((format.len() as u32).to_be_bytes());
            bytes.extend(format.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(8) + 8, 0);
            let at = bytes.len() as u64;
            bytes[8..16].copy_from_slice(&at.to_be_bytes());
            bytes[16..20].copy_from_slice(&(name.len() as u32).to_be_bytes());
            bytes.extend(name.as_bytes());
        } else {
            bytes.resize(bytes.len() + 8, 0);
        }
        if bytes.len() as u64 > self.geometry.cluster() {
            return Err(ImageError::Size("the name of the backing file does not fit the first cluster: use larger clusters"));
        }
        bytes.resize(self.geometry.cluster() as usize, 0);
        Ok(bytes)
    }
}
