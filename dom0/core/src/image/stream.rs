//! Unpacking as a sequence of pieces, whatever the packing. A piece is lent, not copied: a bare file lends its own bytes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::error::UnpackError;
use super::gzip::Gzip;
use super::lz4::Lz4;
use super::packing::Packing;
use super::payload::Payload;
use super::xz::Xz;
use super::zstd::Zstd;

/// A piece has at most this many bytes, so that a step of loading stays short.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// Data being unpacked.
pub(super) enum Stream<'a> {
    Bare(&'a [u8]),
    Gzip(Gzip<'a>),
    Xz(Xz<'a>),
    Lz4(Lz4<'a>),
    Zstd(Box<Zstd<'a>>),
    /// After an error, which is given again: the decoders promise nothing about their state then.
    Failed(UnpackError),
}

impl<'a> Stream<'a> {
    /// Begins to unpack.
    pub fn open(payload: &Payload<'a>) -> Result<Self, UnpackError> {
        Ok(match payload.packing {
            Packing::Bare => Self::Bare(payload.data),
            Packing::Gzip => Self::Gzip(Gzip::new(payload.data)?),
            Packing::Xz => Self::Xz(Xz::new(payload.data)?),
            Packing::Lz4 => Self::Lz4(Lz4::new(payload.data)?),
            Packing::Zstd => Self::Zstd(Box::new(Zstd::new(payload.data)?)),
        })
    }

    /// The most that the heap is asked for while unpacking, in bytes, as the packed data announces it.
    pub fn heap_bytes(payload: &Payload<'_>) -> Result<u64, UnpackError> {
        match payload.packing {
            Packing::Bare => Ok(0),
            Packing::Gzip => Ok(Gzip::HEAP_BYTES),
            Packing::Xz => Xz::heap_bytes(payload.data),
            Packing::Lz4 => Ok(Lz4::HEAP_BYTES),
            Packing::Zstd => Zstd::heap_bytes(payload.data),
        }
    }

    /// The next piece; `None` at the end.
    pub fn next(&mut self) -> Result<Option<&[u8]>, UnpackError> {
        if let Err(error) = self.advance() {
            *self = Self::Failed(error);
            return Err(error);
        }
        let piece = match self {
            Self::Bare(rest) => {
                let (piece, behind) = rest.split_at(rest.len().min(PIECE_BYTES));
                *rest = behind;
                piece
            }
            Self::Gzip(gzip) => gzip.piece(),
            Self::Xz(xz) => xz.piece(),
            Self::Lz4(lz4) => lz4.piece(),
            Self::Zstd(zstd) => zstd.piece(),
            Self::Failed(_) => &[],
        };
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn advance(&mut self) -> Result<(), UnpackError> {
        match self {
            Self::Bare(_) => Ok(()),
            Self::Failed(error) => Err(*error),
            Self::Gzip(gzip) => gzip.advance(),
            Self::Xz(xz) => xz.advance(),
            Self::Lz4(lz4) => lz4.advance(),
            Self::Zstd(zstd) => zstd.advance(),
        }
    }
}

/// A buffer of `bytes` zero bytes, or the error that Dom0's heap has no room for it.
pub(super) fn buffer(bytes: usize) -> Result<Vec<u8>, UnpackError> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(bytes).map_err(|_| UnpackError::OutOfHeap(bytes as u64))?;
    buffer.resize(bytes, 0);
    Ok(buffer)
}
