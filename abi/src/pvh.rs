//! The PVH start-of-day structures (`arch-x86/hvm/start_info.h`), pointed to by ebx.

/// `magic`: "xEn3" with the top bit of E set.
pub const MAGIC: u32 = 0x336e_c578;
/// The ELF note that makes an ELF bootable so.
pub const PHYS32_ENTRY: u32 = crate::elfnote::PHYS32_ENTRY;

/// Usable memory.
pub const MEMMAP_RAM: u32 = 1;
/// Reserved.
pub const MEMMAP_RESERVED: u32 = 2;
/// ACPI tables.
pub const MEMMAP_ACPI: u32 = 3;
/// ACPI non-volatile storage.
pub const MEMMAP_NVS: u32 = 4;
/// Unusable.
pub const MEMMAP_UNUSABLE: u32 = 5;
/// Disabled.
pub const MEMMAP_DISABLED: u32 = 6;
/// Persistent memory.
pub const MEMMAP_PMEM: u32 = 7;

layout! {
    /// `hvm_start_info`, version 1.
    HvmStartInfo [56] {
        /// [`MAGIC`].
        @0 magic: u32,
        /// 0 has no memory map.
        @4 version: u32,
        /// `SIF_*`.
        @8 flags: u32,
        /// Modules.
        @12 nr_modules: u32,
        /// Physical address of [`HvmModlistEntry`]s.
        @16 modlist_paddr: u64,
        /// Physical address of the command line.
        @24 cmdline_paddr: u64,
        /// Physical address of the RSDP.
        @32 rsdp_paddr: u64,
        /// Physical address of [`HvmMemmapEntry`]s.
        @40 memmap_paddr: u64,
        /// Their number.
        @48 memmap_entries: u32,
        /// 0.
        @52 reserved: u32,
    }

    /// One module.
    HvmModlistEntry [32] {
        /// Physical address.
        @0 paddr: u64,
        /// Bytes.
        @8 size: u64,
        /// Physical address of its command line, or 0.
        @16 cmdline_paddr: u64,
        /// 0.
        @24 reserved: u64,
    }

    /// One entry of the memory map.
    HvmMemmapEntry [24] {
        /// First byte.
        @0 addr: u64,
        /// Bytes.
        @8 size: u64,
        /// `MEMMAP_*`.
        @16 kind: u32,
        /// 0.
        @20 reserved: u32,
    }
}
