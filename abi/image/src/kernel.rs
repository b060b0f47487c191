//! What a kernel asks of whoever starts it, gathered from its ELF file: the result that the layout plan is computed from.

use crate::features::Features;
use crate::text::Text;

/// Where the kernel's wishes stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NotesFrom {
    /// In a PT_NOTE segment.
    Segment,
    /// In an SHT_NOTE section.
    Section,
    /// In the legacy string section `__xen_guest`.
    LegacyString,
    /// Nowhere: the program headers and `e_entry` decide, with VIRT_BASE 0.
    #[default]
    Nowhere,
}

/// A kernel that can be started, all of whose addresses were checked against its image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelInfo {
    /// Where its wishes stood.
    pub notes_from: NotesFrom,
    /// Virtual address of the first instruction.
    pub entry: u64,
    /// Virtual address of pseudo-physical address 0 (VIRT_BASE), page-aligned.
    pub virt_base: u64,
    /// What to subtract from `p_paddr` to get the pseudo-physical address (PADDR_OFFSET).
    pub paddr_offset: u64,
    /// First pseudo-physical address of the image.
    pub phys_start: u64,
    /// First pseudo-physical address behind the image.
    pub phys_end: u64,
    /// Virtual address of the page to fill with hypercall stubs (HYPERCALL_PAGE), page-aligned. Linux 6.1 has none.
    pub hypercall_page: Option<u64>,
    /// Virtual address at which the frame list is wanted (INIT_P2M), instead of behind the kernel.
    pub init_p2m: Option<u64>,
    /// The ramdisk may be left unmapped and named by its PFN (MOD_START_PFN).
    pub mod_start_pfn: bool,
    /// The kernel can resume from a suspend that was cancelled (SUSPEND_CANCEL).
    pub suspend_cancel: bool,
    /// The kernel wants its symbol table loaded (BSD_SYMTAB), which is not done.
    pub wants_symbols: bool,
    /// Supported and required features.
    pub features: Features,
    /// GUEST_OS, empty if not given.
    pub guest_os: Text,
    /// GUEST_VERSION, empty if not given.
    pub guest_version: Text,
}

impl KernelInfo {
    /// First virtual address of the image. Cannot wrap: `notes::read` checked it.
    pub fn virt_start(&self) -> u64 {
        self.virt_base.wrapping_add(self.phys_start)
    }

    /// Last virtual address of the image.
    pub fn virt_last(&self) -> u64 {
        self.virt_base.wrapping_add(self.phys_end).wrapping_sub(1)
    }
}
