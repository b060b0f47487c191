//! A back end over the same rings: it carries requests out on a vector, in any order, as Domus's own rules understand them; or it does what no back
//! end may.

use std::collections::BTreeMap;
use std::ptr::{self, NonNull};

use dom0_core::blkback::request::{Limits, Plan, Transfer, extent, plan};
use pv_guest_sdk::abi::blkif::{OP_DISCARD, OP_INDIRECT, Request, Response, STATUS_ERROR, STATUS_OKAY, Segment};
use pv_guest_sdk::abi::zerocopy::IntoBytes;
use pv_guest_sdk::block::queue::Queue;
use pv_guest_sdk::ring::BackRing;

use crate::model::{Model, PAGE};
use crate::random::Random;

/// What the back end is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Pages stay mapped.
    pub(crate) persistent: bool,
    /// Answers come in any order, some of them late.
    pub(crate) shuffled: bool,
    /// Every so many requests one fails; 0 for none.
    pub(crate) fails: u64,
}

/// One ring's back end.
pub(crate) struct Back {
    pub(crate) ring: BackRing<Request, Response>,
    model: Model,
    ring_grants: Vec<u32>,
    kept: BTreeMap<u32, NonNull<u8>>,
    answers: Vec<Response>,
    pub(crate) limits: Limits,
    pub(crate) manner: Manner,
    random: Random,
    /// Requests that were carried out, and flushes among them.
    pub(crate) served: u64,
    pub(crate) flushes: u64,
}

impl Back {
    /// Attaches to a ring.
    pub(crate) fn new(model: &Model, queue: &Queue<Model>, limits: Limits, manner: Manner, seed: u64) -> Back {
        let ring_grants = queue.ring_grants().to_vec();
        let pages: Vec<_> = ring_grants.iter().map(|&gref| model.map(gref, true).unwrap()).collect();
        // SAFETY: the pages are adjacent here, since the front end has made them together, and stay until they are unmapped.
        let ring = unsafe { BackRing::new(pages[0], pages.len() * PAGE) };
        let (model, random) = (model.clone(), Random(seed | 1));
        Back { ring, model, ring_grants, kept: BTreeMap::new(), answers: Vec::new(), limits, manner, random, served: 0, flushes: 0 }
    }

    /// Takes what has come and answers some of it. Whether it did anything.
    pub(crate) fn run(&mut self, disk: &mut [u8]) -> bool {
        let mut busy = false;
        loop {
            while let Some(request) = self.ring.pop().unwrap() {
                let answer = self.serve(&request, disk);
                self.answers.push(answer);
                busy = true;
            }
            if !self.ring.arm() {
                break;
            }
        }
        let count = self.answers.len() as u64;
        let now = if self.manner.shuffled { self.random.below(count + 1).max(count.min(1)) } else { count };
        for _ in 0..now {
            let which = if self.manner.shuffled { self.random.below(self.answers.len() as u64) as usize } else { 0 };
            let answer = self.answers.remove(which);
            self.ring.push(answer);
            let _ = self.ring.publish();
            busy = true;
        }
        busy
    }

    fn serve(&mut self, request: &Request, disk: &mut [u8]) -> Response {
        let result = self.carry_out(request, disk);
        self.served += 1;
        let inner = if request.operation == OP_INDIRECT { request.nr_segments } else { request.operation };
        let status = if result.is_ok() { STATUS_OKAY } else { STATUS_ERROR };
        Response { id: request.id, operation: inner, status, ..Default::default() }
    }

    fn carry_out(&mut self, request: &Request, disk: &mut [u8]) -> Result<(), ()> {
        let plan = plan(request, &self.limits).unwrap_or_else(|fault| panic!("{fault:?}: {request:?}"));
        assert!(request.operation == OP_DISCARD || request.handle_of() == 51712, "the handle");
        if self.manner.fails != 0 && self.random.below(self.manner.fails) == 0 {
            return Err(());
        }
        match plan {
            Plan::Transfer { transfer, segments } => self.transfer(transfer, &request.seg[..segments], disk),
            Plan::Indirect { write, sector, segments, pages } => {
                let mut list = vec![Segment::default(); segments];
                for (chunk, &gref) in list.chunks_mut(512).zip(&pages) {
                    let page = self.map(gref, false);
                    // SAFETY: the page is mapped, and a chunk is not longer than it.
                    unsafe { ptr::copy(page.as_ptr(), chunk.as_mut_bytes().as_mut_ptr(), size_of_val(chunk)) };
                    self.unmap(gref);
                }
                let transfer = Transfer::indirect(write, sector, &list, &self.limits).unwrap_or_else(|fault| panic!("{fault:?}: {list:?}"));
                self.transfer(transfer, &list, disk)
            }
            Plan::Barrier => panic!("the front end asks for no barriers"),
            Plan::Flush => {
                self.flushes += 1;
                Ok(())
            }
            Plan::Discard { sector, sectors } => {
                disk[sector as usize * 512..(sector + sectors) as usize * 512].fill(0);
                Ok(())
            }
        }
    }

    fn transfer(&mut self, transfer: Transfer, segments: &[Segment], disk: &mut [u8]) -> Result<(), ()> {
        let mut at = transfer.offset as usize;
        for segment in segments {
            let (first, bytes) = extent(segment);
            let piece = &mut disk[at..at + bytes as usize];
            let page = self.map(segment.gref, !transfer.write);
            // SAFETY: the extent lies in the page, which is mapped.
            unsafe {
                let data = page.as_ptr().add(first as usize);
                if transfer.write { ptr::copy(data, piece.as_mut_ptr(), piece.len()) } else { ptr::copy(piece.as_ptr(), data, piece.len()) }
            }
            self.unmap(segment.gref);
            at += bytes as usize;
        }
        Ok(())
    }

    /// As Linux does: with persistent grants everything is mapped to be written, and stays.
    fn map(&mut self, gref: u32, writable: bool) -> NonNull<u8> {
        if let Some(page) = self.kept.get(&gref) {
            return *page;
        }
        let page = self.model.map(gref, writable || self.manner.persistent).expect("a grant that was given");
        if self.manner.persistent {
            self.kept.insert(gref, page);
        }
        page
    }

    fn unmap(&mut self, gref: u32) {
        if !self.manner.persistent {
            self.model.unmap(gref);
        }
    }

    /// Pages that stay mapped.
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Lets go of everything.
    pub(crate) fn disconnect(&mut self) {
        for gref in std::mem::take(&mut self.kept).into_keys().chain(std::mem::take(&mut self.ring_grants)) {
            self.model.unmap(gref);
        }
    }
}

/// The device's number lies elsewhere in an indirect request.
trait Handle {
    fn handle_of(&self) -> u16;
}

impl Handle for Request {
    fn handle_of(&self) -> u16 {
        if self.operation == OP_INDIRECT { u16::from_le_bytes(self.as_bytes()[24..26].try_into().unwrap()) } else { self.handle }
    }
}
