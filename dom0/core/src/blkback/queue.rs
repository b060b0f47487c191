//! A queue of a device: from the ring to the disk and back, in turns. A turn takes up what the disk has done, takes new requests from the ring,
//! maps what pages they need in one call, gives them to the disk, unmaps in one call, and answers.
//!
//! Two things are kept under all circumstances. A page that a disk may still read or write stays mapped: its slot is in use until every part of
//! its request has come back. And a page that does not stay mapped is unmapped before its request is answered, as the front end may take it
//! back from then on.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;

use abi::blkif::{IndirectRequest, OP_INDIRECT, Request, Response, SEGMENTS_PER_INDIRECT_PAGE, STATUS_ERROR, STATUS_OKAY, Segment};
use abi::layout::PAGE_SIZE;
use abi::zerocopy::transmute;

use super::ends::{Corrupt, Grants, Host, Page, Ring, Want};
use super::faults::Dice;
use super::flight::{Flight, Flights, Token};
use super::job::{Job, Work};
use super::request::{Fault, Limits, Order, Plan, Transfer, extent, plan};
use super::slots::{PERSISTENT_MAX, Slot, Slots};
use super::stats::{Kind, Stats};
use crate::block::quick::{Completions, QuickDisk};
use crate::block::{DiskError, Piece, SECTOR};

/// Requests that are taken in one turn: what shares a call into the hypervisor and one notification.
const BATCH: usize = 64;
/// Idle pages that give way at a time when there is no slot.
const EVICTED: usize = 32;

/// Beside the token: a physical disk has had the part.
pub(super) const QUICK: u64 = 1 << 32;

/// How a turn went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Replies were written.
    pub answered: bool,
    /// There may be more to do at once.
    pub more: bool,
    /// Nothing is under way and nothing was to be taken: no more turns are needed, and nothing would bring one about.
    pub over: bool,
}

/// What holds for all requests of a turn.
pub(super) struct Terms<'a> {
    pub(super) limits: &'a Limits,
    pub(super) dice: &'a mut Dice,
    /// Where requests go without asking for their place. None if the disk is not such, or is to fail on purpose.
    pub(super) straight: Option<Straight<'a>>,
}

/// A disk all of which lies on one physical disk.
pub(super) struct Straight<'a> {
    pub(super) disk: &'a dyn QuickDisk,
    pub(super) number: u32,
    /// Its first byte there.
    pub(super) start: u64,
}

impl<'a> Straight<'a> {
    fn of<H: Host>(host: &'a H) -> Option<Self> {
        let (number, start) = host.disk().straight()?;
        Some(Self { disk: host.device(number)?, number, start })
    }
}

/// A request whose pages are being mapped.
#[derive(Clone, Copy, Debug)]
struct Begun {
    token: Token,
    /// First sector and number of segments of a request whose segments have to be read first.
    indirect: Option<(u64, usize)>,
}

/// A queue. Its vectors keep their memory, so that in steady state none is asked for.
pub struct Queue {
    /// Whether pages stay mapped.
    persistent: bool,
    pub(super) flights: Flights,
    slots: Slots,
    /// What disks tell.
    pub(super) completions: Rc<Completions>,
    /// What was counted.
    pub stats: Stats,
    /// Work for the slow way, to be taken after each turn.
    pub jobs: Vec<Job>,
    /// Taken from the ring, and waits for what others use.
    held: Option<Request>,
    /// What was done, while it is taken up.
    done: VecDeque<(u64, Result<(), DiskError>)>,
    /// A barrier is on its way: nothing else is begun.
    barrier: bool,
    /// Requests that found their disk full, in order.
    pub(super) stalled: VecDeque<Token>,
    /// Slots that indirect requests will need once their segments are known.
    promised: usize,
    begun: Vec<Begun>,
    wants: Vec<Want>,
    gone: Vec<Slot>,
    answers: Vec<Response>,
    segments: Vec<Segment>,
    /// Disks that have to be told of new requests.
    pub(super) kicks: Vec<u32>,
    pub(super) scratch: Vec<Piece>,
}

impl Queue {
    /// A queue for a ring with so many slots.
    pub fn new(ring_slots: u16, persistent: bool) -> Self {
        Self {
            persistent,
            flights: Flights::new(ring_slots),
            slots: Slots::new(PERSISTENT_MAX),
            completions: Completions::new(),
            stats: Stats::default(),
            jobs: Vec::new(),
            held: None,
            done: VecDeque::new(),
            barrier: false,
            stalled: VecDeque::new(),
            promised: 0,
            begun: Vec::new(),
            wants: Vec::new(),
            gone: Vec::new(),
            answers: Vec::new(),
            segments: Vec::new(),
            kicks: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Where those who do its jobs tell of their ends.
    pub fn completions(&self) -> &Rc<Completions> {
        &self.completions
    }

    /// How many requests are under way.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Pages that stay mapped though nothing uses them now.
    pub fn kept_pages(&self) -> usize {
        self.slots.idle()
    }

    /// Whether it would take a request from the ring now. If not, completions let it go on.
    pub fn takes_requests(&self) -> bool {
        self.held.is_none() && !self.barrier && self.stalled.is_empty()
    }

    /// One turn. With `take` false no new requests are taken: what is under way comes to its end.
    ///
    /// # Errors
    /// [`Corrupt`]: the ring must not be used any more; what is under way has to be waited for by turns without `take`.
    pub fn turn<R: Ring, G: Grants, H: Host>(
        &mut self,
        ring: &mut R,
        grants: &mut G,
        host: &H,
        device: (&Limits, &mut Dice),
        take: bool,
    ) -> Result<Turn, Corrupt> {
        let (limits, dice) = device;
        let mut terms = Terms { limits, straight: Straight::of(host).filter(|_| dice.faults().none()), dice };
        self.take_up_done(host);
        self.resume(host);
        let taken = if take { self.take(ring, grants, host, &mut terms) } else { Ok(false) };
        self.map(grants, host, &mut terms);
        self.kick(host);
        let more = taken.is_ok_and(|more| more) || (self.held.is_some() && self.flights.is_empty());
        self.unmap(grants);
        let answered = !self.answers.is_empty();
        self.answers.drain(..).for_each(|response| ring.push(response));
        taken.map(|_| Turn { answered, more, over: !take && self.flights.is_empty() })
    }

    /// Takes up what disks and jobs have done.
    fn take_up_done<H: Host>(&mut self, host: &H) {
        let mut done = core::mem::take(&mut self.done);
        self.completions.take_all(&mut done);
        for (tag, result) in done.drain(..) {
            self.part_done(tag, result, host);
        }
        self.done = done;
    }

    /// Takes requests from the ring; whether there may be more of them.
    fn take<R: Ring, G: Grants, H: Host>(
        &mut self,
        ring: &mut R,
        grants: &mut G,
        host: &H,
        terms: &mut Terms<'_>,
    ) -> Result<bool, Corrupt> {
        // Each is copied here and nowhere else.
        let mut request = Request::default();
        for _ in 0..BATCH {
            if self.barrier || !self.stalled.is_empty() {
                return Ok(false);
            }
            if let Some(held) = &self.held {
                request = *held;
                self.held = None;
            } else if !ring.pop(&mut request)? {
                return Ok(false);
            }
            if !self.begin(&request, grants, host, terms) {
                self.held = Some(request);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Begins a request, or refuses it; false if it has to wait for others.
    fn begin<G: Grants, H: Host>(&mut self, request: &Request, grants: &mut G, host: &H, terms: &mut Terms<'_>) -> bool {
        match plan(request, terms.limits) {
            Ok(Plan::Transfer { transfer, segments }) => {
                if transfer.order == Order::Barrier && !self.flights.is_empty() {
                    return false;
                }
                let segments = &request.seg[..segments];
                if !self.has_room(segments.len()) {
                    return self.cannot_ever(request);
                }
                let Some(token) = self.flights.begin(request.id, request.operation, kind_of(transfer.write)) else { return false };
                self.flights.get(token).moves(&transfer);
                self.barrier |= transfer.order == Order::Barrier;
                if self.acquire(token, segments, grants) {
                    self.launch(token, host, terms);
                } else {
                    self.begun.push(Begun { token, indirect: None });
                }
                true
            }
            Ok(Plan::Indirect { write, sector, segments, pages }) => {
                let descriptors = segments.div_ceil(SEGMENTS_PER_INDIRECT_PAGE);
                if !self.has_room(descriptors + segments) {
                    return self.cannot_ever(request);
                }
                let Some(token) = self.flights.begin(request.id, operation(request), kind_of(write)) else { return false };
                self.promised += segments;
                let flight = self.flights.get(token);
                flight.descriptors = descriptors;
                let mut held = Held { persistent: self.persistent, slots: &mut self.slots, wants: &mut self.wants, flight };
                for &gref in &pages[..descriptors] {
                    // Only read, like what is written to the disk: front ends may grant no more.
                    held.hold(gref, true, grants);
                }
                self.begun.push(Begun { token, indirect: Some((sector, segments)) });
                true
            }
            Ok(Plan::Flush) => self.begin_work(request, Kind::Flush, 0, Work::Flush, terms.dice),
            Ok(Plan::Barrier) if !self.flights.is_empty() => false,
            Ok(Plan::Barrier) => self.begin_work(request, Kind::Flush, 0, Work::Flush, terms.dice),
            Ok(Plan::Discard { sector, sectors }) => {
                let bytes = sectors * SECTOR;
                self.begin_work(request, Kind::Discard, bytes, Work::Discard(sector * SECTOR, bytes), terms.dice)
            }
            Err(fault) => {
                self.refuse(request, fault);
                true
            }
        }
    }

    /// Whether a request for so many pages can be begun: idle ones give way when a slot is needed.
    fn has_room(&self, pages: usize) -> bool {
        pages + self.promised <= self.slots.room()
    }

    /// Without anything under way nothing will become free: then the request fails, and this is true.
    fn cannot_ever(&mut self, request: &Request) -> bool {
        let ever = !self.flights.is_empty() || !self.gone.is_empty();
        if !ever {
            self.stats.count(Kind::Read, 0, false);
            self.answers.push(reply(request.id, operation(request), STATUS_ERROR));
        }
        !ever
    }

    fn refuse(&mut self, request: &Request, fault: Fault) {
        self.stats.refuse(fault);
        self.answers.push(reply(request.id, operation(request), fault.status()));
    }

    /// Begins a request without pages; false if there is no room.
    fn begin_work(&mut self, request: &Request, kind: Kind, bytes: u64, work: Work, dice: &mut Dice) -> bool {
        let Some(token) = self.flights.begin(request.id, request.operation, kind) else { return false };
        let flight = self.flights.get(token);
        (flight.bytes, flight.quick) = (bytes, false);
        self.launch_work(token, work, dice);
        true
    }

    /// Takes slots for the pages of checked segments. True if all are mapped, so that the pieces have their addresses; otherwise they have
    /// them after [`Queue::locate`].
    #[inline(always)]
    fn acquire<G: Grants>(&mut self, token: Token, segments: &[Segment], grants: &mut G) -> bool {
        let flight = self.flights.get(token);
        let write = flight.kind == Kind::Write;
        let mut held = Held { persistent: self.persistent, slots: &mut self.slots, wants: &mut self.wants, flight };
        let mut ready = true;
        for segment in segments {
            let (at, bytes) = extent(segment);
            let page = held.hold(segment.gref, write, grants);
            ready &= page.is_some();
            let Page { address, virt } = page.unwrap_or_default();
            held.flight.pieces.push(Piece { address: address + u64::from(at), virt: virt + u64::from(at), bytes });
        }
        ready
    }

    /// Makes addresses of a request's pieces; false if one of its pages is not mapped.
    fn locate<G: Grants>(&mut self, token: Token, grants: &G) -> bool {
        let flight = self.flights.get(token);
        let slots = flight.slots.get(flight.descriptors..).unwrap_or_default();
        if slots.len() != flight.pieces.len() {
            return false;
        }
        for (slot, piece) in slots.iter().zip(&mut flight.pieces) {
            let Some(page) = grants.at(*slot) else { return false };
            let at = piece.address % PAGE_SIZE as u64;
            (piece.address, piece.virt) = (page.address + at, page.virt + at);
        }
        true
    }

    /// Maps what the requests begun need, in one call and, if there are indirect ones, a second, and launches them.
    fn map<G: Grants, H: Host>(&mut self, grants: &mut G, host: &H, terms: &mut Terms<'_>) {
        if !self.begun.is_empty() {
            self.map_begun(grants, host, terms);
        }
    }

    #[cold]
    fn map_begun<G: Grants, H: Host>(&mut self, grants: &mut G, host: &H, terms: &mut Terms<'_>) {
        self.map_wanted(grants);
        let mut begun = core::mem::take(&mut self.begun);
        for Begun { token, indirect } in &begun {
            if let Some((sector, segments)) = *indirect {
                self.promised -= segments;
                self.read_segments(*token, (sector, segments), grants, terms.limits);
            }
        }
        self.map_wanted(grants);
        for Begun { token, .. } in begun.drain(..) {
            self.drop_unmapped(token, grants);
            if self.flights.get(token).failed || !self.locate(token, grants) {
                self.flights.get(token).failed = true;
                self.done(token);
            } else {
                self.launch(token, host, terms);
            }
        }
        self.begun = begun;
    }

    fn map_wanted<G: Grants>(&mut self, grants: &mut G) {
        if !self.wants.is_empty() {
            self.stats.mapped += self.wants.len() as u64;
            grants.map(&self.wants);
            self.wants.clear();
        }
    }

    /// The second step of an indirect request.
    fn read_segments<G: Grants>(&mut self, token: Token, (sector, count): (u64, usize), grants: &mut G, limits: &Limits) {
        let mut segments = core::mem::take(&mut self.segments);
        segments.clear();
        let flight = self.flights.get(token);
        let write = flight.kind == Kind::Write;
        for &slot in &flight.slots {
            let left = count - segments.len();
            if grants.at(slot).is_some() {
                grants.segments(slot, left.min(SEGMENTS_PER_INDIRECT_PAGE), &mut segments);
            }
        }
        let checked = if segments.len() == count { Transfer::indirect(write, sector, &segments, limits) } else { Err(Fault::Segments) };
        match checked {
            Ok(transfer) => {
                flight.moves(&transfer);
                self.acquire(token, &segments, grants);
            }
            Err(fault) => {
                (flight.failed, flight.refused) = (true, Some(fault));
            }
        }
        self.segments = segments;
    }

    /// Gives back the slots where a page of a request could not be mapped.
    fn drop_unmapped<G: Grants>(&mut self, token: Token, grants: &G) {
        let (flight, slots) = (self.flights.get(token), &mut self.slots);
        let before = flight.slots.len();
        flight.slots.retain(|&slot| {
            let mapped = grants.at(slot).is_some();
            if !mapped {
                slots.give(slot);
            }
            mapped
        });
        flight.failed |= flight.slots.len() != before;
    }

    /// Takes up that a part of a request has come back.
    fn part_done<H: Host>(&mut self, tag: u64, result: Result<(), DiskError>, host: &H) {
        let token = tag as Token;
        let flight = self.flights.get(token);
        flight.failed |= result.is_err();
        if tag & QUICK != 0 {
            flight.quick_parts -= 1;
            flight.leave(host);
        }
        if flight.part_over() {
            self.done(token);
        }
    }

    /// Counts a part off, and answers the request with the last.
    pub(super) fn part_over(&mut self, token: Token) {
        if self.flights.get(token).part_over() {
            self.done(token);
        }
    }

    /// Ends a request of which nothing is under way.
    pub(super) fn done(&mut self, token: Token) {
        let flight = self.flights.get(token);
        for &slot in &flight.slots {
            if self.slots.end(slot, self.persistent) {
                self.gone.push(slot);
            }
        }
        let okay = !flight.failed;
        match flight.refused {
            Some(fault) => self.stats.refuse(fault),
            None => self.stats.count(flight.kind, flight.bytes / SECTOR, okay),
        }
        self.stats.quick += u64::from(okay && flight.quick);
        self.answers.push(reply(flight.id, flight.operation, if okay { STATUS_OKAY } else { STATUS_ERROR }));
        self.barrier &= flight.order != Order::Barrier;
        self.flights.end(token);
    }

    fn unmap<G: Grants>(&mut self, grants: &mut G) {
        if self.gone.is_empty() {
            return;
        }
        grants.unmap(&self.gone);
        for slot in self.gone.drain(..) {
            // What the hypervisor does not unmap is never used again.
            if grants.at(slot).is_none() {
                self.slots.give(slot);
            }
        }
    }
}

/// A request that takes its pages.
struct Held<'a> {
    persistent: bool,
    slots: &'a mut Slots,
    wants: &'a mut Vec<Want>,
    flight: &'a mut Flight,
}

impl Held<'_> {
    /// Takes a slot for a page; the page if it is mapped already.
    #[inline(always)]
    fn hold<G: Grants>(&mut self, gref: u32, write: bool, grants: &mut G) -> Option<Page> {
        if let Some(slot) = self.slots.find(gref) {
            self.flight.slots.push(slot);
            return grants.at(slot);
        }
        self.want(gref, write, grants);
        None
    }

    #[cold]
    fn want<G: Grants>(&mut self, gref: u32, write: bool, grants: &mut G) {
        if self.slots.free() == 0 {
            evict(self.slots, grants);
        }
        let Some(slot) = self.slots.take(gref) else {
            // There was room for all of them, unless the hypervisor does not let pages go. Without it the request fails.
            self.flight.failed = true;
            return;
        };
        // What is written to the disk is only read by it, but a page that stays mapped may be read into next time.
        self.wants.push(Want { slot, gref, writable: self.persistent || !write });
        self.flight.slots.push(slot);
    }
}

/// Unmaps idle pages so that slots become free, unless the hypervisor does not let them go.
fn evict<G: Grants>(slots: &mut Slots, grants: &mut G) {
    let mut evicted: Vec<Slot> = Vec::new();
    while evicted.len() < EVICTED {
        let Some(slot) = slots.evict() else { break };
        evicted.push(slot);
    }
    grants.unmap(&evicted);
    evicted.retain(|&slot| grants.at(slot).is_none());
    evicted.into_iter().for_each(|slot| slots.give(slot));
}

impl Flight {
    /// Counts a part off; whether it was the last.
    fn part_over(&mut self) -> bool {
        self.parts -= 1;
        self.parts == 0
    }

    fn moves(&mut self, transfer: &Transfer) {
        (self.offset, self.bytes, self.order) = (transfer.offset, transfer.bytes, transfer.order);
    }
}

const fn kind_of(write: bool) -> Kind {
    if write { Kind::Write } else { Kind::Read }
}

/// The operation as the reply repeats it: Linux expects that of the data.
fn operation(request: &Request) -> u8 {
    match request.operation {
        OP_INDIRECT => {
            let indirect: IndirectRequest = transmute!(*request);
            indirect.indirect_op
        }
        operation => operation,
    }
}

fn reply(id: u64, operation: u8, status: i16) -> Response {
    Response { id, operation, status, ..Response::default() }
}
