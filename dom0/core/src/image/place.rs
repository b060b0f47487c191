//! Which bytes of a kernel's file go where: by segment, from its offset in the file to its physical address.

use alloc::vec::Vec;

use image::Elf;
use image::segment::Load;

use super::error::UnpackError;
use super::memory::DomainMemory;

/// The segments of a kernel and the memory they go to.
pub(super) struct Place {
    loads: Vec<Load>,
    /// To be subtracted from physical addresses (PADDR_OFFSET).
    offset: u64,
    /// Bytes of the domain's memory.
    memory_bytes: u64,
}

impl Place {
    pub fn new(elf: &Elf<'_>, memory_bytes: u64) -> Self {
        Self { loads: elf.loads().collect(), offset: 0, memory_bytes }
    }

    /// From now on subtracts `offset` from physical addresses.
    pub fn set_offset(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Writes what of `piece`, at `position` of the file, belongs to segments. What has no place in memory is left out: that there is too
    /// little memory is told when the notes are known.
    pub fn write(&self, position: u64, piece: &[u8], memory: &mut impl DomainMemory) -> Result<(), UnpackError> {
        for load in &self.loads {
            let skipped = load.offset.saturating_sub(position);
            let length = load.file_end().saturating_sub(position);
            let Some(part) = part(piece, skipped, length) else {
                continue;
            };
            let behind = (position + skipped) - load.offset;
            if let Some(address) = self.address(load, behind, part.len()) {
                memory.write(address, part).map_err(UnpackError::Memory)?;
            }
        }
        Ok(())
    }

    /// Makes zero again whatever `write` may have written.
    pub fn clear(&self, memory: &mut impl DomainMemory) -> Result<(), UnpackError> {
        const ZEROES: [u8; 4096] = [0; 4096];
        for load in &self.loads {
            for behind in (0..load.file_bytes.min(self.memory_bytes)).step_by(ZEROES.len()) {
                let length = (load.file_bytes - behind).min(ZEROES.len() as u64) as usize;
                let Some(address) = self.address(load, behind, length) else {
                    break;
                };
                memory.write(address, &ZEROES[..length]).map_err(UnpackError::Memory)?;
            }
        }
        Ok(())
    }

    /// Where `length` bytes from `behind` the segment's start go, if there is memory for them.
    fn address(&self, load: &Load, behind: u64, length: usize) -> Option<u64> {
        let address = load.paddr.checked_sub(self.offset)?.checked_add(behind)?;
        (address.checked_add(length as u64)? <= self.memory_bytes).then_some(address)
    }
}

/// `piece` from `start` to `end`, as far as it reaches; `None` if nothing is left.
fn part(piece: &[u8], start: u64, end: u64) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    let end = usize::try_from(end).unwrap_or(usize::MAX).min(piece.len());
    piece.get(start..end).filter(|part| !part.is_empty())
}
