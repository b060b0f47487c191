//! Entries of L1 and L2 tables: what a cluster of the guest's disk is made of.

use super::geometry::Geometry;

/// What an entry refers to belongs to the active disk alone and may be written in place.
pub(super) const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// Version 3: the cluster reads as zeroes, whether it has a place or not.
pub(super) const ZERO: u64 = 1;
/// Bits of an offset in an entry of L1, L2 and of the refcount table.
pub(super) const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// Compressed data is counted in sectors.
const PACKED_SECTOR: u64 = 512;

/// An entry of an L2 table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The backing disk shows.
    Unallocated,
    /// Zeroes; it may have a place, which nothing reads.
    Zero {
        /// Offset of the place.
        place: Option<u64>,
    },
    /// An ordinary cluster.
    Data {
        /// Where it lies.
        at: u64,
        /// [`COPIED`].
        own: bool,
    },
    /// A packed cluster.
    Packed(Packed),
}

/// Where packed data lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    /// First byte; on no boundary.
    pub at: u64,
    /// At most so many bytes, so that the last sector ends with them.
    pub bytes: u64,
}

impl Entry {
    /// What a raw entry says. `None`: nothing that an image of this version can say.
    pub fn parse(raw: u64, version: u32, geometry: Geometry) -> Option<Self> {
        if raw & COMPRESSED != 0 {
            return Some(Self::Packed(packed(raw, geometry.cluster_bits)));
        }
        let at = raw & OFFSET;
        if geometry.within(at) != 0 {
            return None;
        }
        match (raw & ZERO != 0, at) {
            (true, _) if version < 3 => None,
            (true, 0) => Some(Self::Zero { place: None }),
            (true, at) => Some(Self::Zero { place: Some(at) }),
            (false, 0) => Some(Self::Unallocated),
            (false, at) => Some(Self::Data { at, own: raw & COPIED != 0 }),
        }
    }

    /// The clusters that it refers to: the first one's index, how many.
    pub fn clusters(self, geometry: Geometry) -> Option<(u64, u64)> {
        match self {
            Self::Unallocated | Self::Zero { place: None } => None,
            Self::Zero { place: Some(at) } | Self::Data { at, .. } => Some((geometry.index(at), 1)),
            Self::Packed(Packed { at, bytes }) => {
                let first = geometry.index(at);
                Some((first, geometry.index(at + bytes - 1) - first + 1))
            }
        }
    }
}

/// The two numbers share 62 bits: the larger the clusters, the more bits for the number of further sectors.
fn packed(raw: u64, cluster_bits: u32) -> Packed {
    let offset_bits = 62 - (cluster_bits - 8);
    let at = raw & ((1 << offset_bits) - 1);
    let sectors = (raw & (COMPRESSED - 1)) >> offset_bits;
    Packed { at, bytes: (sectors + 1) * PACKED_SECTOR - at % PACKED_SECTOR }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_say_what_the_format_says() {
        let geometry = Geometry { cluster_bits: 16, refcount_order: 4 };
        let parse = |raw, version| Entry::parse(raw, version, geometry);
        assert_eq!(parse(0, 3), Some(Entry::Unallocated));
        assert_eq!(parse(COPIED | 0x50000, 2), Some(Entry::Data { at: 0x50000, own: true }));
        assert_eq!(parse(0x50001, 3), Some(Entry::Zero { place: Some(0x50000) }));
        assert_eq!(parse(1, 2), None);
        assert_eq!(parse(0x50200, 3), None);
        // 8 bits for sectors, 54 for the offset.
        let raw = COMPRESSED | 2 << 54 | 0x5_0210;
        let packed = Packed { at: 0x5_0210, bytes: 3 * 512 - 0x10 };
        assert_eq!(parse(raw, 2), Some(Entry::Packed(packed)));
        assert_eq!(Entry::Packed(packed).clusters(geometry), Some((5, 1)));
        assert_eq!(Entry::Packed(Packed { at: 0x5_fff0, bytes: 500 }).clusters(geometry), Some((5, 2)));
    }
}
