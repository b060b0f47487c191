//! Segments: `set_segment_base`, the selectors the hypervisor provides, the reserved part of the GDT (`arch-x86/xen*.h`).

/// FS base.
pub const BASE_FS: u32 = 0;
/// GS base of user mode.
pub const BASE_GS_USER: u32 = 1;
/// GS base of kernel mode.
pub const BASE_GS_KERNEL: u32 = 2;
/// Load a selector (rsi) into user mode's GS.
pub const BASE_GS_USER_SEL: u32 = 3;

/// 32-bit code, ring 3.
pub const FLAT_RING3_CS32: u16 = 0xe023;
/// 64-bit code, ring 3.
pub const FLAT_RING3_CS64: u16 = 0xe033;
/// Data and stack, ring 3.
pub const FLAT_RING3_SS: u16 = 0xe02b;
/// 64-bit data: null.
pub const FLAT_RING3_DS64: u16 = 0;
/// Code of a guest kernel.
pub const FLAT_KERNEL_CS: u16 = FLAT_RING3_CS64;
/// Stack of a guest kernel.
pub const FLAT_KERNEL_SS: u16 = FLAT_RING3_SS;
/// Code of a guest's user mode.
pub const FLAT_USER_CS: u16 = FLAT_RING3_CS64;
/// Stack of a guest's user mode.
pub const FLAT_USER_SS: u16 = FLAT_RING3_SS;

/// First page of the GDT that belongs to the hypervisor.
pub const FIRST_RESERVED_GDT_PAGE: usize = 14;
/// First entry of the GDT that belongs to the hypervisor: a guest has 7168 at most.
pub const FIRST_RESERVED_GDT_ENTRY: usize = FIRST_RESERVED_GDT_PAGE * 512;
/// Entries of an LDT at most.
pub const MAX_LDT_ENTRIES: u64 = 8192;
