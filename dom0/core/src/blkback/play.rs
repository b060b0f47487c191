//! A front end, its memory, its ring and a physical disk, played: what the queue is tested on.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::pin::Pin;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use abi::blkif::{Request, Response, Segment};
use abi::zerocopy::{FromBytes, IntoBytes};

use super::ends::{Corrupt, Grants, Host, Page, Ring, Want};
use super::slots::Slot;
use crate::block::fake::{FakeBuffer, FakeDisk, FakeMemory, block_on};
use crate::block::quick::{Completions, Kind, Limits, QuickDisk, Refused};
use crate::block::{Buffer, Disk, DiskError, Doing, Info, Memory, Piece, Place, Traffic, length};

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// A ring: requests that wait, and replies.
#[derive(Default)]
pub struct PlayedRing {
    pub requests: VecDeque<Request>,
    pub open: usize,
    pub replies: Vec<Response>,
    pub corrupt: bool,
}

impl Ring for PlayedRing {
    fn pop(&mut self, into: &mut Request) -> Result<bool, Corrupt> {
        if self.corrupt {
            return Err(Corrupt);
        }
        let Some(request) = self.requests.pop_front() else { return Ok(false) };
        *into = request;
        self.open += 1;
        Ok(true)
    }

    fn push(&mut self, response: Response) {
        self.open = self.open.checked_sub(1).expect("a reply to a request");
        self.replies.push(response);
    }
}

/// A front end's pages by reference, some of which may not be mapped.
pub struct PlayedGrants {
    pages: BTreeMap<u32, FakeBuffer>,
    read_only: Vec<u32>,
    mapped: Rc<RefCell<BTreeMap<Slot, (u32, Page)>>>,
    /// Calls of either kind.
    pub calls: usize,
    /// Slots that cannot be unmapped.
    pub stuck: Vec<Slot>,
}

impl PlayedGrants {
    /// Pages 1 to `count`.
    pub fn new(memory: &Rc<FakeMemory>, count: u32, read_only: Vec<u32>) -> Self {
        let pages = (1..=count).map(|gref| (gref, memory.take(PAGE))).collect();
        Self { pages, read_only, mapped: Rc::default(), calls: 0, stuck: vec![] }
    }

    pub fn page(&self, gref: u32) -> &FakeBuffer {
        &self.pages[&gref]
    }

    pub fn bytes(&self, gref: u32) -> Vec<u8> {
        let mut bytes = vec![0; PAGE];
        self.page(gref).get(0, &mut bytes);
        bytes
    }

    pub fn mapped(&self) -> usize {
        self.mapped.borrow().len()
    }
}

impl Grants for PlayedGrants {
    fn map(&mut self, wanted: &[Want]) {
        self.calls += 1;
        for want in wanted {
            let Some(page) = self.pages.get(&want.gref).filter(|_| !(want.writable && self.read_only.contains(&want.gref))) else {
                continue;
            };
            let address = page.pieces()[0].address;
            let before = self.mapped.borrow_mut().insert(want.slot, (want.gref, Page { address, virt: address }));
            assert!(before.is_none(), "slot {} holds a page already", want.slot);
        }
    }

    fn unmap(&mut self, slots: &[Slot]) {
        self.calls += 1;
        for slot in slots.iter().filter(|slot| !self.stuck.contains(slot)) {
            self.mapped.borrow_mut().remove(slot).expect("mapped");
        }
    }

    fn at(&self, slot: Slot) -> Option<Page> {
        self.mapped.borrow().get(&slot).map(|(_, page)| *page)
    }

    fn segments(&self, slot: Slot, count: usize, into: &mut Vec<Segment>) {
        let gref = self.mapped.borrow()[&slot].0;
        let bytes = self.bytes(gref);
        let segment = |at: usize| Segment::read_from_bytes(&bytes[at * 8..at * 8 + 8]).unwrap();
        into.extend((0..count).map(segment));
    }
}

struct Submitted {
    kind: Kind,
    offset: u64,
    pieces: Vec<Piece>,
    to: Rc<Completions>,
    token: u64,
}

/// A disk on which the quick way and the slow one are open, place by place.
pub struct PlayedDisk {
    pub disk: Rc<FakeDisk>,
    memory: Rc<FakeMemory>,
    mapped: Rc<RefCell<BTreeMap<Slot, (u32, Page)>>>,
    submitted: RefCell<VecDeque<Submitted>>,
    /// Requests that fit in.
    pub depth: Cell<usize>,
    pub pieces: usize,
    pub kicks: Cell<usize>,
    pub traffic: Rc<Traffic>,
    /// What lies in the 64 KiB from each multiple of it on: physically there, nowhere, or only the slow way.
    pub layout: Vec<u8>,
}

/// Bytes that have one layout.
const STRIPE: u64 = 65536;

impl PlayedDisk {
    pub fn new(memory: &Rc<FakeMemory>, grants: &PlayedGrants, contents: Vec<u8>, layout: Vec<u8>) -> Self {
        let disk = FakeDisk::new(memory, 0, contents);
        let (memory, mapped) = (memory.clone(), grants.mapped.clone());
        let (depth, kicks) = (Cell::new(usize::MAX), Cell::new(0));
        Self { disk, memory, mapped, submitted: RefCell::default(), depth, pieces: 8, kicks, traffic: Traffic::new(), layout }
    }

    pub fn under_way(&self) -> usize {
        self.submitted.borrow().len()
    }

    /// The device does one of the requests that it has been given.
    pub fn do_one(&self, which: usize) {
        let count = self.under_way();
        if count == 0 {
            return;
        }
        let done = self.submitted.borrow_mut().remove(which % count).unwrap();
        // Now is when the device moves the bytes: the pages must be there.
        let mapped = self.mapped.borrow();
        let there = |piece: &Piece| mapped.values().any(|(_, page)| (page.address..page.address + PAGE as u64).contains(&piece.address));
        assert!(done.pieces.iter().all(there), "a page was unmapped under the device");
        let result = match done.kind {
            Kind::Read => block_on(self.disk.read(done.offset, &done.pieces)),
            Kind::Write => block_on(self.disk.write(done.offset, &done.pieces)),
            _ => Err(DiskError::Unsupported),
        };
        done.to.push(done.token, result);
        done.to.wake();
    }

    fn layout(&self, offset: u64) -> u8 {
        self.layout.get((offset / STRIPE) as usize).copied().unwrap_or(0)
    }
}

impl QuickDisk for PlayedDisk {
    fn info(&self) -> Info {
        self.disk.info()
    }

    fn limits(&self) -> Limits {
        Limits { pieces: self.pieces, piece_bytes: 4096, bytes: 1 << 20, discard_bytes: 1 << 20 }
    }

    fn submit(&self, kind: Kind, offset: u64, pieces: &[Piece], to: &Rc<Completions>, token: u64) -> Result<(), Refused> {
        assert!(!pieces.is_empty() && length(pieces) > 0);
        if pieces.len() > self.pieces {
            return Err(Refused::Failed(DiskError::Unsupported));
        }
        if self.under_way() >= self.depth.get() {
            return Err(Refused::Full);
        }
        self.submitted.borrow_mut().push_back(Submitted { kind, offset, pieces: pieces.to_vec(), to: to.clone(), token });
        Ok(())
    }

    fn kick(&self) {
        self.kicks.set(self.kicks.get() + 1);
    }

    fn room(&self, _: usize) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async {})
    }
}

impl Disk for PlayedDisk {
    fn info(&self) -> Info {
        self.disk.info()
    }

    fn place(&self, offset: u64, bytes: u64, write: bool) -> Place {
        let left = bytes.min(STRIPE - offset % STRIPE);
        match self.layout(offset) {
            0 => Place::At { device: 7, offset, bytes: left },
            1 if !write => Place::Zeroes { bytes: left },
            _ => Place::Unknown,
        }
    }

    /// Without a layout all of it is one piece.
    fn straight(&self) -> Option<(u32, u64)> {
        self.layout.is_empty().then_some((7, 0))
    }

    fn read<'a>(&'a self, offset: u64, into: &'a [Piece]) -> Doing<'a> {
        self.disk.read(offset, into)
    }

    fn write<'a>(&'a self, offset: u64, from: &'a [Piece]) -> Doing<'a> {
        self.disk.write(offset, from)
    }

    fn flush(&self) -> Doing<'_> {
        self.disk.flush()
    }

    fn discard(&self, offset: u64, bytes: u64) -> Doing<'_> {
        self.disk.discard(offset, bytes)
    }
}

impl Host for PlayedDisk {
    fn disk(&self) -> &dyn Disk {
        self
    }

    fn device(&self, number: u32) -> Option<&dyn QuickDisk> {
        (number == 7).then_some(self)
    }

    fn traffic(&self) -> Option<&Traffic> {
        Some(&self.traffic)
    }

    fn zero(&self, into: &[Piece]) {
        Memory::zero(&self.memory, into);
    }
}

/// Segments as they lie in a page.
pub fn segment_bytes(segments: &[Segment]) -> Vec<u8> {
    segments.iter().flat_map(|segment| segment.as_bytes().to_vec()).collect()
}
