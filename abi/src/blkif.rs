//! The block device protocol (`io/blkif.h`), in the layout of 64-bit x86 (`protocol` = [`PROTOCOL`]).
//!
//! A slot of the ring holds one of three requests, told apart by their first byte, and later a [`Response`]. All offsets and lengths on
//! the ring are in sectors of 512 bytes, whatever the disk's own sector size.

/// What a front end writes as `protocol`.
pub const PROTOCOL: &str = "x86_64-abi";

/// Bytes of a sector on the ring.
pub const SECTOR_BYTES: u32 = 512;
/// Sectors of a page.
pub const SECTORS_PER_PAGE: u32 = 8;

/// Read: [`Request`].
pub const OP_READ: u8 = 0;
/// Write: [`Request`].
pub const OP_WRITE: u8 = 1;
/// Write, with everything before it made durable first and itself durable when it is answered: [`Request`]. Superseded by [`OP_FLUSH`].
pub const OP_WRITE_BARRIER: u8 = 2;
/// Make durable what has been answered: [`Request`], usually without segments.
pub const OP_FLUSH: u8 = 3;
/// Forget the contents of sectors: [`DiscardRequest`].
pub const OP_DISCARD: u8 = 5;
/// Read or write whose segments lie in pages of their own: [`IndirectRequest`].
pub const OP_INDIRECT: u8 = 6;

/// Done.
pub const STATUS_OKAY: i16 = 0;
/// Failed.
pub const STATUS_ERROR: i16 = -1;
/// The back end does not offer this operation.
pub const STATUS_NOT_SUPPORTED: i16 = -2;

/// Segments in a [`Request`] at most (`BLKIF_MAX_SEGMENTS_PER_REQUEST`).
pub const MAX_SEGMENTS: usize = 11;
/// Pages of segments in an [`IndirectRequest`] at most (`BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST`).
pub const MAX_INDIRECT_PAGES: usize = 8;
/// Segments in a page of an [`IndirectRequest`].
pub const SEGMENTS_PER_INDIRECT_PAGE: usize = 512;

/// `flag` of [`DiscardRequest`]: what is discarded must not be readable any more.
pub const DISCARD_SECURE: u8 = 1;

/// Bit of the node `info`: a CD-ROM.
pub const INFO_CDROM: u32 = 1;
/// Bit of the node `info`: a removable medium.
pub const INFO_REMOVABLE: u32 = 2;
/// Bit of the node `info`: read-only.
pub const INFO_READONLY: u32 = 4;

layout! {
    /// A part of a granted page.
    Segment [8] {
        /// Grant reference of the page.
        @0 gref: u32,
        /// First sector in the page, 0 to 7.
        @4 first_sect: u8,
        /// Last sector in the page, inclusive, `first_sect` to 7.
        @5 last_sect: u8,
        /// Padding.
        @6 _pad: u16,
    }

    /// `blkif_request`: read, write, barrier, flush.
    Request [112] {
        /// `OP_*`.
        @0 operation: u8,
        /// Valid entries of `seg`.
        @1 nr_segments: u8,
        /// The virtual device, as the front end numbers it.
        @2 handle: u16,
        /// Padding.
        @4 _pad: u32,
        /// Comes back in the response.
        @8 id: u64,
        /// First sector on the disk.
        @16 sector_number: u64,
        /// Where the data lies.
        @24 seg: [Segment; 11],
    }

    /// `blkif_request_discard`.
    DiscardRequest [112] {
        /// [`OP_DISCARD`].
        @0 operation: u8,
        /// 0 or [`DISCARD_SECURE`].
        @1 flag: u8,
        /// The virtual device.
        @2 handle: u16,
        /// Padding.
        @4 _pad: u32,
        /// Comes back in the response.
        @8 id: u64,
        /// First sector on the disk.
        @16 sector_number: u64,
        /// How many.
        @24 nr_sectors: u64,
        /// The rest of the slot.
        @32 _rest: [u8; 80],
    }

    /// `blkif_request_indirect`.
    IndirectRequest [112] {
        /// [`OP_INDIRECT`].
        @0 operation: u8,
        /// [`OP_READ`] or [`OP_WRITE`].
        @1 indirect_op: u8,
        /// Segments in all pages together.
        @2 nr_segments: u16,
        /// Padding.
        @4 _pad: u32,
        /// Comes back in the response.
        @8 id: u64,
        /// First sector on the disk.
        @16 sector_number: u64,
        /// The virtual device.
        @24 handle: u16,
        /// Padding.
        @26 _pad2: u16,
        /// Grant references of the pages that hold the segments.
        @28 indirect_grefs: [u32; 8],
        /// The rest of the slot.
        @60 _rest: [u8; 52],
    }

    /// `blkif_response`.
    Response [16] {
        /// Of the request.
        @0 id: u64,
        /// Of the request.
        @8 operation: u8,
        /// Padding.
        @9 _pad: u8,
        /// `STATUS_*`.
        @10 status: i16,
        /// Padding.
        @12 _pad2: u32,
    }
}
