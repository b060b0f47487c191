//! Reads an instruction's bytes one after another, never past 15, and says how many are missing when they run out.

use super::insn::DecodeError;

/// The longest instruction that processors execute, in bytes.
pub const MAX_LENGTH: usize = 15;

/// Position in the bytes of one instruction.
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the first byte. Bytes behind the fifteenth are not looked at.
    pub fn new(bytes: &'a [u8]) -> Self {
        let bytes = bytes.get(..MAX_LENGTH).unwrap_or(bytes);
        Cursor { bytes, at: 0 }
    }

    /// How many bytes were taken.
    pub fn taken(&self) -> u8 {
        self.at as u8
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let end = self.at + N;
        match self.bytes.get(self.at..end).and_then(|b| b.try_into().ok()) {
            Some(bytes) => {
                self.at = end;
                Ok(bytes)
            }
            None if end > MAX_LENGTH => Err(DecodeError::Unknown),
            None => Err(DecodeError::Truncated { need: end as u8 }),
        }
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take::<1>()?[0])
    }

    /// The next byte, sign-extended.
    pub fn i8(&mut self) -> Result<i64, DecodeError> {
        Ok(i8::from_le_bytes(self.take()?).into())
    }

    /// The next two bytes, sign-extended.
    pub fn i16(&mut self) -> Result<i64, DecodeError> {
        Ok(i16::from_le_bytes(self.take()?).into())
    }

    /// The next four bytes, sign-extended.
    pub fn i32(&mut self) -> Result<i64, DecodeError> {
        Ok(i32::from_le_bytes(self.take()?).into())
    }

    /// The next four bytes, zero-extended.
    pub fn u32(&mut self) -> Result<i64, DecodeError> {
        Ok(u32::from_le_bytes(self.take()?).into())
    }

    /// The next eight bytes.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.take()?))
    }
}
