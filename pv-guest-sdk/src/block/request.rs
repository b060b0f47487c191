//! The messages: what is asked for becomes a slot of the ring.

use abi::blkif::{
    DISCARD_SECURE, DiscardRequest, IndirectRequest, MAX_SEGMENTS, OP_DISCARD, OP_FLUSH, OP_INDIRECT, OP_READ, OP_WRITE, OP_WRITE_BARRIER,
    Request, SECTORS_PER_PAGE, SEGMENTS_PER_INDIRECT_PAGE, Segment,
};
use abi::layout::PAGE_SIZE;
use abi::zerocopy::transmute;

use super::page::Page;
use crate::grants::GrantRef;

/// What is asked for, apart from where the data lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read so many bytes from a sector on.
    Read {
        /// First sector.
        sector: u64,
        /// Bytes: a multiple of 512.
        bytes: usize,
    },
    /// Write likewise.
    Write {
        /// First sector.
        sector: u64,
        /// Bytes: a multiple of 512.
        bytes: usize,
    },
    /// Make durable what has been answered.
    Flush,
    /// The same, for back ends that have barriers only.
    Barrier,
    /// Forget the contents of sectors.
    Discard {
        /// First sector.
        sector: u64,
        /// How many.
        sectors: u64,
        /// Leave nothing readable.
        secure: bool,
    },
}

impl Operation {
    /// Data that goes with it, in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Operation::Read { bytes, .. } | Operation::Write { bytes, .. } => bytes,
            _ => 0,
        }
    }

    /// Pages that the data takes.
    pub fn data_pages(self) -> usize {
        self.bytes().div_ceil(PAGE_SIZE)
    }

    /// Pages that the segments take, if they do not fit into the request itself.
    pub fn segment_pages(self) -> usize {
        let segments = self.data_pages();
        if segments > MAX_SEGMENTS { segments.div_ceil(SEGMENTS_PER_INDIRECT_PAGE) } else { 0 }
    }

    /// What the response must name. Linux names the inner operation of an indirect request.
    pub fn answers(self, operation: u8) -> bool {
        operation == self.number() || self.segment_pages() != 0 && operation == OP_INDIRECT
    }

    fn number(self) -> u8 {
        match self {
            Operation::Read { .. } => OP_READ,
            Operation::Write { .. } => OP_WRITE,
            Operation::Flush => OP_FLUSH,
            Operation::Barrier => OP_WRITE_BARRIER,
            Operation::Discard { .. } => OP_DISCARD,
        }
    }

    fn sector(self) -> u64 {
        match self {
            Operation::Read { sector, .. } | Operation::Write { sector, .. } | Operation::Discard { sector, .. } => sector,
            Operation::Flush | Operation::Barrier => 0,
        }
    }

    /// The segment in page `index` of the data.
    fn segment(self, index: usize, gref: GrantRef) -> Segment {
        let sectors = (self.bytes() - index * PAGE_SIZE).min(PAGE_SIZE) / 512;
        debug_assert!((1..=SECTORS_PER_PAGE as usize).contains(&sectors));
        Segment { gref, first_sect: 0, last_sect: (sectors - 1) as u8, _pad: 0 }
    }
}

/// Makes the slot. `grant` has the grant of each page of the data; `tables` are the pages for segments, as many as
/// [`Operation::segment_pages`] says.
pub fn slot(operation: Operation, handle: u16, id: u64, tables: &[Page], grant: impl Fn(usize) -> GrantRef) -> Request {
    let segments = operation.data_pages();
    if let Operation::Discard { sector, sectors, secure } = operation {
        let flag = if secure { DISCARD_SECURE } else { 0 };
        let request =
            DiscardRequest { operation: OP_DISCARD, flag, handle, id, sector_number: sector, nr_sectors: sectors, ..Default::default() };
        return transmute!(request);
    }
    if tables.is_empty() {
        let mut request = Request {
            operation: operation.number(),
            nr_segments: segments as u8,
            handle,
            id,
            sector_number: operation.sector(),
            ..Default::default()
        };
        for (index, segment) in request.seg.iter_mut().take(segments).enumerate() {
            *segment = operation.segment(index, grant(index));
        }
        return request;
    }
    let mut request = IndirectRequest {
        operation: OP_INDIRECT,
        indirect_op: operation.number(),
        nr_segments: segments as u16,
        handle,
        id,
        sector_number: operation.sector(),
        ..Default::default()
    };
    for (gref, table) in request.indirect_grefs.iter_mut().zip(tables) {
        *gref = table.gref;
    }
    for index in 0..segments {
        tables[index / SEGMENTS_PER_INDIRECT_PAGE].put_segment(index % SEGMENTS_PER_INDIRECT_PAGE, operation.segment(index, grant(index)));
    }
    transmute!(request)
}
