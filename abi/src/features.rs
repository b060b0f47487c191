//! `XENFEAT_*` bit numbers, as `xen_version` reports and ELF notes ask for them (`features.h`).

/// The guest may write its page tables directly.
pub const WRITABLE_PAGE_TABLES: u32 = 0;
/// The guest may write its descriptor tables directly.
pub const WRITABLE_DESCRIPTOR_TABLES: u32 = 1;
/// Frame numbers are translated by the hypervisor.
pub const AUTO_TRANSLATED_PHYSMAP: u32 = 2;
/// The guest kernel runs in ring 0.
pub const SUPERVISOR_MODE_KERNEL: u32 = 3;
/// Top-level tables may lie above 4 GiB.
pub const PAE_PGDIR_ABOVE_4GB: u32 = 4;
/// `mmu_update` knows PRESERVE_AD.
pub const MMU_PT_UPDATE_PRESERVE_AD: u32 = 5;
/// CLEAR_PAGE and COPY_PAGE exist.
pub const HIGHMEM_ASSIST: u32 = 6;
/// Grant mappings take software bits.
pub const GNTTAB_MAP_AVAIL_BITS: u32 = 7;
/// Hardware virtual machines only.
pub const HVM_CALLBACK_VECTOR: u32 = 8;
/// Hardware virtual machines only.
pub const HVM_SAFE_PVCLOCK: u32 = 9;
/// Hardware virtual machines only.
pub const HVM_PIRQS: u32 = 10;
/// The domain is the first one.
pub const DOM0: u32 = 11;
/// Memory operations take virtual nodes.
pub const MEMORY_OP_VNODE_SUPPORTED: u32 = 13;
/// Physical addresses of the RSDP may lie anywhere.
pub const LINUX_RSDP_UNRESTRICTED: u32 = 15;
/// The domain is not mapped one to one.
pub const NOT_DIRECT_MAPPED: u32 = 16;
/// The domain is mapped one to one.
pub const DIRECT_MAPPED: u32 = 17;
/// Registered runstate areas may be given by physical address (newer than Xen 4.17).
pub const RUNSTATE_PHYS_AREA: u32 = 18;
/// Registered time areas may be given by physical address (newer than Xen 4.17).
pub const VCPU_TIME_PHYS_AREA: u32 = 19;
