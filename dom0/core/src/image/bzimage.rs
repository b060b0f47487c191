//! Linux's bzImage: a loader for the bare machine with the packed kernel somewhere in it. Of its setup header (Linux,
//! Documentation/x86/boot.rst) only what tells where the kernel is matters here.

use super::error::UnpackError;

/// Offsets in the file of the fields of the setup header.
const SETUP_SECTS: usize = 0x1f1;
const BOOT_FLAG: usize = 0x1fe;
const HEADER: usize = 0x202;
const VERSION: usize = 0x206;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

/// The first boot protocol that has the payload's offset and length.
const FIRST_VERSION_WITH_PAYLOAD: u16 = 0x208;

/// The packed kernel in `file`; `None` if the file is no bzImage.
pub(super) fn payload(file: &[u8]) -> Result<Option<&[u8]>, UnpackError> {
    if bytes(file, BOOT_FLAG) != Some(&[0x55, 0xaa]) || bytes(file, HEADER) != Some(b"HdrS") {
        return Ok(None);
    }
    let version = bytes(file, VERSION).map(|field| u16::from_le_bytes(*field)).ok_or(UnpackError::PayloadOutside)?;
    if version < FIRST_VERSION_WITH_PAYLOAD {
        return Err(UnpackError::OldBootProtocol(version));
    }
    locate(file).map(Some).ok_or(UnpackError::PayloadOutside)
}

fn locate(file: &[u8]) -> Option<&[u8]> {
    let field = |offset| Some(u32::from_le_bytes(*bytes(file, offset)?) as usize);
    // The protocol says that 0 means 4.
    let sectors = match file.get(SETUP_SECTS)? {
        0 => 4,
        count => usize::from(*count),
    };
    let start = (sectors + 1) * 512;
    let start = start.checked_add(field(PAYLOAD_OFFSET)?)?;
    file.get(start..start.checked_add(field(PAYLOAD_LENGTH)?)?)
}

fn bytes<const N: usize>(file: &[u8], offset: usize) -> Option<&[u8; N]> {
    file.get(offset..)?.first_chunk()
}
