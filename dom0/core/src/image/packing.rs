//! The ways in which kernels are packed, told apart by their first bytes. Linux alone uses eight; the ones that are not unpacked here still
//! have names, so that the message can say what to do.

use super::error::UnpackError;

/// A packing that can be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not packed.
    Bare,
    /// gzip (RFC 1952).
    Gzip,
    /// xz, with any of its filters.
    Xz,
    /// The LZ4 format that the kernel uses, of blocks without a frame.
    Lz4,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// First bytes and what they stand for; `None` for what is known by name only.
const MAGICS: [(&[u8], Option<Packing>, &str); 9] = [
    (b"\x7fELF", Some(Packing::Bare), "ELF"),
    (b"\x1f\x8b", Some(Packing::Gzip), "gzip"),
    (b"\xfd7zXZ\0", Some(Packing::Xz), "xz"),
    (&super::lz4::MAGIC.to_le_bytes(), Some(Packing::Lz4), "lz4"),
    (b"\x28\xb5\x2f\xfd", Some(Packing::Zstd), "zstd"),
    (b"\x04\x22\x4d\x18", None, "lz4 in frames"),
    (b"BZh", None, "bzip2"),
    (b"\x5d\0\0", None, "lzma"),
    (b"\x89LZO", None, "lzo"),
];

impl Packing {
    /// What the first bytes of `data` announce, `None` if nothing known.
    pub fn of(data: &[u8]) -> Result<Option<Self>, UnpackError> {
        match MAGICS.iter().find(|(magic, _, _)| data.starts_with(magic)) {
            Some((_, Some(packing), _)) => Ok(Some(*packing)),
            Some((_, None, name)) => Err(UnpackError::PackingUnsupported(name)),
            None => Ok(None),
        }
    }
}
