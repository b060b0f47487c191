//! The notes by which a kernel tells how it wants to be started (`xen/elfnote.h`). Looked for in PT_NOTE segments, then in SHT_NOTE
//! sections, then as the legacy `__xen_guest` string; a kernel without any starts at `e_entry` with VIRT_BASE 0.

use abi::elfnote;

use crate::elf::Elf;
use crate::error::ImageError;
use crate::kernel::{KernelInfo, NotesFrom};
use crate::legacy;
use crate::note_record::{Note, for_each_xen_note};
use crate::section::{SHT_NOTE, by_name, indices, section};
use crate::segment::PT_NOTE;
use crate::source::Source;
use crate::text::{Text, until_nul};
use crate::wishes::Wishes;

/// Reads the kernel's wishes from `file` and checks them against its image. `file` need only hold what lies in segments; sections that
/// cannot be read count as absent.
pub fn read(elf: &Elf<'_>, file: &mut impl Source) -> Result<KernelInfo, ImageError> {
    let mut wishes = Wishes::default();
    let notes_from = gather(elf, file, &mut wishes)?;
    wishes.into_kernel(elf, notes_from)
}

fn gather(elf: &Elf<'_>, file: &mut impl Source, wishes: &mut Wishes) -> Result<NotesFrom, ImageError> {
    let mut found = 0;
    // Some linkers leave a note segment without an offset; it then holds nothing.
    for segment in elf.segments().filter(|segment| segment.kind == PT_NOTE && segment.offset != 0) {
        found += for_each_xen_note(file, segment.offset, segment.file_bytes, |note| apply(wishes, note))?;
    }
    if found > 0 {
        return Ok(NotesFrom::Segment);
    }
    for index in indices(elf) {
        if let Some(notes) = section(elf, file, index).filter(|section| section.kind == SHT_NOTE) {
            found += for_each_xen_note(file, notes.offset, notes.bytes, |note| apply(wishes, note))?;
        }
    }
    if found > 0 {
        return Ok(NotesFrom::Section);
    }
    match by_name(elf, file, b"__xen_guest") {
        Some(section) => {
            legacy::read(file, section.offset, section.bytes, wishes)?;
            Ok(NotesFrom::LegacyString)
        }
        None => Ok(NotesFrom::Nowhere),
    }
}

/// Notes that do not concern a 64-bit PV guest are passed over.
fn apply(wishes: &mut Wishes, note: &Note) -> Result<(), ImageError> {
    match note.kind {
        elfnote::ENTRY => wishes.entry = Some(note.number()?),
        elfnote::HYPERCALL_PAGE => wishes.hypercall_page = Some(note.number()?),
        elfnote::VIRT_BASE => wishes.virt_base = Some(note.number()?),
        elfnote::PADDR_OFFSET => wishes.paddr_offset = Some(note.number()?),
        elfnote::XEN_VERSION => wishes.xen_version = Some(Text::new(note.bytes())),
        elfnote::GUEST_OS => wishes.guest_os = Text::new(note.bytes()),
        elfnote::GUEST_VERSION => wishes.guest_version = Text::new(note.bytes()),
        elfnote::LOADER => wishes.loader = Some(Text::new(note.bytes())),
        elfnote::FEATURES => wishes.features.add_string(note.bytes())?,
        elfnote::BSD_SYMTAB => wishes.wants_symbols = until_nul(note.bytes()) == b"yes",
        elfnote::SUSPEND_CANCEL => wishes.suspend_cancel = note.number()? != 0,
        elfnote::INIT_P2M => wishes.init_p2m = Some(note.number()?),
        elfnote::MOD_START_PFN => wishes.mod_start_pfn = note.number()? != 0,
        // Only the low 32 bits are defined.
        elfnote::SUPPORTED_FEATURES => wishes.features.supported |= note.number()? as u32,
        elfnote::PHYS32_ENTRY => wishes.pvh_entry = true,
        _ => {}
    }
    Ok(())
}
