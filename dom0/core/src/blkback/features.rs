//! What the back end offers, as nodes of its folder in xenstore (`io/blkif.h`).
//!
//! Linux's front end reads the limits of rings and queues while the back end is in `InitWait`, and everything about the disk once it is
//! `Connected`. All of it is there from the first, and what follows the disk's size is written again when it grows.

use alloc::{string::String, string::ToString, vec, vec::Vec};

use abi::blkif::{INFO_CDROM, INFO_READONLY, INFO_REMOVABLE, SEGMENTS_PER_INDIRECT_PAGE};

use crate::block::{Info, SECTOR};

/// Segments of an indirect request at most: 1 MiB of data, and one page of segments.
pub const MAX_INDIRECT_SEGMENTS: u16 = 256;
const _: () = assert!(MAX_INDIRECT_SEGMENTS as usize <= SEGMENTS_PER_INDIRECT_PAGE);

/// The largest ring, as a power of two of pages: 256 requests in flight.
pub const MAX_RING_ORDER: u32 = 3;

/// Queues of a device at most.
pub const MAX_QUEUES: u32 = 4;

/// A node's name and its value.
pub type Node = (&'static str, String);

/// What the operator has said about a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The guest may not write.
    pub read_only: bool,
    /// It is a CD-ROM.
    pub cdrom: bool,
    /// It can be taken out.
    pub removable: bool,
    /// Discards are not offered, whatever the disk can.
    pub no_discard: bool,
}

/// Limits that do not depend on the disk.
pub fn limits() -> Vec<Node> {
    vec![
        ("max-ring-page-order", MAX_RING_ORDER.to_string()),
        ("multi-queue-max-queues", MAX_QUEUES.to_string()),
        ("feature-persistent", "1".into()),
        ("feature-max-indirect-segments", MAX_INDIRECT_SEGMENTS.to_string()),
        ("feature-flush-cache", "1".into()),
        ("feature-barrier", "1".into()),
    ]
}

/// What the disk is. `sectors` counts 512 bytes, whatever its block, as Linux at both ends has it.
pub fn disk(info: &Info, wanted: Wanted) -> Vec<Node> {
    let read_only = wanted.read_only || info.read_only;
    let bits = [(read_only, INFO_READONLY), (wanted.cdrom, INFO_CDROM), (wanted.removable, INFO_REMOVABLE)];
    let bits: u32 = bits.iter().map(|(set, bit)| if *set { *bit } else { 0 }).sum();
    let mut nodes = vec![
        ("sectors", (info.bytes / SECTOR).to_string()),
        ("sector-size", info.logical_block.to_string()),
        ("physical-sector-size", info.physical_block.to_string()),
        ("info", bits.to_string()),
    ];
    match info.discard.filter(|_| !read_only && !wanted.no_discard) {
        Some(granularity) => nodes.extend([
            ("feature-discard", "1".into()),
            ("discard-granularity", granularity.to_string()),
            ("discard-alignment", "0".into()),
            ("discard-secure", "0".into()),
        ]),
        None => nodes.push(("feature-discard", "0".into())),
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(nodes: &'a [Node], name: &str) -> Option<&'a str> {
        nodes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_disk_is_described() {
        let info = Info { bytes: 1 << 20, logical_block: 512, physical_block: 4096, read_only: false, discard: Some(65536) };
        let nodes = disk(&info, Wanted::default());
        assert_eq!(value(&nodes, "sectors"), Some("2048"));
        assert_eq!(value(&nodes, "physical-sector-size"), Some("4096"));
        assert_eq!((value(&nodes, "info"), value(&nodes, "feature-discard")), (Some("0"), Some("1")));
        assert_eq!(value(&nodes, "discard-granularity"), Some("65536"));
        let nodes = disk(&Info { logical_block: 4096, ..info }, Wanted { read_only: true, removable: true, ..Wanted::default() });
        assert_eq!((value(&nodes, "sectors"), value(&nodes, "sector-size")), (Some("2048"), Some("4096")));
        assert_eq!((value(&nodes, "info"), value(&nodes, "feature-discard")), (Some("6"), Some("0")));
        assert_eq!(value(&disk(&info, Wanted { no_discard: true, ..Wanted::default() }), "feature-discard"), Some("0"));
    }

    #[test]
    fn limits_are_powers_of_two_where_they_must_be() {
        let nodes = limits();
        assert_eq!(value(&nodes, "feature-max-indirect-segments"), Some("256"));
        assert!(nodes.iter().all(|(_, value)| value.parse::<u32>().is_ok()));
    }
}
