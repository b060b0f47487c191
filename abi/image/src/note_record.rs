//! The records of an ELF note segment: three sizes, a name, a value, each padded to four bytes. Sizes come from the file and are checked
//! against the segment's own; the number of records is bounded by its size.

use crate::error::ImageError;
use crate::limits::MAX_NOTES_BYTES;
use crate::source::{Source, u32_at};

/// Sizes of name and value and the type.
const HEADER_BYTES: u64 = 12;

/// Bytes of a value that are kept; longer values are cut off, and none that matters is so long.
const VALUE_BYTES: usize = 256;

/// The value of one Xen note.
pub(crate) struct Note {
    /// Its type, an XEN_ELFNOTE number.
    pub kind: u32,
    value: [u8; VALUE_BYTES],
    length: usize,
}

impl Note {
    /// The value's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.value.get(..self.length).unwrap_or(&[])
    }

    /// The value as a number, of 1, 2, 4 or 8 bytes.
    pub fn number(&self) -> Result<u64, ImageError> {
        if !matches!(self.length, 1 | 2 | 4 | 8) {
            return Err(ImageError::BadNumber(self.kind));
        }
        let mut padded = [0u8; 8];
        for (room, byte) in padded.iter_mut().zip(self.bytes()) {
            *room = *byte;
        }
        Ok(u64::from_le_bytes(padded))
    }
}

/// Calls `visit` with every note named "Xen" of the `bytes` bytes at `offset` of the file; returns how many there were.
pub(crate) fn for_each_xen_note(
    file: &mut impl Source,
    offset: u64,
    bytes: u64,
    mut visit: impl FnMut(&Note) -> Result<(), ImageError>,
) -> Result<usize, ImageError> {
    if bytes > MAX_NOTES_BYTES {
        return Err(ImageError::NotesTooLarge(bytes));
    }
    let end = offset.checked_add(bytes).ok_or(ImageError::BadNotes)?;
    let (mut at, mut found) = (offset, 0);
    while end - at >= HEADER_BYTES {
        let record = Record::read(file, at, end)?;
        if let Some(note) = record.xen_note(file)? {
            visit(&note)?;
            found += 1;
        }
        at = record.next.min(end);
    }
    Ok(found)
}

/// Where the parts of a record lie, within the segment.
struct Record {
    kind: u32,
    name: u64,
    name_bytes: u32,
    value: u64,
    value_bytes: u32,
    /// Behind the record's padding, which may lie outside the segment.
    next: u64,
}

impl Record {
    fn read(file: &mut impl Source, at: u64, end: u64) -> Result<Self, ImageError> {
        let mut header = [0u8; HEADER_BYTES as usize];
        file.read(at, &mut header).ok_or(ImageError::BadNotes)?;
        let field = |offset| u32_at(&header, offset).ok_or(ImageError::BadNotes);
        let (name_bytes, value_bytes, kind) = (field(0)?, field(4)?, field(8)?);
        let add = |start: u64, bytes: u32| {
            let padded = u64::from(bytes).next_multiple_of(4);
            start.checked_add(padded).ok_or(ImageError::BadNotes)
        };
        let name = at.checked_add(HEADER_BYTES).ok_or(ImageError::BadNotes)?;
        let value = add(name, name_bytes)?;
        let next = add(value, value_bytes)?;
        if value > end || u64::from(value_bytes) > end - value {
            return Err(ImageError::BadNotes);
        }
        Ok(Self { kind, name, name_bytes, value, value_bytes, next })
    }

    fn xen_note(&self, file: &mut impl Source) -> Result<Option<Note>, ImageError> {
        let mut name = [0u8; 4];
        if self.name_bytes != 4 {
            return Ok(None);
        }
        file.read(self.name, &mut name).ok_or(ImageError::BadNotes)?;
        if &name != b"Xen\0" {
            return Ok(None);
        }
        let length = usize::try_from(self.value_bytes).unwrap_or(VALUE_BYTES).min(VALUE_BYTES);
        let mut note = Note { kind: self.kind, value: [0; VALUE_BYTES], length };
        file.read(self.value, &mut note.value[..length]).ok_or(ImageError::BadNotes)?;
        Ok(Some(note))
    }
}
