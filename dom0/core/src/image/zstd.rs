//! Zstandard (RFC 8878), unpacked by `ruzstd`. Its window, like xz's dictionary, is announced in the header and checked before anything else.

use alloc::vec::Vec;

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use ruzstd::io::Read;

use super::error::{MAX_DICTIONARY, UnpackError};
use super::stream::{PIECE_BYTES, buffer};

/// What the decoder takes besides the window: tables, blocks and the piece.
const OVERHEAD_BYTES: u64 = 2 << 20;

/// A frame being unpacked.
pub(super) struct Zstd<'a> {
    decoder: StreamingDecoder<&'a [u8], FrameDecoder>,
    piece: Vec<u8>,
    filled: usize,
}

impl<'a> Zstd<'a> {
    /// The decoder's buffer holds the window and doubles as the data comes; for a moment old and new are there.
    pub fn heap_bytes(data: &[u8]) -> Result<u64, UnpackError> {
        Ok(allowed_window(data)? * 3 + OVERHEAD_BYTES)
    }

    pub fn new(data: &'a [u8]) -> Result<Self, UnpackError> {
        allowed_window(data)?;
        let decoder = StreamingDecoder::new_with_max_window_size(data, MAX_DICTIONARY).map_err(|_| UnpackError::Damaged("zstd"))?;
        Ok(Self { decoder, piece: buffer(PIECE_BYTES)?, filled: 0 })
    }

    /// The bytes that the last `advance` unpacked; empty at the end.
    pub fn piece(&self) -> &[u8] {
        self.piece.get(..self.filled).unwrap_or(&[])
    }

    /// Unpacks the next piece.
    pub fn advance(&mut self) -> Result<(), UnpackError> {
        self.filled = 0;
        while let Some(room) = self.piece.get_mut(self.filled..).filter(|room| !room.is_empty()) {
            match self.decoder.read(room) {
                Ok(0) => return self.check(),
                Ok(count) => self.filled += count,
                Err(_) if self.decoder.get_ref().is_empty() => {
                    return Err(UnpackError::Truncated("zstd"));
                }
                Err(_) => return Err(UnpackError::Damaged("zstd")),
            }
        }
        Ok(())
    }

    /// The frame's checksum, if it has one, must be that of what was unpacked.
    fn check(&self) -> Result<(), UnpackError> {
        let frame = &self.decoder.decoder;
        match frame.get_checksum_from_data() {
            Some(announced) if frame.get_calculated_checksum() != Some(announced) => Err(UnpackError::Damaged("zstd")),
            _ => Ok(()),
        }
    }
}

fn allowed_window(data: &[u8]) -> Result<u64, UnpackError> {
    let wanted = window_bytes(data).ok_or(UnpackError::Truncated("zstd"))?;
    if wanted > MAX_DICTIONARY {
        return Err(UnpackError::DictionaryTooLarge { wanted, allowed: MAX_DICTIONARY });
    }
    Ok(wanted)
}

/// The window size in the frame's header (RFC 8878, section 3.1.1.1). A frame of a single segment has its content's size instead.
fn window_bytes(data: &[u8]) -> Option<u64> {
    let (&descriptor, fields) = data.get(4..)?.split_first()?;
    if descriptor & 1 << 5 == 0 {
        let window = *fields.first()?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let dictionary_id_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = fields.get(dictionary_id_bytes..)?;
    Some(match descriptor >> 6 {
        0 => u64::from(*size.first()?),
        1 => 256 + u64::from(u16::from_le_bytes(*size.first_chunk()?)),
        2 => u64::from(u32::from_le_bytes(*size.first_chunk()?)),
        _ => u64::from_le_bytes(*size.first_chunk()?),
    })
}
