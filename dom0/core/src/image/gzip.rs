//! gzip (RFC 1952): headers and checksums here, inflating by `miniz_oxide`, whose window is the buffer that pieces are lent from.

use alloc::boxed::Box;
use alloc::vec::Vec;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::error::UnpackError;
use super::stream::{PIECE_BYTES, buffer};

const DAMAGED: UnpackError = UnpackError::Damaged("gzip");
const TRUNCATED: UnpackError = UnpackError::Truncated("gzip");

/// The two bytes of magic and the one compression method there is.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Flags of a member's header.
const HEADER_CHECKSUM: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// A file of one or more members.
pub(super) struct Gzip<'a> {
    rest: &'a [u8],
    inflate: Box<DecompressorOxide>,
    /// A power of two in size, as a wrapping window must be.
    window: Vec<u8>,
    /// Where the last piece lies.
    start: usize,
    end: usize,
    member: Option<Member>,
}

/// What the trailer of a member is compared with.
struct Member {
    checksum: crc32fast::Hasher,
    bytes: u32,
}

impl<'a> Gzip<'a> {
    /// Window, tables and room to spare.
    pub const HEAP_BYTES: u64 = PIECE_BYTES as u64 + (64 << 10);

    pub fn new(data: &'a [u8]) -> Result<Self, UnpackError> {
        let mut gzip = Self { rest: data, inflate: Box::default(), window: buffer(PIECE_BYTES)?, start: 0, end: 0, member: None };
        gzip.begin_member()?;
        Ok(gzip)
    }

    /// The bytes that the last `advance` unpacked; empty at the end.
    pub fn piece(&self) -> &[u8] {
        self.window.get(self.start..self.end).unwrap_or(&[])
    }

    /// What follows the last member and is not gzip.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Unpacks the next piece.
    pub fn advance(&mut self) -> Result<(), UnpackError> {
        self.start = if self.end == self.window.len() { 0 } else { self.end };
        self.end = self.start;
        while self.end == self.start {
            if self.member.is_none() {
                if !self.rest.starts_with(&MAGIC) {
                    break;
                }
                self.begin_member()?;
            }
            self.inflate()?;
        }
        Ok(())
    }

    fn inflate(&mut self) -> Result<(), UnpackError> {
        let (status, used, made) = decompress(&mut self.inflate, self.rest, &mut self.window, self.start, 0);
        self.rest = self.rest.get(used..).ok_or(DAMAGED)?;
        self.end = self.start + made;
        let piece = self.window.get(self.start..self.end).ok_or(DAMAGED)?;
        let member = self.member.as_mut().ok_or(DAMAGED)?;
        member.checksum.update(piece);
        // The trailer holds the size modulo 2^32.
        member.bytes = member.bytes.wrapping_add(made as u32);
        match status {
            TINFLStatus::HasMoreOutput => Ok(()),
            TINFLStatus::Done => self.end_member(),
            TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => Err(TRUNCATED),
            _ => Err(DAMAGED),
        }
    }

    fn begin_member(&mut self) -> Result<(), UnpackError> {
        let header: [u8; 10] = *self.take()?;
        let flags = header[3];
        if !header.starts_with(&MAGIC) || flags & RESERVED != 0 {
            return Err(DAMAGED);
        }
        if flags & EXTRA != 0 {
            let length = usize::from(u16::from_le_bytes(*self.take()?));
            self.rest = self.rest.get(length..).ok_or(TRUNCATED)?;
        }
        for text in [NAME, COMMENT] {
            if flags & text != 0 {
                let nul = memchr::memchr(0, self.rest).ok_or(TRUNCATED)?;
                self.rest = self.rest.get(nul + 1..).ok_or(TRUNCATED)?;
            }
        }
        if flags & HEADER_CHECKSUM != 0 {
            self.take::<2>()?;
        }
        self.inflate.init();
        self.member = Some(Member { checksum: crc32fast::Hasher::new(), bytes: 0 });
        Ok(())
    }

    fn end_member(&mut self) -> Result<(), UnpackError> {
        let checksum = u32::from_le_bytes(*self.take()?);
        let bytes = u32::from_le_bytes(*self.take()?);
        let member = self.member.take().ok_or(DAMAGED)?;
        if member.checksum.finalize() != checksum || member.bytes != bytes {
            return Err(DAMAGED);
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], UnpackError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }
}
