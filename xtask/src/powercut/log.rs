//! What a disk was told, in order: the log that QEMU's `blklogwrites` keeps, in the format of Linux's dm-log-writes.
//!
//! The format: sector 0 holds magic, version, number of entries (u64 each) and the size of a sector (u32), little-endian. Then come the
//! entries, each a sector of its own with first sector, number of sectors, flags and 0 (u64 each), and behind it what was written. An entry stands
//! where it stands because its request was *completed* then.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Sectors are what QEMU makes them if it is told nothing else, in bytes.
pub const SECTOR: u64 = 512;
const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;
/// No write is longer, in bytes: what claims to be is none.
const LONGEST: u64 = 256 << 20;

/// One request that the disk completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `length` bytes from `offset` of the disk on; they stand at `data` of the log.
    Write {
        /// Bytes from the disk's start.
        offset: u64,
        /// Bytes.
        length: u64,
        /// Bytes from the log's start.
        data: u64,
    },
    /// `length` bytes from `offset` on hold nothing any more.
    Discard {
        /// Bytes from the disk's start.
        offset: u64,
        /// Bytes.
        length: u64,
    },
    /// What was completed before outlives the power.
    Flush,
}

/// The whole log.
#[derive(Debug)]
pub struct Log {
    file: File,
    /// In order.
    pub entries: Vec<Entry>,
    /// What the disk writes whole or not at all when its power fails, in bytes: so many from a multiple of them on.
    pub atom: u64,
}

impl Log {
    /// Reads it. QEMU may have been killed over it: what is incomplete at the end is passed over.
    ///
    /// # Errors
    /// When it cannot be read or is none.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read the log {}", path.display()))?;
        let end = file.metadata()?.len();
        let mut head = [0; 32];
        file.read_exact_at(&mut head, 0).context("the log has no beginning")?;
        ensure!(word(&head, 0) == MAGIC && word(&head, 1) == VERSION, "{} is no log of writes", path.display());
        ensure!(word(&head, 3) & 0xffff_ffff == SECTOR, "the log counts in sectors of another size than {SECTOR}");
        let mut log = Self { file, entries: Vec::new(), atom: SECTOR };
        log.read(end)?;
        let claimed = word(&head, 2);
        ensure!(log.entries.len() as u64 >= claimed, "the log has {} entries and claims {claimed}", log.entries.len());
        Ok(log)
    }

    /// Makes it that of a disk which acknowledges flushes and does only one of so many. Such a disk loses what was promised: who looks for that
    /// must find it out.
    pub fn lie(&mut self, one_of: usize) {
        let mut flushes = 0;
        self.entries.retain(|&entry| {
            flushes += usize::from(entry == Entry::Flush);
            entry != Entry::Flush || flushes % one_of == 0
        });
    }

    fn read(&mut self, end: u64) -> Result<()> {
        let mut at = SECTOR;
        while at + SECTOR <= end {
            let mut head = [0; 32];
            self.file.read_exact_at(&mut head, at)?;
            let (offset, length, flags) = (word(&head, 0) * SECTOR, word(&head, 1) * SECTOR, word(&head, 2));
            ensure!(flags & !(FLUSH | DISCARD) == 0 && length <= LONGEST, "entry {} of the log makes no sense", self.entries.len());
            at += SECTOR;
            let entry = match (flags & FLUSH != 0, flags & DISCARD != 0) {
                (true, _) => Entry::Flush,
                (false, true) => Entry::Discard { offset, length },
                // All zeroes: nothing was written here.
                (false, false) if length == 0 => break,
                (false, false) => Entry::Write { offset, length, data: at },
            };
            if matches!(entry, Entry::Write { .. }) {
                at += length;
                if at > end {
                    break;
                }
            }
            self.entries.push(entry);
        }
        Ok(())
    }

    /// What an entry leaves on the disk, and where; nothing for a flush. A discard leaves zeroes.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn bytes(&self, entry: Entry) -> Result<Option<(u64, Vec<u8>)>> {
        Ok(match entry {
            Entry::Flush => None,
            Entry::Discard { offset, length } => Some((offset, vec![0; usize::try_from(length)?])),
            Entry::Write { offset, length, data } => {
                let mut bytes = vec![0; usize::try_from(length)?];
                self.file.read_exact_at(&mut bytes, data)?;
                Some((offset, bytes))
            }
        })
    }
}

fn word(head: &[u8; 32], index: usize) -> u64 {
    let (words, _) = head.as_chunks::<8>();
    words.get(index).map_or(0, |word| u64::from_le_bytes(*word))
}
