//! What a domain's first vCPU is told at its start (`xen.h`), pointed to by rsi.

/// `magic`, NUL-padded.
pub const MAGIC: &[u8; 15] = b"xen-3.0-x86_64\0";
/// Room for the command line with its NUL.
pub const MAX_CMDLINE: usize = 1024;

/// The domain is privileged.
pub const SIF_PRIVILEGED: u32 = 1 << 0;
/// The domain is the first one.
pub const SIF_INITDOMAIN: u32 = 1 << 1;
/// `mod_start` is a multiboot module list.
pub const SIF_MULTIBOOT_MOD: u32 = 1 << 2;
/// `mod_start` is a frame number, and the module is not mapped.
pub const SIF_MOD_START_PFN: u32 = 1 << 3;
/// The tools understand the virtually mapped p2m list.
pub const SIF_VIRT_P2M_4TOOLS: u32 = 1 << 4;
/// Power-management options of the first domain.
pub const SIF_PM_MASK: u32 = 0xff << 8;

layout! {
    /// `start_info`.
    StartInfo [1168] {
        /// [`MAGIC`].
        @0 magic: [u8; 32],
        /// Frames of this domain.
        @32 nr_pages: u64,
        /// Machine address of the shared info page.
        @40 shared_info: u64,
        /// `SIF_*`.
        @48 flags: u32,
        /// Padding.
        @52 _pad0: u32,
        /// Machine frame of the xenstore page; 0 if none.
        @56 store_mfn: u64,
        /// Event channel of xenstore.
        @64 store_evtchn: u32,
        /// Padding.
        @68 _pad1: u32,
        /// Machine frame of the console page; for the first domain offset and size of VGA information.
        @72 console_mfn: u64,
        /// Event channel of the console.
        @80 console_evtchn: u32,
        /// Padding.
        @84 _pad2: u32,
        /// Virtual address of the top-level page table.
        @88 pt_base: u64,
        /// Frames of the page tables, from there on.
        @96 nr_pt_frames: u64,
        /// Virtual address of the p2m list.
        @104 mfn_list: u64,
        /// Virtual address of the module, or its frame with [`SIF_MOD_START_PFN`]; 0 if none.
        @112 mod_start: u64,
        /// Its bytes.
        @120 mod_len: u64,
        /// NUL-terminated.
        @128 cmd_line: [u8; 1024],
        /// First frame of the p2m list, if that has a region of its own.
        @1152 first_p2m_pfn: u64,
        /// Its frames.
        @1160 nr_p2m_frames: u64,
    }
}
