//! Section headers, which only old kernels make necessary: for notes that no segment covers, and for the `__xen_guest` section that
//! preceded the notes. A file without readable sections simply has none.

use crate::elf::Elf;
use crate::limits::MAX_SECTIONS;
use crate::source::{Source, u32_at, u64_at};

/// `sh_type` of a section that holds notes.
pub(crate) const SHT_NOTE: u32 = 7;
/// `sh_type` of a section without bytes in the file.
const SHT_NOBITS: u32 = 8;
/// Size of an ELF64 section header in bytes (`Elf64_Shdr`).
const SECTION_HEADER_BYTES: usize = 64;

/// What matters of a section header. Offsets and sizes are the file's claims; reading checks them.
#[derive(Clone, Copy)]
pub(crate) struct Section {
    name: u32,
    pub kind: u32,
    pub offset: u64,
    pub bytes: u64,
}

/// The section at `index`, if the file has it.
pub(crate) fn section(elf: &Elf<'_>, file: &mut impl Source, index: u16) -> Option<Section> {
    if index >= elf.section_count || usize::from(elf.section_header_bytes) != SECTION_HEADER_BYTES {
        return None;
    }
    let mut header = [0u8; SECTION_HEADER_BYTES];
    let offset = elf.section_headers.checked_add(u64::from(index) * SECTION_HEADER_BYTES as u64)?;
    file.read(offset, &mut header)?;
    Some(Section { name: u32_at(&header, 0)?, kind: u32_at(&header, 4)?, offset: u64_at(&header, 24)?, bytes: u64_at(&header, 32)? })
}

/// The numbers of the sections to look at; number 0 is never a section.
pub(crate) fn indices(elf: &Elf<'_>) -> core::ops::Range<u16> {
    1..elf.section_count.min(MAX_SECTIONS)
}

/// The first section with bytes in the file that is named `wanted`.
pub(crate) fn by_name(elf: &Elf<'_>, file: &mut impl Source, wanted: &[u8; 11]) -> Option<Section> {
    let names = section(elf, file, elf.section_names)?;
    indices(elf).find_map(|index| {
        let found = section(elf, file, index)?;
        let mut name = [0u8; 12];
        file.read(names.offset.checked_add(u64::from(found.name))?, &mut name)?;
        let matches = name.strip_prefix(wanted) == Some(&[0]);
        (matches && found.kind != SHT_NOBITS).then_some(found)
    })
}
