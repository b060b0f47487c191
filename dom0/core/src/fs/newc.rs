//! The cpio format "newc": a header of 110 bytes in ASCII hexadecimal, the name, the data, each padded to four bytes.
//!
//! Own code, since the crate for it (`cpio_reader`) ends silently at the first entry that it does not like, and a truncated archive must
//! not look like a short one.

use core::fmt;

const MAGIC: &[u8] = b"070701";
const MAGIC_CRC: &[u8] = b"070702";
const HEADER: usize = 110;
const TRAILER: &[u8] = b"TRAILER!!!";

/// The type bits of a mode.
const TYPE_MASK: u32 = 0o170_000;
/// The mode of a directory.
pub const DIRECTORY: u32 = 0o040_000;
/// The mode of a regular file.
pub const REGULAR: u32 = 0o100_000;

/// What is wrong with an archive, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveError {
    /// Byte offset of the entry that cannot be read.
    pub offset: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the archive is damaged at byte {}: {}; build it again with `cargo xtask image`", self.offset, self.what)
    }
}

impl core::error::Error for ArchiveError {}

/// One entry as it stands in the archive.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// The path, not yet normalised.
    pub name: &'a [u8],
    /// The contents.
    pub data: &'a [u8],
    mode: u32,
}

impl Raw<'_> {
    /// The type bits of the mode.
    pub fn file_type(&self) -> u32 {
        self.mode & TYPE_MASK
    }
}

/// Reads entries up to the trailer. After an error it ends.
#[derive(Debug)]
pub struct Reader<'a> {
    archive: &'a [u8],
    offset: usize,
    ended: bool,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(archive: &'a [u8]) -> Self {
        Self { archive, offset: 0, ended: false }
    }

    fn entry(&mut self) -> Result<Option<Raw<'a>>, &'static str> {
        let header = slice(self.archive, self.offset, HEADER).ok_or("it ends without a trailer")?;
        if !header.starts_with(MAGIC) && !header.starts_with(MAGIC_CRC) {
            return Err("no cpio header of format newc");
        }
        let (mode, size, name_size) = (field(header, 1)?, field(header, 6)?, field(header, 11)?);
        let name_at = self.offset + HEADER;
        let name = slice(self.archive, name_at, name_size as usize).ok_or("the name goes beyond the end")?;
        let name = name.strip_suffix(&[0]).ok_or("the name has no NUL")?;
        if name == TRAILER {
            return Ok(None);
        }
        let data_at = padded(name_at + name_size as usize);
        let data = slice(self.archive, data_at, size as usize).ok_or("the contents go beyond the end")?;
        self.offset = padded(data_at + size as usize);
        Ok(Some(Raw { name, data, mode }))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Raw<'a>, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let offset = self.offset;
        let entry = self.entry().map_err(|what| ArchiveError { offset, what }).transpose();
        self.ended = !matches!(entry, Some(Ok(_)));
        entry
    }
}

fn slice(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(len)?)
}

/// Offsets stay below the archive's length plus 2^32, so this does not overflow.
fn padded(offset: usize) -> usize {
    offset.next_multiple_of(4)
}

/// The `index`-th field of a header, eight hexadecimal digits.
fn field(header: &[u8], index: usize) -> Result<u32, &'static str> {
    let digits = slice(header, MAGIC.len() + 8 * index, 8).unwrap_or_default();
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err("a number in the header is not hexadecimal");
    }
    let text = core::str::from_utf8(digits).map_err(|_| "a number in the header is not text")?;
    u32::from_str_radix(text, 16).map_err(|_| "a number in the header is too large")
}
