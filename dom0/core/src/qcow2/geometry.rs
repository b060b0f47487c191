//! Arithmetic of an image: how many entries a table has, and which of them describes a byte. All sizes are powers of two, and requests of guests
//! come by here: so it shifts and never divides.

use super::error::ImageError;
use super::header::MAX_L1_BYTES;

/// The sizes that everything else is computed from; checked by the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// log2 of the cluster size: 9 to 21.
    pub cluster_bits: u32,
    /// log2 of the width of a reference count in bits: 0 to 6.
    pub refcount_order: u32,
}

impl Geometry {
    /// Bytes of a cluster.
    pub const fn cluster(self) -> u64 {
        1 << self.cluster_bits
    }

    /// Entries of an L2 table.
    pub const fn l2_entries(self) -> u64 {
        self.cluster() / 8
    }

    /// Reference counts in a refcount block.
    pub const fn block_entries(self) -> u64 {
        (self.cluster() * 8) >> self.refcount_order
    }

    /// The highest reference count that can be stored.
    pub const fn max_refcount(self) -> u64 {
        u64::MAX >> (64 - (1 << self.refcount_order))
    }

    /// The cluster in which a byte lies.
    pub const fn index(self, offset: u64) -> u64 {
        offset >> self.cluster_bits
    }

    /// The position of a byte in its cluster.
    pub const fn within(self, offset: u64) -> u64 {
        offset & (self.cluster() - 1)
    }

    /// How many clusters bytes take.
    pub const fn clusters(self, bytes: u64) -> u64 {
        self.index(bytes) + (self.within(bytes) != 0) as u64
    }

    /// Entries that an L1 table needs for a disk of so many bytes.
    pub const fn l1_entries(self, virtual_bytes: u64) -> u64 {
        (self.clusters(virtual_bytes) + self.l2_entries() - 1) >> (self.cluster_bits - 3)
    }

    /// The entry of the L1 table for a byte.
    pub const fn l1_index(self, offset: u64) -> u64 {
        self.index(offset) >> (self.cluster_bits - 3)
    }

    /// The entry of its L2 table for a byte.
    pub const fn l2_index(self, offset: u64) -> u64 {
        self.index(offset) & (self.l2_entries() - 1)
    }

    /// Bytes that an L2 table describes.
    pub const fn reach(self) -> u64 {
        self.l2_entries() << self.cluster_bits
    }

    /// The largest disk that an L1 table can describe. (QEMU's bound; 2^61 at most.)
    pub const fn max_virtual_bytes(self) -> u64 {
        (MAX_L1_BYTES / 8 * self.l2_entries()) << self.cluster_bits
    }

    /// Whether an area starts on a cluster and begins and ends in what lies below. The last cluster may be cut short there.
    pub fn area(self, offset: u64, bytes: u64, below_bytes: u64, what: &'static str) -> Result<(), ImageError> {
        if bytes == 0 {
            return Ok(());
        }
        let end = offset.checked_add(bytes).filter(|end| *end <= self.clusters(below_bytes) << self.cluster_bits);
        if offset == 0 || self.within(offset) != 0 || end.is_none() {
            return Err(ImageError::Damaged(what));
        }
        Ok(())
    }
}
