//! Page-table updates: `mmu_update`, `update_va_mapping`, `mmuext_op` (`xen.h`), and the bits of an entry.

/// `ptr` is the machine address of a page-table entry, `val` its new value.
pub const NORMAL_PT_UPDATE: u64 = 0;
/// `ptr` is a machine address, `val` the new machine-to-physical entry of its frame.
pub const MACHPHYS_UPDATE: u64 = 1;
/// As normal, but accessed and dirty bits are kept from the old entry.
pub const PT_UPDATE_PRESERVE_AD: u64 = 2;
/// As normal; for translated guests the value is not translated.
pub const PT_UPDATE_NO_TRANSLATE: u64 = 3;
/// The bits of `ptr` that hold one of the four commands above.
pub const UPDATE_COMMAND_MASK: u64 = 3;

/// Bit of `count` in `mmu_update` and `mmuext_op` that a continued call sets (internal to the hypervisor, harmless from a guest).
pub const UPDATE_PREEMPTED: u32 = 1 << 31;

layout! {
    /// One request of `mmu_update`.
    MmuUpdate [16] {
        /// Machine address; the low two bits hold the command.
        @0 ptr: u64,
        /// New contents.
        @8 val: u64,
    }

    /// One request of `mmuext_op`.
    MmuextOp [24] {
        /// One of the `EXT_*` numbers.
        @0 cmd: u32,
        /// Padding.
        @4 _pad: u32,
        /// `mfn` or `linear_addr`.
        @8 arg1: u64,
        /// `nr_ents` (low 32 bits), the address of a vCPU mask, or `src_mfn`.
        @16 arg2: u64,
    }
}

/// Pin `arg1` as an L1 table.
pub const EXT_PIN_L1_TABLE: u32 = 0;
/// Pin `arg1` as an L2 table.
pub const EXT_PIN_L2_TABLE: u32 = 1;
/// Pin `arg1` as an L3 table.
pub const EXT_PIN_L3_TABLE: u32 = 2;
/// Pin `arg1` as an L4 table.
pub const EXT_PIN_L4_TABLE: u32 = 3;
/// Undo a pin of `arg1`.
pub const EXT_UNPIN_TABLE: u32 = 4;
/// Make `arg1` the kernel's page table.
pub const EXT_NEW_BASEPTR: u32 = 5;
/// Flush the calling vCPU's TLB.
pub const EXT_TLB_FLUSH_LOCAL: u32 = 6;
/// Flush address `arg1` on the calling vCPU.
pub const EXT_INVLPG_LOCAL: u32 = 7;
/// Flush the TLBs of the vCPUs in the mask at `arg2`.
pub const EXT_TLB_FLUSH_MULTI: u32 = 8;
/// Flush address `arg1` on the vCPUs in the mask at `arg2`.
pub const EXT_INVLPG_MULTI: u32 = 9;
/// Flush the TLBs of all vCPUs.
pub const EXT_TLB_FLUSH_ALL: u32 = 10;
/// Flush address `arg1` on all vCPUs.
pub const EXT_INVLPG_ALL: u32 = 11;
/// Write back and empty the caches.
pub const EXT_FLUSH_CACHE: u32 = 12;
/// Local descriptor table: address `arg1`, `arg2` entries.
pub const EXT_SET_LDT: u32 = 13;
/// Make `arg1` the user page table; 0 means none.
pub const EXT_NEW_USER_BASEPTR: u32 = 15;
/// Fill frame `arg1` with zeroes.
pub const EXT_CLEAR_PAGE: u32 = 16;
/// Copy frame `arg2` to frame `arg1`.
pub const EXT_COPY_PAGE: u32 = 17;
/// Write back and empty the caches of every processor.
pub const EXT_FLUSH_CACHE_GLOBAL: u32 = 18;
/// Mark a superpage; not supported.
pub const EXT_MARK_SUPER: u32 = 19;
/// Unmark a superpage; not supported.
pub const EXT_UNMARK_SUPER: u32 = 20;

/// `update_va_mapping` flags: no flush.
pub const UVMF_NONE: u64 = 0;
/// Flush the whole TLB.
pub const UVMF_TLB_FLUSH: u64 = 1;
/// Flush the one address.
pub const UVMF_INVLPG: u64 = 2;
/// The bits that hold the kind of flush.
pub const UVMF_FLUSHTYPE_MASK: u64 = 3;
/// On the calling vCPU; any other value without [`UVMF_ALL`] is the address of a vCPU mask.
pub const UVMF_LOCAL: u64 = 0;
/// On all vCPUs.
pub const UVMF_ALL: u64 = 1 << 2;

/// Page-table entry bits, as the processor defines them.
pub mod pte {
    /// Present.
    pub const PRESENT: u64 = 1 << 0;
    /// Writable.
    pub const RW: u64 = 1 << 1;
    /// User (every entry of a PV guest, whose kernel runs in ring 3).
    pub const USER: u64 = 1 << 2;
    /// Write-through.
    pub const PWT: u64 = 1 << 3;
    /// Cache disable.
    pub const PCD: u64 = 1 << 4;
    /// Accessed.
    pub const ACCESSED: u64 = 1 << 5;
    /// Dirty.
    pub const DIRTY: u64 = 1 << 6;
    /// PAT index bit in an L1 entry.
    pub const PAT: u64 = 1 << 7;
    /// Superpage in an L2 or L3 entry.
    pub const PSE: u64 = 1 << 7;
    /// Global.
    pub const GLOBAL: u64 = 1 << 8;
    /// Software bits 9 to 11.
    pub const AVAIL: u64 = 7 << 9;
    /// Software bits 52 to 62.
    pub const AVAIL_HIGH: u64 = 0x7ff << 52;
    /// Set by the hypervisor in L1 entries of the guest kernel's own pages.
    pub const GUEST_KERNEL: u64 = 1 << 52;
    /// No execute.
    pub const NX: u64 = 1 << 63;
    /// The bits that hold the frame's address.
    pub const ADDR_MASK: u64 = 0x000f_ffff_ffff_f000;
}
