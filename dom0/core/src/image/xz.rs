//! xz, unpacked by `xz4rust` with all its filters; kernels use the one for x86 code. The dictionary is the large thing: its size stands in
//! the first block's header and is read here, so that the heap can be grown before and nothing larger is accepted after.

use alloc::boxed::Box;
use alloc::vec::Vec;

use xz4rust::{XzDecoder, XzError};

use super::error::{MAX_DICTIONARY, UnpackError};
use super::stream::{PIECE_BYTES, buffer};

/// Bytes of the stream header, which precedes the first block's.
const STREAM_HEADER_BYTES: usize = 12;
/// The filter that has a dictionary, and the last of a chain.
const LZMA2: u64 = 0x21;
/// What the decoder takes besides the dictionary: the piece, and 40 KiB of state.
const OVERHEAD_BYTES: u64 = PIECE_BYTES as u64 + (64 << 10);

/// A stream being unpacked.
pub(super) struct Xz<'a> {
    rest: &'a [u8],
    decoder: Box<XzDecoder<'static>>,
    piece: Vec<u8>,
    filled: usize,
    ended: bool,
}

impl<'a> Xz<'a> {
    pub fn heap_bytes(data: &[u8]) -> Result<u64, UnpackError> {
        Ok(allowed_dictionary(data)? + OVERHEAD_BYTES)
    }

    pub fn new(data: &'a [u8]) -> Result<Self, UnpackError> {
        let bytes = usize::try_from(allowed_dictionary(data)?).unwrap_or(usize::MAX);
        // Later blocks may have a smaller dictionary, but none larger.
        let decoder = XzDecoder::in_heap_with_alloc_dict(buffer(bytes)?, bytes);
        Ok(Self { rest: data, decoder, piece: buffer(PIECE_BYTES)?, filled: 0, ended: false })
    }

    /// The bytes that the last `advance` unpacked; empty at the end.
    pub fn piece(&self) -> &[u8] {
        self.piece.get(..self.filled).unwrap_or(&[])
    }

    /// Unpacks the next piece.
    pub fn advance(&mut self) -> Result<(), UnpackError> {
        self.filled = 0;
        while let Some(room) = self.piece.get_mut(self.filled..).filter(|room| !room.is_empty() && !self.ended) {
            let result = self.decoder.decode(self.rest, room).map_err(translate)?;
            self.rest = self.rest.get(result.input_consumed()..).unwrap_or(&[]);
            self.filled += result.output_produced();
            self.ended = result.is_end_of_stream();
            if !self.ended && !result.made_progress() {
                return Err(UnpackError::Truncated("xz"));
            }
        }
        Ok(())
    }
}

fn translate(error: XzError) -> UnpackError {
    match error {
        XzError::NeedsLargerInputBuffer => UnpackError::Truncated("xz"),
        XzError::DictionaryTooLarge(wanted) => UnpackError::DictionaryTooLarge { wanted, allowed: MAX_DICTIONARY },
        XzError::Sha256NotSupported => UnpackError::PackingUnsupported("xz with SHA-256 checksums"),
        _ => UnpackError::Damaged("xz"),
    }
}

fn allowed_dictionary(data: &[u8]) -> Result<u64, UnpackError> {
    let wanted = dictionary_bytes(data).ok_or(UnpackError::Damaged("xz"))?;
    if wanted > MAX_DICTIONARY {
        return Err(UnpackError::DictionaryTooLarge { wanted, allowed: MAX_DICTIONARY });
    }
    Ok(wanted)
}

/// The dictionary size in the first block's header (.xz file format 1.2, sections 3.1 and 5.3.1). A file without blocks has none.
fn dictionary_bytes(data: &[u8]) -> Option<u64> {
    let mut rest = data.get(STREAM_HEADER_BYTES..)?;
    let size = next(&mut rest)?;
    if size == 0 {
        return Some(0);
    }
    let flags = next(&mut rest)?;
    for present in [0x40, 0x80] {
        if flags & present != 0 {
            number(&mut rest)?;
        }
    }
    for _ in 0..=(flags & 3) {
        let (filter, properties) = (number(&mut rest)?, number(&mut rest)?);
        let (properties, behind) = rest.split_at_checked(usize::try_from(properties).ok()?)?;
        rest = behind;
        if filter == LZMA2 {
            let code = u32::from(*properties.first()?);
            // 2 or 3 shifted, up to code 39; 40 means 4 GiB - 1.
            return (code <= 40).then(|| u64::from(2 | (code & 1)) << (code / 2 + 11));
        }
    }
    None
}

fn next(rest: &mut &[u8]) -> Option<u8> {
    let (first, behind) = rest.split_first()?;
    *rest = behind;
    Some(*first)
}

/// A number of seven bits a byte, the lowest first, of at most nine bytes.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for position in 0..9 {
        let byte = next(rest)?;
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
