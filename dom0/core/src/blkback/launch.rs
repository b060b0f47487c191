//! From a request whose pages are mapped to the disk: the quick way for what [`crate::block::Disk::place`] can tell, jobs for the rest.

use alloc::vec::Vec;

use super::ends::Host;
use super::faults::{Dice, Fate};
use super::flight::{Flight, Token};
use super::job::{Job, Work};
use super::queue::{QUICK, Queue, Straight, Terms};
use super::request::{Limits, Order};
use super::stats::Kind;
use crate::block::quick::{self, QuickDisk, Refused};
use crate::block::{Piece, Place, SECTOR, cut};

/// Whether all of something was given to the disk, or the disk is full.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    All,
    Full,
}

impl Queue {
    /// Gives a request to the disk.
    #[inline(always)]
    pub(super) fn launch<H: Host>(&mut self, token: Token, host: &H, terms: &mut Terms<'_>) {
        let given = terms.straight.as_ref().is_some_and(|straight| self.launch_straight(token, straight));
        if !given {
            self.launch_somehow(token, host, terms);
        }
    }

    /// Nearly every request of a guest: it goes to one physical disk, which takes it as it is. False if not, then nothing has happened.
    #[inline(always)]
    fn launch_straight(&mut self, token: Token, to: &Straight<'_>) -> bool {
        let flight = self.flights.get(token);
        flight.order == Order::None && self.submit_whole(token, to)
    }

    /// Submits all of a request. False if the disk does not take it so.
    #[inline(always)]
    fn submit_whole(&mut self, token: Token, to: &Straight<'_>) -> bool {
        let flight = self.flights.get(token);
        let kind = if flight.kind == Kind::Write { quick::Kind::Write } else { quick::Kind::Read };
        let tag = QUICK | u64::from(token);
        let taken = to.disk.submit(kind, to.start.wrapping_add(flight.offset), &flight.pieces, &self.completions, tag).is_ok();
        if taken {
            flight.part_given(flight.bytes);
            self.has_given(to.number);
        }
        taken
    }

    #[inline(never)]
    fn launch_somehow<H: Host>(&mut self, token: Token, host: &H, terms: &mut Terms<'_>) {
        if !(terms.dice.faults().none() && self.launch_placed(token, host)) {
            self.launch_parts(token, host, (terms.limits, terms.dice));
        }
    }

    /// A request that happens to lie on one physical disk in one piece. False if not.
    fn launch_placed<H: Host>(&mut self, token: Token, host: &H) -> bool {
        let flight = self.flights.get(token);
        if flight.order != Order::None {
            return false;
        }
        // Who stays on the way goes on in [`Queue::give`].
        flight.lane = host.traffic().map(|traffic| traffic.enter());
        let Place::At { device, offset, bytes } = host.disk().place(flight.offset, flight.bytes, flight.kind == Kind::Write) else {
            return false;
        };
        let Some(disk) = host.device(device).filter(|_| bytes >= flight.bytes) else { return false };
        let start = offset.wrapping_sub(flight.offset);
        self.submit_whole(token, &Straight { disk, number: device, start })
    }

    fn launch_parts<H: Host>(&mut self, token: Token, host: &H, (limits, dice): (&Limits, &mut Dice)) {
        let fate = dice.next(true);
        let flight = self.flights.get(token);
        // Its own part, so that it is not answered before all of it was given.
        flight.parts = 1;
        match fate {
            Fate::Good => {}
            Fate::Error => (flight.failed, flight.given) = (true, flight.bytes),
            Fate::Short => {
                let unit = limits.block * SECTOR;
                (flight.failed, flight.bytes) = (true, flight.bytes / 2 / unit * unit);
            }
        }
        self.delay(token, dice);
        let flight = self.flights.get(token);
        if flight.order != Order::None && flight.given < flight.bytes {
            let (offset, pieces) = (flight.offset, cut(&flight.pieces, 0, flight.bytes).collect());
            flight.given = flight.bytes;
            let work = if flight.order == Order::Barrier { Work::Barrier(offset, pieces) } else { Work::WriteAfterFlush(offset, pieces) };
            self.slowly(token, work);
        }
        self.go_on(token, host);
    }

    /// Begins what has no pages.
    pub(super) fn launch_work(&mut self, token: Token, work: Work, dice: &mut Dice) {
        let fate = dice.next(false);
        self.flights.get(token).parts = 1;
        self.delay(token, dice);
        if fate == Fate::Good {
            self.slowly(token, work);
        } else {
            self.flights.get(token).failed = true;
        }
        self.part_over(token);
    }

    fn delay(&mut self, token: Token, dice: &Dice) {
        let delay_ms = dice.faults().delay_ms;
        if delay_ms != 0 {
            self.flights.get(token).parts += 1;
            self.jobs.push(Job { token, work: Work::Sleep(delay_ms) });
        }
    }

    fn slowly(&mut self, token: Token, work: Work) {
        let flight = self.flights.get(token);
        flight.parts += 1;
        flight.quick = false;
        self.jobs.push(Job { token, work });
    }

    /// Goes on with those that found their disk full, in their order.
    pub(super) fn resume<H: Host>(&mut self, host: &H) {
        for _ in 0..self.stalled.len() {
            let Some(token) = self.stalled.pop_front() else { return };
            if self.give(token, host) == Given::Full {
                self.stalled.push_front(token);
                return;
            }
            self.part_over(token);
        }
    }

    /// Whether requests wait for room on a disk.
    pub fn is_stalled(&self) -> bool {
        !self.stalled.is_empty()
    }

    /// The disk that requests wait for, and how many pieces the first of them has.
    pub fn waits_for<H: Host>(&mut self, host: &H) -> Option<(u32, usize)> {
        let token = *self.stalled.front()?;
        let flight = self.flights.get(token);
        let (offset, bytes, write) = (flight.offset + flight.given, flight.bytes - flight.given, flight.kind == Kind::Write);
        match host.disk().place(offset, bytes, write) {
            Place::At { device, .. } => {
                let most = host.device(device)?.limits().pieces;
                Some((device, flight.pieces.len().min(most)))
            }
            _ => None,
        }
    }

    fn go_on<H: Host>(&mut self, token: Token, host: &H) {
        match self.give(token, host) {
            Given::All => self.part_over(token),
            Given::Full => self.stalled.push_back(token),
        }
    }

    /// Gives the disk what it was not given yet. Between asking where the bytes lie and submitting nothing else happens, and who has submitted
    /// stays in the traffic until that is done.
    fn give<H: Host>(&mut self, token: Token, host: &H) -> Given {
        let flight = self.flights.get(token);
        if flight.lane.is_none() {
            flight.lane = host.traffic().map(|traffic| traffic.enter());
        }
        let given = self.give_parts(token, host);
        self.flights.get(token).leave(host);
        given
    }

    fn give_parts<H: Host>(&mut self, token: Token, host: &H) -> Given {
        loop {
            let flight = self.flights.get(token);
            if flight.given >= flight.bytes {
                return Given::All;
            }
            let (from, left, write) = (flight.given, flight.bytes - flight.given, flight.kind == Kind::Write);
            match host.disk().place(flight.offset + from, left, write) {
                Place::At { device, offset, bytes } if bytes > 0 => match host.device(device) {
                    Some(disk) => {
                        let given = self.submit(token, disk, offset, bytes.min(left));
                        self.has_given(device);
                        if given == Given::Full {
                            return given;
                        }
                    }
                    None => self.give_slowly(token),
                },
                Place::Zeroes { bytes } if bytes > 0 && !write => {
                    let bytes = bytes.min(left);
                    self.scratch.clear();
                    self.scratch.extend(cut(&flight.pieces, from, bytes));
                    flight.given += bytes;
                    host.zero(&self.scratch);
                }
                _ => self.give_slowly(token),
            }
        }
    }

    /// Has a physical disk told at the end of the turn.
    #[inline(always)]
    fn has_given(&mut self, device: u32) {
        if self.kicks.last() != Some(&device) && !self.kicks.contains(&device) {
            self.kicks.push(device);
        }
    }

    /// The rest of a request as a job.
    fn give_slowly(&mut self, token: Token) {
        let flight = self.flights.get(token);
        let (from, end, offset) = (flight.given, flight.bytes, flight.offset);
        let pieces: Vec<Piece> = cut(&flight.pieces, from, end - from).collect();
        flight.given = end;
        let at = offset + from;
        let work = if flight.kind == Kind::Write { Work::Write(at, pieces) } else { Work::Read(at, pieces) };
        self.slowly(token, work);
    }

    /// Submits the next `bytes` of a request, which lie at `offset` of a physical disk, in as many pieces as it wants.
    fn submit(&mut self, token: Token, disk: &dyn QuickDisk, offset: u64, bytes: u64) -> Given {
        let flight = self.flights.get(token);
        let (limits, tag) = (disk.limits(), QUICK | u64::from(token));
        let kind = if flight.kind == Kind::Write { quick::Kind::Write } else { quick::Kind::Read };
        let whole = bytes == flight.bytes && flight.bytes <= limits.bytes && flight.pieces.len() <= limits.pieces && !flight.failed;
        if whole {
            return match disk.submit(kind, offset, &flight.pieces, &self.completions, tag) {
                Ok(()) => {
                    flight.part_given(bytes);
                    Given::All
                }
                Err(refused) => flight.refused_by_disk(refused),
            };
        }
        let mut done = 0;
        while done < bytes {
            let length = fitting(&flight.pieces, flight.given, bytes - done, &limits);
            self.scratch.clear();
            self.scratch.extend(cut(&flight.pieces, flight.given, length));
            match disk.submit(kind, offset + done, &self.scratch, &self.completions, tag) {
                Ok(()) => flight.part_given(length),
                Err(refused) => return flight.refused_by_disk(refused),
            }
            done += length;
        }
        Given::All
    }

    /// Tells disks of what they were given.
    pub(super) fn kick<H: Host>(&mut self, host: &H) {
        for number in self.kicks.drain(..) {
            if let Some(disk) = host.device(number) {
                disk.kick();
            }
        }
    }
}

impl Flight {
    fn part_given(&mut self, bytes: u64) {
        self.given += bytes;
        self.parts += 1;
        self.quick_parts += 1;
    }

    /// Leaves the traffic if no physical disk has a part of it.
    pub(super) fn leave<H: Host>(&mut self, host: &H) {
        if self.quick_parts == 0
            && let Some(lane) = self.lane.take()
            && let Some(traffic) = host.traffic()
        {
            traffic.leave(lane);
        }
    }

    fn refused_by_disk(&mut self, refused: Refused) -> Given {
        match refused {
            Refused::Full => Given::Full,
            Refused::Failed(_) => {
                (self.failed, self.given) = (true, self.bytes);
                Given::All
            }
        }
    }
}

/// How many of the next `bytes` one request can have.
fn fitting(pieces: &[Piece], from: u64, bytes: u64, limits: &quick::Limits) -> u64 {
    let bytes = bytes.min(limits.bytes);
    let fitting: u64 = cut(pieces, from, bytes).take(limits.pieces).map(|piece| u64::from(piece.bytes)).sum();
    fitting.max(SECTOR).min(bytes)
}
