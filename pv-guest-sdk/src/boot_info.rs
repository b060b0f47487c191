//! What the domain builder told the kernel, in the kernel's terms.

use core::slice;

use abi::start_info::{SIF_INITDOMAIN, SIF_MOD_START_PFN, SIF_PRIVILEGED, StartInfo};
use spin::Once;

use crate::memory;

static BOOT_INFO: Once<BootInfo> = Once::new();

/// The start info, for as long as the kernel runs.
pub struct BootInfo {
    raw: &'static StartInfo,
}

impl BootInfo {
    /// Stores the start info; later calls change nothing.
    pub(crate) fn set(raw: &'static StartInfo) -> &'static BootInfo {
        BOOT_INFO.call_once(|| BootInfo { raw })
    }

    /// The start info of this kernel, or `None` before the kernel's start has got so far.
    pub fn get() -> Option<&'static BootInfo> {
        BOOT_INFO.get()
    }

    /// The raw structure.
    pub fn start_info(&self) -> &'static StartInfo {
        self.raw
    }

    /// Frames that the domain started with.
    pub fn nr_pages(&self) -> u64 {
        self.raw.nr_pages
    }

    /// The command line up to its first NUL; empty if it is not UTF-8.
    pub fn command_line(&self) -> &'static str {
        let bytes = self.raw.cmd_line.split(|&b| b == 0).next().unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }

    /// The value of the command-line word `key=value`.
    pub fn argument(&self, key: &str) -> Option<&'static str> {
        self.command_line().split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// Whether this is the first domain of the machine, whose console is the hypervisor's.
    pub fn is_initial_domain(&self) -> bool {
        self.raw.flags & SIF_INITDOMAIN != 0
    }

    /// Whether this domain may act on others.
    pub fn is_privileged(&self) -> bool {
        self.raw.flags & SIF_PRIVILEGED != 0
    }

    /// Whether there is a xenstore page.
    pub fn has_xenstore(&self) -> bool {
        self.raw.store_mfn != 0 && !self.is_initial_domain()
    }

    /// The module (ramdisk, archive) that came with the kernel.
    pub fn module(&self) -> Option<&'static [u8]> {
        let len = usize::try_from(self.raw.mod_len).ok().filter(|&len| len != 0)?;
        let start =
            if self.raw.flags & SIF_MOD_START_PFN != 0 { memory::pfn_to_virt(self.raw.mod_start) } else { self.raw.mod_start as *mut u8 };
        // SAFETY: the builder maps the module there and the frame allocator starts behind it, so nobody writes to it. With
        // SIF_MOD_START_PFN, which our notes do not ask for, `memory::init` has mapped it.
        Some(unsafe { slice::from_raw_parts(start, len) })
    }
}
