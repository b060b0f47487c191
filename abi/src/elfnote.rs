//! Numbers of the ELF notes with owner "Xen" (`elfnote.h`).

/// The owner's name with its NUL.
pub const OWNER: &[u8; 4] = b"Xen\0";

/// A line for humans.
pub const INFO: u32 = 0;
/// Address of the first instruction.
pub const ENTRY: u32 = 1;
/// Address of the hypercall page to be filled in.
pub const HYPERCALL_PAGE: u32 = 2;
/// Where the domain's memory starts in its address space.
pub const VIRT_BASE: u32 = 3;
/// What to subtract from `p_paddr` before adding `VIRT_BASE`.
pub const PADDR_OFFSET: u32 = 4;
/// "xen-3.0".
pub const XEN_VERSION: u32 = 5;
/// Name of the guest's system.
pub const GUEST_OS: u32 = 6;
/// Its version.
pub const GUEST_VERSION: u32 = 7;
/// "generic".
pub const LOADER: u32 = 8;
/// 32-bit guests only.
pub const PAE_MODE: u32 = 9;
/// Wanted and (with "!") required features, as text.
pub const FEATURES: u32 = 10;
/// "yes" if symbols are to be loaded.
pub const BSD_SYMTAB: u32 = 11;
/// Lowest address the hypervisor may use.
pub const HV_START_LOW: u32 = 12;
/// How to tell a valid machine frame in a non-present entry: mask and value.
pub const L1_MFN_VALID: u32 = 13;
/// 1 if suspend may return "cancelled".
pub const SUSPEND_CANCEL: u32 = 14;
/// Where to map the p2m list.
pub const INIT_P2M: u32 = 15;
/// 1 if the module need not be mapped.
pub const MOD_START_PFN: u32 = 16;
/// Supported features as a bitmap.
pub const SUPPORTED_FEATURES: u32 = 17;
/// PVH entry: physical address of 32-bit code.
pub const PHYS32_ENTRY: u32 = 18;
/// PVH kernel can be relocated.
pub const PHYS32_RELOC: u32 = 19;
