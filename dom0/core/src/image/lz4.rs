//! The LZ4 format that kernels are packed in (`lz4 -l`): a magic number, then blocks, each preceded by its packed size, that unpack to at most
//! 8 MiB. It has no checksum; the size that follows in a bzImage is all there is to compare with.

use alloc::vec::Vec;

use super::error::UnpackError;
use super::stream::{PIECE_BYTES, buffer};

/// The first four bytes, little-endian; they may also stand before a later block.
pub(super) const MAGIC: u32 = 0x184c_2102;

/// What a block unpacks to at most.
const BLOCK_BYTES: usize = 8 << 20;

/// Blocks being unpacked.
pub(super) struct Lz4<'a> {
    rest: &'a [u8],
    block: Vec<u8>,
    /// Bytes of the block that are filled.
    filled: usize,
    /// Where the last piece lies in it.
    start: usize,
    end: usize,
}

impl<'a> Lz4<'a> {
    /// The room for a block.
    pub const HEAP_BYTES: u64 = BLOCK_BYTES as u64;

    pub fn new(data: &'a [u8]) -> Result<Self, UnpackError> {
        Ok(Self { rest: data, block: buffer(BLOCK_BYTES)?, filled: 0, start: 0, end: 0 })
    }

    /// The bytes that the last `advance` unpacked; empty at the end.
    pub fn piece(&self) -> &[u8] {
        self.block.get(self.start..self.end).unwrap_or(&[])
    }

    /// Goes on to the next piece, which may lie in the block that is there.
    pub fn advance(&mut self) -> Result<(), UnpackError> {
        if self.end == self.filled {
            self.unpack_block()?;
        }
        self.start = self.end;
        self.end = self.filled.min(self.start + PIECE_BYTES);
        Ok(())
    }

    /// Unpacks the next block that is not empty, if there is one.
    fn unpack_block(&mut self) -> Result<(), UnpackError> {
        (self.end, self.filled) = (0, 0);
        while self.filled == 0 && !self.rest.is_empty() {
            let (size, behind) = self.rest.split_first_chunk().ok_or(UnpackError::Truncated("lz4"))?;
            let size = u32::from_le_bytes(*size);
            self.rest = behind;
            if size == MAGIC {
                continue;
            }
            let (packed, behind) = self.rest.split_at_checked(size as usize).ok_or(UnpackError::Truncated("lz4"))?;
            self.rest = behind;
            self.filled = lz4_flex::block::decompress_into(packed, &mut self.block).map_err(|_| UnpackError::Damaged("lz4"))?;
        }
        Ok(())
    }
}
