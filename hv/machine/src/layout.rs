//! Where the hypervisor lives in every address space: PML4 slots 256-271, which no guest may fill (`arch-x86/xen-x86_64.h`).
//!
//! | slot | address | what |
//! |---|---|---|
//! | 256 | `0xffff_8000_0000_0000` | machine-to-physical table, which guests may read |
//! | 260 | `0xffff_8200_0000_0000` | per-CPU windows: the guest's GDT and LDT; device registers |
//! | 261 | `0xffff_8280_0000_0000` | the image |
//! | 262-271 | `0xffff_8300_0000_0000` | all RAM, mapped directly |

use hv_core::ids::Mfn;

/// Machine-to-physical table, read-only and readable in ring 3.
pub const M2P: u64 = 0xffff_8000_0000_0000;
/// Per-CPU windows.
pub const WINDOWS: u64 = 0xffff_8200_0000_0000;
/// Device registers, uncached: the local APIC's page, the I/O APIC's, then a page of each CPU for whatever device it looks at.
pub const DEVICES: u64 = WINDOWS + (1 << 30);
/// What to add to a physical address of the image.
pub const IMAGE_OFFSET: u64 = 0xffff_8280_0000_0000;
/// All RAM.
pub const DIRECT_MAP: u64 = 0xffff_8300_0000_0000;
/// How much RAM the direct map can hold: slots 262 to 271.
pub const DIRECT_MAP_SIZE: u64 = 10 << 39;

/// Bytes of window per CPU: 16 pages of GDT, 16 of LDT.
pub const WINDOW_SIZE: u64 = 32 * 4096;

/// The linear address of a CPU's GDT.
pub const fn gdt_window(cpu: usize) -> u64 {
    WINDOWS + cpu as u64 * WINDOW_SIZE
}

/// The linear address of a CPU's LDT.
pub const fn ldt_window(cpu: usize) -> u64 {
    gdt_window(cpu) + 16 * 4096
}

/// A physical address as the direct map shows it.
#[inline(always)]
pub const fn direct(physical: u64) -> u64 {
    DIRECT_MAP + physical
}

/// A frame as the direct map shows it.
#[inline(always)]
pub const fn direct_frame(mfn: Mfn) -> u64 {
    direct(mfn.0 << 12)
}
