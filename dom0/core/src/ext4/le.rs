//! Little-endian numbers in bytes; what lies behind the end is 0.

pub fn half(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |number| u16::from_le_bytes(*number))
}

pub fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |number| u32::from_le_bytes(*number))
}

/// A number whose halves lie apart, as most of the 64-bit ones do.
pub fn long(bytes: &[u8], low: usize, high: usize) -> u64 {
    u64::from(word(bytes, low)) | u64::from(word(bytes, high)) << 32
}
