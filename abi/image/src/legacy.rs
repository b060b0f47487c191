//! The `__xen_guest` string that preceded the notes: `NAME=VALUE` pairs separated by commas. Mini-OS had it for long.

use crate::error::ImageError;
use crate::source::Source;
use crate::text::{Text, until_nul};
use crate::wishes::Wishes;

/// Bytes of the string that are read at most.
const MAX_BYTES: usize = 1024;

/// Reads the string of at most `bytes` bytes at `offset` of the file.
pub(crate) fn read(file: &mut impl Source, offset: u64, bytes: u64, wishes: &mut Wishes) -> Result<(), ImageError> {
    let mut buffer = [0u8; MAX_BYTES];
    let length = usize::try_from(bytes).unwrap_or(MAX_BYTES).min(MAX_BYTES);
    file.read(offset, &mut buffer[..length]).ok_or(ImageError::BadNotes)?;
    let mut hypercall_page_number = None;
    for pair in until_nul(&buffer).split(|&byte| byte == b',') {
        let (name, value) = match pair.iter().position(|&byte| byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        match name {
            b"LOADER" => wishes.loader = Some(Text::new(value)),
            b"GUEST_OS" => wishes.guest_os = Text::new(value),
            b"GUEST_VER" => wishes.guest_version = Text::new(value),
            b"XEN_VER" => wishes.xen_version = Some(Text::new(value)),
            b"BSD_SYMTAB" => wishes.wants_symbols = true,
            b"VIRT_BASE" => wishes.virt_base = Some(number(value)?),
            b"VIRT_ENTRY" => wishes.entry = Some(number(value)?),
            b"ELF_PADDR_OFFSET" => wishes.paddr_offset = Some(number(value)?),
            b"HYPERCALL_PAGE" => hypercall_page_number = Some(number(value)?),
            b"FEATURES" => wishes.features.add_string(value)?,
            _ => {}
        }
    }
    // Here it is the number of a page behind VIRT_BASE, not an address. A sum that wraps lies outside the image and is refused there.
    let base = wishes.virt_base.unwrap_or(0);
    wishes.hypercall_page = hypercall_page_number.map(|page| base.wrapping_add(page.wrapping_mul(4096)));
    Ok(())
}

/// A number as C writes it: 0x for hexadecimal, a leading 0 for octal.
fn number(raw: &[u8]) -> Result<u64, ImageError> {
    let text = core::str::from_utf8(raw).map_err(|_| ImageError::BadNotes)?;
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None if text.len() > 1 && text.starts_with('0') => u64::from_str_radix(text, 8),
        None => text.parse(),
    };
    parsed.map_err(|_| ImageError::BadNotes)
}
