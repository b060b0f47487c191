//! How much room a qcow2 image may come to need. The file grows as the image fills, and a disk of the machine does not: so the file is given
//! the room beforehand, which costs nothing as long as nothing is written there. qcow2 allows for it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result};

/// Bytes of the header that are looked at.
const HEADER: usize = 32;
/// The most that the tables can take for each cluster: an extended L2 entry of 16 bytes, and a reference count of 8.
const TABLES_PER_CLUSTER: u64 = 24;
/// For the header, the first-level tables and what is rounded up.
const SLACK: u64 = 64 << 20;

/// The room that the file needs if it is a qcow2 image: for every cluster twice, once in a snapshot and once changed since, with their
/// tables. A multiple of 512. `None` if it is none.
///
/// # Errors
/// When the file cannot be read.
pub fn room(path: &Path) -> Result<Option<u64>> {
    let mut header = [0; HEADER];
    match File::open(path).and_then(|mut file| file.read_exact(&mut header)) {
        Ok(()) => Ok(room_of(&header)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn room_of(header: &[u8; HEADER]) -> Option<u64> {
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (version, cluster_bits) = (word(4), word(20));
    // QEMU's own limits: 512 bytes to 2 MiB.
    if !header.starts_with(b"QFI\xfb") || !matches!(version, 2 | 3) || !matches!(cluster_bits, 9..=21) {
        return None;
    }
    let size = u64::from(word(24)) << 32 | u64::from(word(28));
    let clusters = size.div_ceil(1 << cluster_bits);
    let once = clusters.checked_mul((1 << cluster_bits) + TABLES_PER_CLUSTER)?;
    once.checked_mul(2)?.checked_add(SLACK)?.checked_next_multiple_of(512)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: u32, cluster_bits: u32, size: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(b"QFI\xfb");
        header[4..8].copy_from_slice(&version.to_be_bytes());
        header[20..24].copy_from_slice(&cluster_bits.to_be_bytes());
        header[24..].copy_from_slice(&size.to_be_bytes());
        header
    }

    #[test]
    fn every_cluster_fits_twice() {
        let room = room_of(&header(3, 16, 1 << 30)).unwrap();
        assert!(room > 2 << 30 && room < (2 << 30) + (65 << 20), "{room}");
        assert!(room_of(&header(2, 9, 1001)).unwrap().is_multiple_of(512));
    }

    #[test]
    fn what_is_no_image_needs_nothing() {
        assert_eq!(room_of(&[0; HEADER]), None);
        assert_eq!(room_of(&header(1, 16, 1 << 30)), None);
        assert_eq!(room_of(&header(3, 63, 1 << 30)), None);
        assert_eq!(room_of(&header(3, 9, u64::MAX)), None);
    }
}
