//! `memory_op`: a domain's reservation and what describes it (`memory.h`).

/// Add frames anywhere: [`Reservation`]; the result is the number of extents done.
pub const OP_INCREASE_RESERVATION: u32 = 0;
/// Give frames back: [`Reservation`]; the result is the number of extents done.
pub const OP_DECREASE_RESERVATION: u32 = 1;
/// The highest machine frame; no argument.
pub const OP_MAXIMUM_RAM_PAGE: u32 = 2;
/// How many frames a domain has: [`MemoryDomain`].
pub const OP_CURRENT_RESERVATION: u32 = 3;
/// How many frames a domain may have: [`MemoryDomain`].
pub const OP_MAXIMUM_RESERVATION: u32 = 4;
/// Frames that hold the machine-to-physical table: [`MachphysMfnList`].
pub const OP_MACHPHYS_MFN_LIST: u32 = 5;
/// Add frames at given pseudo-physical frames: [`Reservation`]; the result is the number of extents done.
pub const OP_POPULATE_PHYSMAP: u32 = 6;
/// Translated guests only: [`AddToPhysmap`].
pub const OP_ADD_TO_PHYSMAP: u32 = 7;
/// The calling domain's memory map: [`MemoryMap`] of [`E820Entry`].
pub const OP_MEMORY_MAP: u32 = 9;
/// The machine's memory map, for privileged domains: [`MemoryMap`] of [`E820Entry`].
pub const OP_MACHINE_MEMORY_MAP: u32 = 10;
/// Swap frames for others: [`Exchange`].
pub const OP_EXCHANGE: u32 = 11;
/// Where the machine-to-physical table is mapped: [`MachphysMapping`].
pub const OP_MACHPHYS_MAPPING: u32 = 12;
/// Set another domain's memory map: [`ForeignMemoryMap`].
pub const OP_SET_MEMORY_MAP: u32 = 13;
/// The highest pseudo-physical frame of a domain: [`MemoryDomain`].
pub const OP_MAXIMUM_GPFN: u32 = 14;
/// Translated guests only.
pub const OP_REMOVE_FROM_PHYSMAP: u32 = 15;
/// Populate on demand.
pub const OP_SET_POD_TARGET: u32 = 16;
/// Populate on demand.
pub const OP_GET_POD_TARGET: u32 = 17;
/// Translated guests only.
pub const OP_ADD_TO_PHYSMAP_BATCH: u32 = 23;
/// Claim frames ahead of use: [`Reservation`].
pub const OP_CLAIM_PAGES: u32 = 24;
/// The machine-to-physical table for 32-bit guests.
pub const OP_MACHPHYS_COMPAT_MFN_LIST: u32 = 25;
/// Virtual NUMA.
pub const OP_GET_VNUMAINFO: u32 = 26;
/// Reserved device memory.
pub const OP_RESERVED_DEVICE_MEMORY_MAP: u32 = 27;
/// Frames of another domain's resource: [`AcquireResource`].
pub const OP_ACQUIRE_RESOURCE: u32 = 28;

/// The low bits of `rdi` that hold the operation; the rest is where a continued call goes on (`memory.h`, MEMOP_CMD_MASK).
pub const OP_MASK: u64 = 0x3f;
/// How far the continuation is shifted up in `rdi` (MEMOP_EXTENT_SHIFT).
pub const CONTINUATION_SHIFT: u32 = 6;

/// Usable memory in an [`E820Entry`].
pub const E820_RAM: u32 = 1;
/// Reserved memory.
pub const E820_RESERVED: u32 = 2;
/// ACPI tables, reclaimable.
pub const E820_ACPI: u32 = 3;
/// ACPI non-volatile storage.
pub const E820_NVS: u32 = 4;
/// Unusable memory.
pub const E820_UNUSABLE: u32 = 5;

/// Resource type of [`AcquireResource`]: the grant table.
pub const RESOURCE_GRANT_TABLE: u16 = 1;
/// Resource identifier: the shared frames of the grant table.
pub const RESOURCE_GRANT_TABLE_SHARED: u32 = 0;
/// Resource identifier: the status frames of a version 2 grant table.
pub const RESOURCE_GRANT_TABLE_STATUS: u32 = 1;

layout! {
    /// `xen_memory_reservation`: a list of extents, each of 2^`extent_order` frames.
    Reservation [32] {
        /// Guest address of an array of `u64` frame numbers, one an extent.
        @0 extent_start: u64,
        /// Length of that array.
        @8 nr_extents: u64,
        /// log2 of the frames in an extent.
        @16 extent_order: u32,
        /// Bits 0-7: at most so many address bits (0 = any); the rest NUMA and populate-on-demand.
        @20 mem_flags: u32,
        /// Whose reservation.
        @24 domid: u16,
        /// Padding.
        @26 _pad: [u16; 3],
    }

    /// `xen_memory_exchange`.
    Exchange [72] {
        /// What is given.
        @0 input: Reservation,
        /// What is wanted.
        @32 output: Reservation,
        /// Input extents done, written back; 0 on entry.
        @64 nr_exchanged: u64,
    }

    /// The argument that only names a domain.
    MemoryDomain [2] {
        /// Which domain.
        @0 domid: u16,
    }

    /// `xen_machphys_mfn_list`.
    MachphysMfnList [24] {
        /// Room in the array.
        @0 max_extents: u32,
        /// Padding.
        @4 _pad0: u32,
        /// Guest address of an array of `u64` frame numbers.
        @8 extent_start: u64,
        /// How many were written.
        @16 nr_extents: u32,
        /// Padding.
        @20 _pad1: u32,
    }

    /// `xen_machphys_mapping`: all out.
    MachphysMapping [24] {
        /// First address of the table.
        @0 v_start: u64,
        /// First address behind it.
        @8 v_end: u64,
        /// Highest frame number that has an entry.
        @16 max_mfn: u64,
    }

    /// `xen_add_to_physmap`.
    AddToPhysmap [24] {
        /// Whose.
        @0 domid: u16,
        /// Frames, for ranges.
        @2 size: u16,
        /// Source space.
        @4 space: u32,
        /// Index into the space.
        @8 idx: u64,
        /// Where it is to appear.
        @16 gpfn: u64,
    }

    /// `xen_memory_map`.
    MemoryMap [16] {
        /// In: room in the buffer, in entries; out: entries written.
        @0 nr_entries: u32,
        /// Padding.
        @4 _pad: u32,
        /// Guest address of an array of [`E820Entry`].
        @8 buffer: u64,
    }

    /// `xen_foreign_memory_map`.
    ForeignMemoryMap [24] {
        /// Whose map.
        @0 domid: u16,
        /// Padding.
        @2 _pad: [u16; 3],
        /// The map.
        @8 map: MemoryMap,
    }

    /// `xen_mem_acquire_resource`.
    AcquireResource [32] {
        /// Whose resource.
        @0 domid: u16,
        /// One of the `RESOURCE_*` types.
        @2 kind: u16,
        /// Which one of that type.
        @4 id: u32,
        /// In: frames wanted, or 0 to ask for the size; out: the size, if asked.
        @8 nr_frames: u32,
        /// Must be 0.
        @12 pad: u32,
        /// First frame wanted.
        @16 frame: u64,
        /// Guest address of an array of `u64` frame numbers.
        @24 frame_list: u64,
    }
}

/// One entry of a memory map, 20 bytes and packed as the BIOS defined it; `addr` and `size` in bytes, `kind` one of `E820_*`.
#[repr(C, packed)]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
    zerocopy::Unaligned,
)]
pub struct E820Entry {
    /// First byte.
    pub addr: u64,
    /// Length in bytes.
    pub size: u64,
    /// One of the `E820_*` numbers.
    pub kind: u32,
}

const _: () = assert!(size_of::<E820Entry>() == 20);
