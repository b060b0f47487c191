//! Where the bytes of an image come from. A first domain's ELF lies in memory as a whole; a kernel that is decompressed as a stream lies,
//! by the time its notes are wanted, in the frames of the new domain. The readers in this crate copy what they need through this one trait.

/// The bytes of a file, read by offset.
pub trait Source {
    /// Copies `into.len()` bytes from `offset` (in bytes from the start of the file). `None` if any of them is not to be had.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Option<()>;
}

impl Source for &[u8] {
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Option<()> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(into.len())?;
        into.copy_from_slice(self.get(start..end)?);
        Some(())
    }
}

/// The little-endian `u16` at `offset` of `bytes`.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(offset..offset.checked_add(2)?)?.try_into().ok()?))
}

/// The little-endian `u32` at `offset` of `bytes`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?))
}

/// The little-endian `u64` at `offset` of `bytes`.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(offset..offset.checked_add(8)?)?.try_into().ok()?))
}
