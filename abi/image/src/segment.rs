//! One program header, and what of it matters for loading. Segments are placed by `p_paddr`: Linux's per-CPU segment has `p_vaddr` 0.

use crate::error::ImageError;
use crate::source::{u32_at, u64_at};

/// `p_type` of a segment to load.
pub const PT_LOAD: u32 = 1;
/// `p_type` of a segment that holds notes.
pub const PT_NOTE: u32 = 4;

/// A program header as it stands in the file. All addresses and sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Position in the table of program headers.
    pub index: u16,
    /// `p_type`.
    pub kind: u32,
    /// `p_offset`: where its bytes begin in the file.
    pub offset: u64,
    /// `p_vaddr`.
    pub vaddr: u64,
    /// `p_paddr`.
    pub paddr: u64,
    /// `p_filesz`: bytes in the file.
    pub file_bytes: u64,
    /// `p_memsz`: bytes in memory; those beyond `file_bytes` are zero.
    pub memory_bytes: u64,
}

impl Segment {
    pub(crate) fn read(header: &[u8], index: u16) -> Option<Self> {
        Some(Self {
            index,
            kind: u32_at(header, 0)?,
            offset: u64_at(header, 8)?,
            vaddr: u64_at(header, 16)?,
            paddr: u64_at(header, 24)?,
            file_bytes: u64_at(header, 32)?,
            memory_bytes: u64_at(header, 40)?,
        })
    }

    pub(crate) fn check(&self) -> Result<(), ImageError> {
        if self.kind != PT_LOAD {
            return Ok(());
        }
        if self.file_bytes > self.memory_bytes {
            return Err(ImageError::SegmentFileLargerThanMemory(self.index));
        }
        let sums = [(self.offset, self.file_bytes), (self.paddr, self.memory_bytes), (self.vaddr, self.memory_bytes)];
        if sums.iter().any(|(start, bytes)| start.checked_add(*bytes).is_none()) {
            return Err(ImageError::SegmentWraps(self.index));
        }
        Ok(())
    }

    pub(crate) fn as_load(&self) -> Option<Load> {
        (self.kind == PT_LOAD && self.memory_bytes > 0).then_some(Load {
            index: self.index,
            offset: self.offset,
            paddr: self.paddr,
            file_bytes: self.file_bytes,
            memory_bytes: self.memory_bytes,
        })
    }
}

/// A segment to load, with sums that were checked not to wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Position in the table of program headers.
    pub index: u16,
    /// Where its bytes begin in the file.
    pub offset: u64,
    /// Where they go, as `p_paddr` has it.
    pub paddr: u64,
    /// Bytes in the file.
    pub file_bytes: u64,
    /// Bytes in memory; those beyond `file_bytes` are zero.
    pub memory_bytes: u64,
}

impl Load {
    /// The first file offset behind the segment's bytes.
    pub fn file_end(&self) -> u64 {
        self.offset.saturating_add(self.file_bytes)
    }

    /// The first physical address behind the segment.
    pub fn physical_end(&self) -> u64 {
        self.paddr.saturating_add(self.memory_bytes)
    }

    /// Whether the two claim a physical address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.paddr < other.physical_end() && other.paddr < self.physical_end()
    }
}
