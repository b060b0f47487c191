//! Grant tables, version 1 entries, operations and status codes (`grant_table.h`).

/// Array of [`MapGrantRef`].
pub const OP_MAP_GRANT_REF: u32 = 0;
/// Array of [`UnmapGrantRef`].
pub const OP_UNMAP_GRANT_REF: u32 = 1;
/// [`SetupTable`], one only.
pub const OP_SETUP_TABLE: u32 = 2;
/// Debugging.
pub const OP_DUMP_TABLE: u32 = 3;
/// Transfers a frame; not supported.
pub const OP_TRANSFER: u32 = 4;
/// Array of [`struct@Copy`].
pub const OP_COPY: u32 = 5;
/// [`QuerySize`].
pub const OP_QUERY_SIZE: u32 = 6;
/// Array of [`UnmapAndReplace`].
pub const OP_UNMAP_AND_REPLACE: u32 = 7;
/// [`SetVersion`].
pub const OP_SET_VERSION: u32 = 8;
/// [`GetStatusFrames`] (version 2).
pub const OP_GET_STATUS_FRAMES: u32 = 9;
/// [`GetVersion`].
pub const OP_GET_VERSION: u32 = 10;
/// [`SwapGrantRef`].
pub const OP_SWAP_GRANT_REF: u32 = 11;
/// Cache maintenance.
pub const OP_CACHE_FLUSH: u32 = 12;

/// Entries that the toolstack may fill before a guest starts.
pub const NR_RESERVED_ENTRIES: u32 = 8;
/// The reserved entry of the console page.
pub const RESERVED_CONSOLE: u32 = 0;
/// The reserved entry of the xenstore page.
pub const RESERVED_XENSTORE: u32 = 1;

/// Entry type: unused.
pub const GTF_INVALID: u16 = 0;
/// Entry type: `domid` may map or copy the frame.
pub const GTF_PERMIT_ACCESS: u16 = 1;
/// Entry type: `domid` may transfer a frame.
pub const GTF_ACCEPT_TRANSFER: u16 = 2;
/// Entry type: grant of a grant (version 2).
pub const GTF_TRANSITIVE: u16 = 3;
/// The bits of the type.
pub const GTF_TYPE_MASK: u16 = 3;
/// For reading only.
pub const GTF_READONLY: u16 = 1 << 2;
/// In use for reading; set by the hypervisor.
pub const GTF_READING: u16 = 1 << 3;
/// In use for writing; set by the hypervisor.
pub const GTF_WRITING: u16 = 1 << 4;
/// Write-through.
pub const GTF_PWT: u16 = 1 << 5;
/// Cache disable.
pub const GTF_PCD: u16 = 1 << 6;
/// PAT index bit.
pub const GTF_PAT: u16 = 1 << 7;
/// Part of a page only (version 2).
pub const GTF_SUB_PAGE: u16 = 1 << 8;

/// Map for a device.
pub const GNTMAP_DEVICE_MAP: u32 = 1 << 0;
/// Map for the processor.
pub const GNTMAP_HOST_MAP: u32 = 1 << 1;
/// For reading only.
pub const GNTMAP_READONLY: u32 = 1 << 2;
/// Accessible to the guest's user mode too.
pub const GNTMAP_APPLICATION_MAP: u32 = 1 << 3;
/// `host_addr` is the machine address of an L1 entry, not a virtual address.
pub const GNTMAP_CONTAINS_PTE: u32 = 1 << 4;
/// Where the guest's software bits start.
pub const GNTMAP_GUEST_AVAIL_SHIFT: u32 = 16;
/// The guest's software bits.
pub const GNTMAP_GUEST_AVAIL_MASK: u32 = !0 << GNTMAP_GUEST_AVAIL_SHIFT;

/// `source` of a [`struct@Copy`] is a grant reference, not a frame.
pub const GNTCOPY_SOURCE_GREF: u16 = 1 << 0;
/// `dest` of a [`struct@Copy`] is a grant reference, not a frame.
pub const GNTCOPY_DEST_GREF: u16 = 1 << 1;

/// Done.
pub const GNTST_OKAY: i16 = 0;
/// Undefined error.
pub const GNTST_GENERAL_ERROR: i16 = -1;
/// Unrecognised domain.
pub const GNTST_BAD_DOMAIN: i16 = -2;
/// Invalid grant reference.
pub const GNTST_BAD_GNTREF: i16 = -3;
/// Invalid mapping handle.
pub const GNTST_BAD_HANDLE: i16 = -4;
/// Invalid virtual address.
pub const GNTST_BAD_VIRT_ADDR: i16 = -5;
/// Invalid device address.
pub const GNTST_BAD_DEV_ADDR: i16 = -6;
/// No room in the I/O MMU.
pub const GNTST_NO_DEVICE_SPACE: i16 = -7;
/// Permission denied.
pub const GNTST_PERMISSION_DENIED: i16 = -8;
/// The page cannot be used so.
pub const GNTST_BAD_PAGE: i16 = -9;
/// A copy crosses a page boundary.
pub const GNTST_BAD_COPY_ARG: i16 = -10;
/// Page address too large.
pub const GNTST_ADDRESS_TOO_BIG: i16 = -11;
/// Try again.
pub const GNTST_EAGAIN: i16 = -12;
/// Out of space.
pub const GNTST_NO_SPACE: i16 = -13;

/// What a status code means, in a few words.
pub const fn status_meaning(status: i16) -> &'static str {
    match status {
        GNTST_OKAY => "okay",
        GNTST_BAD_DOMAIN => "unrecognised domain",
        GNTST_BAD_GNTREF => "invalid grant reference",
        GNTST_BAD_HANDLE => "invalid mapping handle",
        GNTST_BAD_VIRT_ADDR => "invalid virtual address",
        GNTST_BAD_DEV_ADDR => "invalid device address",
        GNTST_NO_DEVICE_SPACE => "no room in the I/O MMU",
        GNTST_PERMISSION_DENIED => "permission denied",
        GNTST_BAD_PAGE => "bad page",
        GNTST_BAD_COPY_ARG => "copy crosses a page boundary",
        GNTST_ADDRESS_TOO_BIG => "page address too large",
        GNTST_EAGAIN => "try again",
        GNTST_NO_SPACE => "out of space",
        _ => "undefined error",
    }
}

/// Version 1 entries in a frame.
pub const ENTRIES_PER_FRAME_V1: u32 = 512;

layout! {
    /// A version 1 grant entry.
    EntryV1 [8] {
        /// Type and `GTF_*` flags; written last by the granter.
        @0 flags: u16,
        /// The domain that may use it.
        @2 domid: u16,
        /// The frame (for PV guests a machine frame).
        @4 frame: u32,
    }

    /// Maps a grant.
    MapGrantRef [32] {
        /// Virtual address, or machine address of an L1 entry with [`GNTMAP_CONTAINS_PTE`].
        @0 host_addr: u64,
        /// `GNTMAP_*`.
        @8 flags: u32,
        /// The reference.
        @12 grant_ref: u32,
        /// Whose grant.
        @16 dom: u16,
        /// Out: `GNTST_*`.
        @18 status: i16,
        /// Out: handle for unmapping.
        @20 handle: u32,
        /// Out: machine address.
        @24 dev_bus_addr: u64,
    }

    /// Undoes a mapping.
    UnmapGrantRef [24] {
        /// As when mapping.
        @0 host_addr: u64,
        /// As mapping returned, or 0.
        @8 dev_bus_addr: u64,
        /// As mapping returned.
        @16 handle: u32,
        /// Out: `GNTST_*`.
        @20 status: i16,
        /// Padding.
        @22 _pad: u16,
    }

    /// Grows a grant table and returns its frames.
    SetupTable [24] {
        /// Whose.
        @0 dom: u16,
        /// Padding.
        @2 _pad0: u16,
        /// Frames wanted.
        @4 nr_frames: u32,
        /// Out: `GNTST_*`.
        @8 status: i16,
        /// Padding.
        @10 _pad1: [u16; 3],
        /// Guest address of an array of `u64` frame numbers, filled in.
        @16 frame_list: u64,
    }

    /// One end of a [`struct@Copy`].
    CopyPtr [16] {
        /// Grant reference (low 32 bits) or frame.
        @0 ref_or_frame: u64,
        /// Whose.
        @8 domid: u16,
        /// Offset in the page, in bytes.
        @10 offset: u16,
        /// Padding.
        @12 _pad: u32,
    }

    /// Copies bytes between two pages.
    Copy [40] {
        /// From.
        @0 source: CopyPtr,
        /// To.
        @16 dest: CopyPtr,
        /// Bytes.
        @32 len: u16,
        /// `GNTCOPY_*`.
        @34 flags: u16,
        /// Out: `GNTST_*`.
        @36 status: i16,
        /// Padding.
        @38 _pad: u16,
    }

    /// Asks for the size of a grant table.
    QuerySize [16] {
        /// Whose.
        @0 dom: u16,
        /// Padding.
        @2 _pad0: u16,
        /// Out: frames in use.
        @4 nr_frames: u32,
        /// Out: frames at most.
        @8 max_nr_frames: u32,
        /// Out: `GNTST_*`.
        @12 status: i16,
        /// Padding.
        @14 _pad1: u16,
    }

    /// Undoes a mapping and leaves the mapping of `new_addr` in its place.
    UnmapAndReplace [24] {
        /// As when mapping.
        @0 host_addr: u64,
        /// Whose entry moves.
        @8 new_addr: u64,
        /// As mapping returned.
        @16 handle: u32,
        /// Out: `GNTST_*`.
        @20 status: i16,
        /// Padding.
        @22 _pad: u16,
    }

    /// Chooses the entry layout.
    SetVersion [4] {
        /// In: wanted; out: in force.
        @0 version: u32,
    }

    /// Frames of the version 2 status words.
    GetStatusFrames [16] {
        /// Frames wanted.
        @0 nr_frames: u32,
        /// Whose.
        @4 dom: u16,
        /// Out: `GNTST_*`.
        @6 status: i16,
        /// Guest address of an array of `u64` frame numbers.
        @8 frame_list: u64,
    }

    /// Asks for the entry layout.
    GetVersion [8] {
        /// Whose.
        @0 dom: u16,
        /// Padding.
        @2 _pad: u16,
        /// Out.
        @4 version: u32,
    }

    /// Swaps two entries.
    SwapGrantRef [12] {
        /// One.
        @0 ref_a: u32,
        /// The other.
        @4 ref_b: u32,
        /// Out: `GNTST_*`.
        @8 status: i16,
        /// Padding.
        @10 _pad: u16,
    }
}
