//! The kernel's wishes as they were read, before they are checked: each may be absent, and what absence means depends on where they stood.

use crate::elf::Elf;
use crate::error::ImageError;
use crate::features::Features;
use crate::kernel::{KernelInfo, NotesFrom};
use crate::pages::PAGE;
use crate::text::Text;

/// The values of notes, or of the legacy string.
#[derive(Default)]
pub(crate) struct Wishes {
    pub entry: Option<u64>,
    pub virt_base: Option<u64>,
    pub paddr_offset: Option<u64>,
    pub hypercall_page: Option<u64>,
    pub init_p2m: Option<u64>,
    pub mod_start_pfn: bool,
    pub suspend_cancel: bool,
    pub wants_symbols: bool,
    pub pvh_entry: bool,
    pub features: Features,
    pub guest_os: Text,
    pub guest_version: Text,
    pub xen_version: Option<Text>,
    pub loader: Option<Text>,
}

impl Wishes {
    /// Fills in the defaults and checks every address against the image.
    pub fn into_kernel(self, elf: &Elf<'_>, notes_from: NotesFrom) -> Result<KernelInfo, ImageError> {
        self.check_compatible()?;
        let virt_base = self.virt_base.unwrap_or(0);
        if !virt_base.is_multiple_of(PAGE) {
            return Err(ImageError::VirtBaseUnaligned(virt_base));
        }
        let paddr_offset = self.paddr_offset(notes_from)?;
        let (phys_start, phys_end) = pseudo_physical_extent(elf, paddr_offset)?;
        let kernel = KernelInfo {
            notes_from,
            entry: self.entry.unwrap_or(elf.entry),
            virt_base,
            paddr_offset,
            phys_start,
            phys_end,
            hypercall_page: self.hypercall_page,
            init_p2m: self.init_p2m,
            mod_start_pfn: self.mod_start_pfn,
            suspend_cancel: self.suspend_cancel,
            wants_symbols: self.wants_symbols,
            features: self.features,
            guest_os: self.guest_os,
            guest_version: self.guest_version,
        };
        check_addresses(&kernel)?;
        Ok(kernel)
    }

    fn check_compatible(&self) -> Result<(), ImageError> {
        if self.pvh_entry && self.entry.is_none() && self.virt_base.is_none() && self.xen_version.is_none() {
            return Err(ImageError::PvhOnly);
        }
        if self.xen_version.is_some_and(|version| !version.as_str().starts_with("xen-3.0")) {
            return Err(ImageError::WrongXenVersion);
        }
        // Old Linux kernels name the loader "linux" by their GUEST_OS alone.
        let generic = self.loader.is_none_or(|loader| loader.as_str().starts_with("generic"));
        if !generic && !self.guest_os.as_str().starts_with("linux") {
            return Err(ImageError::WrongLoader);
        }
        self.features.check()
    }

    /// PADDR_OFFSET's default differs between notes (0) and the legacy string (VIRT_BASE); see `xen/elfnote.h`.
    fn paddr_offset(&self, notes_from: NotesFrom) -> Result<u64, ImageError> {
        match (self.paddr_offset, self.virt_base) {
            (Some(_), None) => Err(ImageError::OffsetWithoutBase),
            (Some(offset), Some(_)) => Ok(offset),
            (None, Some(base)) if notes_from == NotesFrom::LegacyString => Ok(base),
            (None, _) => Ok(0),
        }
    }
}

fn pseudo_physical_extent(elf: &Elf<'_>, paddr_offset: u64) -> Result<(u64, u64), ImageError> {
    if let Some(load) = elf.loads().find(|load| load.paddr < paddr_offset) {
        return Err(ImageError::SegmentBelowOffset(load.index));
    }
    let (start, end) = elf.physical_extent();
    Ok((start.wrapping_sub(paddr_offset), end.wrapping_sub(paddr_offset)))
}

fn check_addresses(kernel: &KernelInfo) -> Result<(), ImageError> {
    if kernel.virt_base.checked_add(kernel.phys_end - 1).is_none() {
        return Err(ImageError::AddressSpace { start: kernel.virt_base, bytes: kernel.phys_end });
    }
    let image = kernel.virt_start()..=kernel.virt_last();
    if !image.contains(&kernel.entry) {
        return Err(ImageError::EntryOutside(kernel.entry));
    }
    if let Some(page) = kernel.hypercall_page {
        let whole = page.checked_add(PAGE - 1).is_some_and(|last| image.contains(&page) && image.contains(&last));
        if !page.is_multiple_of(PAGE) || !whole {
            return Err(ImageError::HypercallPageOutside(page));
        }
    }
    Ok(())
}
