//! Folders: lists of names, read from the first to the last even where there is an index, whose blocks look like empty entries.

use alloc::{string::String, vec::Vec};

use super::inode::Kind;
use super::le::{half, word};
use super::{Inode, Result, Volume, VolumeError};

/// Bytes of an entry before the name.
const HEADER: usize = 8;
/// The longest folder that is read, in bytes; the most entries that are listed, and the most bytes of their names: as text they may be three times
/// as long.
const LONGEST: u64 = 64 << 20;
const MOST_ENTRIES: usize = 65_536;
const MOST_NAMES: usize = 1 << 20;

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, with a substitute for what is no text or would disturb a terminal.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes, if that was asked for.
    pub bytes: Option<u64>,
}

impl Volume {
    /// What lies in a folder, by name, without `.` and `..`.
    pub(super) async fn entries(&self, folder: &Inode, lengths: bool) -> Result<Vec<Entry>> {
        let mut found: Vec<(Vec<u8>, u32)> = Vec::new();
        let mut bytes = 0;
        let mut visit = |name: &[u8], inode| {
            if name != b"." && name != b".." {
                found.push((name.into(), inode));
                bytes += name.len();
            }
            found.len() > MOST_ENTRIES || bytes > MOST_NAMES
        };
        if self.visit(folder, &mut visit).await? {
            return Err(VolumeError::Damaged("a folder has more than 65536 entries, or 1 MiB of names"));
        }
        found.sort_unstable();
        let mut entries = Vec::new();
        for (name, number) in found {
            let inode = self.inode(number).await?;
            entries.push(Entry { name: shown(&name), kind: inode.kind, bytes: lengths.then_some(inode.bytes) });
        }
        Ok(entries)
    }

    /// The inode of a name in a folder.
    pub(super) async fn lookup(&self, folder: &Inode, name: &[u8]) -> Result<Option<u32>> {
        let mut found = None;
        let mut visit = |other: &[u8], inode| {
            found = (other == name).then_some(inode);
            found.is_some()
        };
        self.visit(folder, &mut visit).await?;
        Ok(found)
    }

    /// Calls for each entry until that says that it is enough; whether it did.
    async fn visit(&self, folder: &Inode, visit: &mut impl FnMut(&[u8], u32) -> bool) -> Result<bool> {
        if folder.bytes > LONGEST {
            return Err(VolumeError::Damaged("a folder is longer than 64 MiB"));
        }
        if let Some(how) = folder.odd() {
            return Err(VolumeError::Stored(self.shown("a folder on the way"), how));
        }
        let blocks = folder.bytes / self.superblock.block;
        for extent in self.map(folder).await?.extents.iter().filter(|extent| extent.written) {
            for index in (0..extent.count).take_while(|index| extent.first + index < blocks) {
                let block = self.block(extent.start + index).await?;
                if scan(&block, visit)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Calls for each entry of a block.
fn scan(block: &[u8], visit: &mut impl FnMut(&[u8], u32) -> bool) -> Result<bool> {
    let mut rest = block;
    while !rest.is_empty() {
        let inode = word(rest, 0);
        // In the largest blocks, the number that would not fit stands for the whole.
        let length = match half(rest, 4) {
            0 | 0xffff if block.len() == 1 << 16 => block.len(),
            length => length.into(),
        };
        let name = rest.get(6).map_or(0, |length| usize::from(*length));
        let (Some(entry), true) = (rest.get(..length), length >= HEADER && length.is_multiple_of(4)) else {
            return Err(VolumeError::Damaged("the entries of a folder make no sense"));
        };
        if inode != 0 {
            let name = entry.get(HEADER..HEADER + name).ok_or(VolumeError::Damaged("a name in a folder is cut short"))?;
            if visit(name, inode) {
                return Ok(true);
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(false)
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
