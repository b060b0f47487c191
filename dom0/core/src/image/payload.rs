//! What of a kernel file is to be unpacked, and how: the file itself, or the packed kernel inside a bzImage.

use super::bzimage;
use super::error::UnpackError;
use super::packing::Packing;

/// Packed data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload<'a> {
    pub packing: Packing,
    pub data: &'a [u8],
    /// The size that the unpacked data is announced to have, in bytes.
    pub unpacked_bytes: Option<u64>,
}

impl<'a> Payload<'a> {
    /// Looks into a kernel file.
    pub fn of_kernel(file: &'a [u8]) -> Result<Self, UnpackError> {
        if file.is_empty() {
            return Err(UnpackError::EmptyKernel);
        }
        if let Some(packing) = Packing::of(file)? {
            let unpacked_bytes = (packing == Packing::Bare).then_some(file.len() as u64);
            return Ok(Self { packing, data: file, unpacked_bytes });
        }
        match bzimage::payload(file)? {
            Some(payload) => Self::of_bzimage(payload),
            None => Err(UnpackError::NotAKernel(first_bytes(file))),
        }
    }

    /// Linux's build appends the unpacked size in 4 bytes, except to gzip, which ends with it anyway.
    fn of_bzimage(payload: &'a [u8]) -> Result<Self, UnpackError> {
        let packing = Packing::of(payload)?.ok_or(UnpackError::NotAKernel(first_bytes(payload)))?;
        let (data, size) = payload.split_last_chunk::<4>().ok_or(UnpackError::PayloadOutside)?;
        let unpacked_bytes = Some(u64::from(u32::from_le_bytes(*size)));
        Ok(match packing {
            Packing::Bare => Self { packing, data: payload, unpacked_bytes: Some(payload.len() as u64) },
            Packing::Gzip => Self { packing, data: payload, unpacked_bytes },
            _ => Self { packing, data, unpacked_bytes },
        })
    }
}

fn first_bytes(file: &[u8]) -> [u8; 4] {
    let mut first = [0; 4];
    for (room, byte) in first.iter_mut().zip(file) {
        *room = *byte;
    }
    first
}
