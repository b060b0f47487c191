//! One request: a slot of the ring, copied once, becomes a [`Plan`] that lies on the disk, or a [`Fault`] that is answered at once.
//!
//! Nothing of a plan needs to be checked again: sectors are on the disk and on its blocks, segments lie in their pages, lengths agree.

use abi::blkif::{
    DISCARD_SECURE, DiscardRequest, IndirectRequest, MAX_INDIRECT_PAGES, MAX_SEGMENTS, OP_DISCARD, OP_FLUSH, OP_INDIRECT, OP_READ,
    OP_WRITE, OP_WRITE_BARRIER, Request, SECTOR_BYTES, SECTORS_PER_PAGE, SEGMENTS_PER_INDIRECT_PAGE, STATUS_ERROR, STATUS_NOT_SUPPORTED,
    Segment,
};
use abi::zerocopy::transmute;

use crate::block::{Info, SECTOR};

/// What a device offers; what requests are checked against. Lengths are in sectors of 512 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The disk's length.
    pub sectors: u64,
    /// Its logical block: a power of two.
    pub block: u64,
    /// Writes are refused.
    pub read_only: bool,
    /// Discards are carried out.
    pub discard: bool,
    /// Segments of an indirect request at most.
    pub max_indirect: u16,
}

impl Limits {
    /// The limits of a disk that is offered with these properties.
    pub fn new(info: &Info, read_only: bool, max_indirect: u16) -> Self {
        Self {
            sectors: info.bytes / SECTOR,
            block: u64::from(info.logical_block).max(SECTOR) / SECTOR,
            read_only: read_only || info.read_only,
            discard: info.discard.is_some(),
            max_indirect,
        }
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Read or write what the first segments of the request name.
    Transfer {
        /// Where and which way.
        transfer: Transfer,
        /// How many segments.
        segments: usize,
    },
    /// Read or write what the segments in pages of their own name: map `pages`, copy the segments, call [`Transfer::indirect`].
    Indirect {
        /// To the disk?
        write: bool,
        /// First sector.
        sector: u64,
        /// Segments in all pages.
        segments: usize,
        /// Grant references of the pages; 0 beyond those that are needed.
        pages: [u32; MAX_INDIRECT_PAGES],
    },
    /// Make durable what has been answered.
    Flush,
    /// The same for all requests before it, answered or not.
    Barrier,
    /// Forget the contents of sectors.
    Discard {
        /// First sector.
        sector: u64,
        /// How many.
        sectors: u64,
    },
}

/// Data on its way, checked against the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// To the disk?
    pub write: bool,
    /// What else must be durable, and when.
    pub order: Order,
    /// First byte on the disk.
    pub offset: u64,
    /// How many bytes; never 0.
    pub bytes: u64,
}

/// How a write is ordered against others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Not at all.
    #[default]
    None,
    /// What has been answered becomes durable first.
    FlushBefore,
    /// All requests before it are done and durable first; it is durable itself when it is answered, and nothing after it is begun before.
    Barrier,
}

/// Why a request is answered with an error at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation, or this form of it, is not offered.
    NotSupported,
    /// A write to what is read-only.
    ReadOnly,
    /// No segments, or more than there may be.
    Segments,
    /// A segment that does not lie in its page.
    Segment,
    /// Sectors that are not on the disk.
    Range,
    /// Not a multiple of the disk's blocks.
    Misaligned,
}

impl Fault {
    /// The status of the reply.
    pub const fn status(self) -> i16 {
        match self {
            Self::NotSupported => STATUS_NOT_SUPPORTED,
            _ => STATUS_ERROR,
        }
    }
}

/// Reads a request.
///
/// # Errors
/// What is wrong with it.
pub fn plan(request: &Request, limits: &Limits) -> Result<Plan, Fault> {
    let order = match request.operation {
        OP_READ => return direct(request, limits, false, Order::None),
        OP_WRITE => Order::None,
        OP_FLUSH if request.nr_segments == 0 => return Ok(Plan::Flush),
        OP_FLUSH => Order::FlushBefore,
        OP_WRITE_BARRIER if request.nr_segments == 0 => return Ok(Plan::Barrier),
        OP_WRITE_BARRIER => Order::Barrier,
        OP_INDIRECT => return indirect(&transmute!(*request), limits),
        OP_DISCARD => return discard(&transmute!(*request), limits),
        _ => return Err(Fault::NotSupported),
    };
    direct(request, limits, true, order)
}

fn direct(request: &Request, limits: &Limits, write: bool, order: Order) -> Result<Plan, Fault> {
    let segments = usize::from(request.nr_segments);
    if segments == 0 || segments > MAX_SEGMENTS {
        return Err(Fault::Segments);
    }
    let transfer = transfer(write, order, request.sector_number, &request.seg[..segments], limits)?;
    Ok(Plan::Transfer { transfer, segments })
}

fn indirect(request: &IndirectRequest, limits: &Limits) -> Result<Plan, Fault> {
    let write = match request.indirect_op {
        OP_READ => false,
        OP_WRITE => true,
        _ => return Err(Fault::NotSupported),
    };
    if request.nr_segments == 0 || request.nr_segments > limits.max_indirect {
        return Err(Fault::Segments);
    }
    if write && limits.read_only {
        return Err(Fault::ReadOnly);
    }
    let segments = usize::from(request.nr_segments);
    let mut pages = request.indirect_grefs;
    pages.iter_mut().skip(segments.div_ceil(SEGMENTS_PER_INDIRECT_PAGE)).for_each(|page| *page = 0);
    Ok(Plan::Indirect { write, sector: request.sector_number, segments, pages })
}

fn discard(request: &DiscardRequest, limits: &Limits) -> Result<Plan, Fault> {
    let (sector, sectors) = (request.sector_number, request.nr_sectors);
    if !limits.discard || request.flag & DISCARD_SECURE != 0 {
        return Err(Fault::NotSupported);
    }
    if limits.read_only {
        return Err(Fault::ReadOnly);
    }
    range(sector, sectors, limits)?;
    Ok(Plan::Discard { sector, sectors })
}

impl Transfer {
    /// The second step of [`Plan::Indirect`].
    ///
    /// # Errors
    /// What is wrong with its segments.
    pub fn indirect(write: bool, sector: u64, segments: &[Segment], limits: &Limits) -> Result<Self, Fault> {
        transfer(write, Order::None, sector, segments, limits)
    }
}

fn transfer(write: bool, order: Order, sector: u64, segments: &[Segment], limits: &Limits) -> Result<Transfer, Fault> {
    if write && limits.read_only {
        return Err(Fault::ReadOnly);
    }
    let mut sectors = 0;
    for segment in segments {
        let (first, last) = (u32::from(segment.first_sect), u32::from(segment.last_sect));
        if first > last || last >= SECTORS_PER_PAGE {
            return Err(Fault::Segment);
        }
        sectors += u64::from(last - first + 1);
    }
    range(sector, sectors, limits)?;
    // Memory need not lie on blocks of more than a sector as a whole, but no piece of it may split one.
    if limits.block > 1 && segments.iter().any(|segment| !is_multiple(extent(segment).1.into(), limits.block * SECTOR)) {
        return Err(Fault::Misaligned);
    }
    Ok(Transfer { write, order, offset: sector * SECTOR, bytes: sectors * SECTOR })
}

/// Sectors that lie on the disk and on its blocks.
fn range(sector: u64, sectors: u64, limits: &Limits) -> Result<(), Fault> {
    if sectors == 0 || sector.checked_add(sectors).is_none_or(|end| end > limits.sectors) {
        return Err(Fault::Range);
    }
    if is_multiple(sector, limits.block) && is_multiple(sectors, limits.block) { Ok(()) } else { Err(Fault::Misaligned) }
}

/// Blocks are powers of two: no division where every request passes.
fn is_multiple(number: u64, block: u64) -> bool {
    number & (block - 1) == 0
}

/// The part of its page that a checked segment names: first byte and how many.
pub fn extent(segment: &Segment) -> (u32, u32) {
    let (first, last) = (u32::from(segment.first_sect), u32::from(segment.last_sect));
    (first * SECTOR_BYTES, (last + 1 - first) * SECTOR_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::zerocopy::{FromBytes, IntoBytes};
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { sectors: 1000, block: 1, read_only: false, discard: true, max_indirect: 256 };

    fn request(operation: u8, sector_number: u64, segments: &[(u8, u8)]) -> Request {
        let mut request = Request { operation, nr_segments: segments.len() as u8, sector_number, ..Request::default() };
        for (to, &(first_sect, last_sect)) in request.seg.iter_mut().zip(segments) {
            *to = Segment { gref: 9, first_sect, last_sect, _pad: 0 };
        }
        request
    }

    fn transfer_of(plan: Result<Plan, Fault>) -> Transfer {
        match plan {
            Ok(Plan::Transfer { transfer, .. }) => transfer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_and_writes() {
        let read = transfer_of(plan(&request(OP_READ, 8, &[(0, 7), (2, 3)]), &LIMITS));
        assert_eq!(read, Transfer { write: false, order: Order::None, offset: 4096, bytes: 5120 });
        assert!(transfer_of(plan(&request(OP_WRITE, 8, &[(7, 7)]), &LIMITS)).write);
        assert_eq!(transfer_of(plan(&request(OP_WRITE_BARRIER, 0, &[(0, 0)]), &LIMITS)).order, Order::Barrier);
        assert_eq!(transfer_of(plan(&request(OP_FLUSH, 0, &[(0, 0)]), &LIMITS)).order, Order::FlushBefore);
        assert_eq!(plan(&request(OP_FLUSH, u64::MAX, &[]), &LIMITS), Ok(Plan::Flush));
        assert_eq!(plan(&request(OP_WRITE_BARRIER, 0, &[]), &LIMITS), Ok(Plan::Barrier));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let fails = |request: Request, fault| assert_eq!(plan(&request, &LIMITS), Err(fault), "{request:?}");
        fails(request(OP_READ, 0, &[]), Fault::Segments);
        fails(Request { nr_segments: 12, ..request(OP_READ, 0, &[(0, 0)]) }, Fault::Segments);
        fails(Request { nr_segments: 255, ..request(OP_FLUSH, 0, &[(0, 0)]) }, Fault::Segments);
        fails(request(OP_READ, 0, &[(3, 2)]), Fault::Segment);
        fails(request(OP_READ, 0, &[(0, 8)]), Fault::Segment);
        fails(request(OP_READ, 0, &[(255, 255)]), Fault::Segment);
        fails(request(OP_READ, 1000, &[(0, 0)]), Fault::Range);
        fails(request(OP_READ, 993, &[(0, 7)]), Fault::Range);
        fails(request(OP_WRITE, u64::MAX, &[(0, 0)]), Fault::Range);
        fails(request(OP_WRITE, u64::MAX - 1, &[(0, 7)]), Fault::Range);
        for operation in [4, 7, 99, 255] {
            fails(request(operation, 0, &[(0, 0)]), Fault::NotSupported);
        }
    }

    #[test]
    fn read_only_means_it() {
        let limits = Limits { read_only: true, ..LIMITS };
        for operation in [OP_WRITE, OP_WRITE_BARRIER, OP_FLUSH] {
            assert_eq!(plan(&request(operation, 0, &[(0, 0)]), &limits), Err(Fault::ReadOnly));
        }
        assert!(plan(&request(OP_READ, 0, &[(0, 0)]), &limits).is_ok());
        assert_eq!(plan(&discard_of(0, 8, 0), &limits), Err(Fault::ReadOnly));
        assert_eq!(plan(&indirect_of(OP_WRITE, 1), &limits), Err(Fault::ReadOnly));
        assert_eq!(plan(&request(OP_FLUSH, 0, &[]), &limits), Ok(Plan::Flush));
    }

    fn discard_of(sector_number: u64, nr_sectors: u64, flag: u8) -> Request {
        transmute!(DiscardRequest { operation: OP_DISCARD, flag, sector_number, nr_sectors, ..DiscardRequest::default() })
    }

    fn indirect_of(indirect_op: u8, nr_segments: u16) -> Request {
        let indirect_grefs = [1, 2, 3, 4, 5, 6, 7, 8];
        let request = IndirectRequest {
            operation: OP_INDIRECT,
            indirect_op,
            nr_segments,
            sector_number: 16,
            indirect_grefs,
            ..IndirectRequest::default()
        };
        transmute!(request)
    }

    #[test]
    fn discards() {
        assert_eq!(plan(&discard_of(8, 16, 0), &LIMITS), Ok(Plan::Discard { sector: 8, sectors: 16 }));
        assert_eq!(plan(&discard_of(8, 16, DISCARD_SECURE), &LIMITS), Err(Fault::NotSupported));
        assert_eq!(plan(&discard_of(8, 16, 0), &Limits { discard: false, ..LIMITS }), Err(Fault::NotSupported));
        for (sector, sectors) in [(0, 0), (0, 1001), (999, 2), (u64::MAX, u64::MAX)] {
            assert_eq!(plan(&discard_of(sector, sectors, 0), &LIMITS), Err(Fault::Range));
        }
        assert_eq!(plan(&discard_of(4, 8, 0), &Limits { block: 8, ..LIMITS }), Err(Fault::Misaligned));
    }

    #[test]
    fn indirect_requests_need_a_second_step() {
        let pages = [1, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(plan(&indirect_of(OP_READ, 256), &LIMITS), Ok(Plan::Indirect { write: false, sector: 16, segments: 256, pages }));
        for count in [0, 257, u16::MAX] {
            assert_eq!(plan(&indirect_of(OP_READ, count), &LIMITS), Err(Fault::Segments));
        }
        for operation in [OP_FLUSH, OP_WRITE_BARRIER, OP_DISCARD, OP_INDIRECT] {
            assert_eq!(plan(&indirect_of(operation, 1), &LIMITS), Err(Fault::NotSupported));
        }
        let whole = Segment { gref: 1, first_sect: 0, last_sect: 7, _pad: 0 };
        let read = Transfer::indirect(false, 16, &[whole; 30], &LIMITS).unwrap();
        assert_eq!((read.offset, read.bytes), (16 * 512, 30 * 4096));
        assert_eq!(Transfer::indirect(false, 16, &[whole; 200], &LIMITS), Err(Fault::Range));
        assert_eq!(Transfer::indirect(true, 16, &[Segment { first_sect: 8, ..whole }], &LIMITS), Err(Fault::Segment));
    }

    #[test]
    fn large_blocks_are_kept_whole() {
        let limits = Limits { block: 8, ..LIMITS };
        assert!(plan(&request(OP_READ, 8, &[(0, 7)]), &limits).is_ok());
        assert_eq!(plan(&request(OP_READ, 9, &[(0, 7)]), &limits), Err(Fault::Misaligned));
        assert_eq!(plan(&request(OP_READ, 8, &[(0, 3)]), &limits), Err(Fault::Misaligned));
        assert_eq!(plan(&request(OP_READ, 8, &[(0, 3), (0, 3)]), &limits), Err(Fault::Misaligned));
    }

    proptest! {
        /// Whatever the slot's bytes are, what is let through lies on the disk, and nothing panics.
        #[test]
        fn no_slot_leads_beyond_the_disk(
            mut bytes in prop::collection::vec(any::<u8>(), 112),
            operation in 0u8..8, count in 0u8..14, sector in prop_oneof![0u64..1100, any::<u64>()],
            block in prop_oneof![Just(1u64), Just(8)], read_only in any::<bool>(),
        ) {
            bytes[0] = operation;
            if operation != OP_DISCARD && operation != OP_INDIRECT {
                bytes[1] = count;
            }
            bytes[16..24].copy_from_slice(&sector.to_le_bytes());
            for segment in bytes[24..].as_chunks_mut::<8>().0 {
                segment[4] %= 9;
                segment[5] %= 9;
            }
            let request = Request::read_from_bytes(&bytes).unwrap();
            let limits = Limits { block, read_only, ..LIMITS };
            match plan(&request, &limits) {
                Ok(Plan::Transfer { transfer, segments }) => {
                    prop_assert!(transfer.offset + transfer.bytes <= 1000 * 512);
                    prop_assert!(!(transfer.write && read_only));
                    prop_assert_eq!(transfer.offset % (block * 512), 0);
                    let parts: Vec<_> = request.seg[..segments].iter().map(extent).collect();
                    prop_assert!(parts.iter().all(|(at, bytes)| at + bytes <= 4096 && *bytes > 0));
                    prop_assert_eq!(parts.iter().map(|(_, bytes)| u64::from(*bytes)).sum::<u64>(), transfer.bytes);
                }
                Ok(Plan::Discard { sector, sectors }) => prop_assert!(sector + sectors <= 1000 && !read_only),
                Ok(Plan::Indirect { segments, write, .. }) => prop_assert!((1..=256).contains(&segments) && !(write && read_only)),
                Ok(Plan::Flush | Plan::Barrier) => {}
                Err(fault) => prop_assert!(fault.status() < 0),
            }
            prop_assert_eq!(request.as_bytes(), &bytes[..]);
        }
    }

    use std::vec::Vec;
}
