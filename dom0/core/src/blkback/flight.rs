//! Requests between the ring and the disk. A request may go down in several parts; it is answered when all have come back.

use alloc::{boxed::Box, vec::Vec};

use super::request::{Fault, Order};
use super::slots::Slot;
use super::stats::Kind;
use crate::block::{Lane, Piece};

/// The number of a request in flight, which the disk gives back.
pub type Token = u16;

/// Requests of more pieces than this keep their vectors only if they are among the first so many. More are never in flight at once, as pages are
/// limited: but a front end that changes what it asks for would leave such vectors with all.
const USUAL_PIECES: usize = 32;
const MOST_LARGE: Token = 32;

/// A request in flight.
#[derive(Debug, Default)]
pub struct Flight {
    /// The front end's name for it.
    pub id: u64,
    /// The operation, as the reply repeats it.
    pub operation: u8,
    /// What it counts as.
    pub kind: Kind,
    /// How writes are ordered.
    pub order: Order,
    /// First byte on the disk.
    pub offset: u64,
    /// How many bytes it moves.
    pub bytes: u64,
    /// Bytes that have been given to a disk or need none.
    pub given: u64,
    /// Parts under way.
    pub parts: u32,
    /// Those of them that physical disks have.
    pub quick_parts: u32,
    /// What was entered for them.
    pub lane: Option<Lane>,
    /// Something has gone wrong.
    pub failed: bool,
    /// It was found wrong in itself when its segments had been read.
    pub refused: Option<Fault>,
    /// How many of the first slots hold segments, not data.
    pub descriptors: usize,
    /// All that it moves went the quick way so far.
    pub quick: bool,
    /// Where its pages are mapped.
    pub slots: Vec<Slot>,
    /// Its memory, in order; not filled in for a request whose pages could not be mapped.
    pub pieces: Vec<Piece>,
    free: bool,
}

/// All requests in flight of a queue. The vectors of those that are done are kept for others: no memory is asked for in steady state.
#[derive(Debug)]
pub struct Flights {
    all: Box<[Flight]>,
    free: Vec<Token>,
}

impl Flights {
    /// Room for so many.
    pub fn new(count: u16) -> Self {
        let flight = |_| Flight { free: true, ..Flight::default() };
        Self { all: (0..count).map(flight).collect(), free: (0..count).rev().collect() }
    }

    /// How many are in flight.
    pub fn len(&self) -> usize {
        self.all.len() - self.free.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes room for a request, blank but for its vectors' memory.
    pub fn begin(&mut self, id: u64, operation: u8, kind: Kind) -> Option<Token> {
        let token = self.free.pop()?;
        let flight = &mut self.all[usize::from(token)];
        flight.slots.clear();
        flight.pieces.clear();
        (flight.id, flight.operation, flight.kind, flight.order) = (id, operation, kind, Order::None);
        (flight.offset, flight.bytes, flight.given, flight.parts) = (0, 0, 0, 0);
        (flight.failed, flight.refused, flight.descriptors) = (false, None, 0);
        (flight.quick_parts, flight.lane) = (0, None);
        (flight.quick, flight.free) = (true, false);
        Some(token)
    }

    /// Gives the room back.
    pub fn end(&mut self, token: Token) {
        let flight = &mut self.all[usize::from(token)];
        if flight.pieces.capacity() > USUAL_PIECES && token >= MOST_LARGE {
            (flight.slots, flight.pieces) = (Vec::new(), Vec::new());
        }
        flight.free = true;
        self.free.push(token);
    }

    /// A request that is in flight.
    pub fn get(&mut self, token: Token) -> &mut Flight {
        let flight = &mut self.all[usize::from(token)];
        debug_assert!(!flight.free, "in flight");
        flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_is_kept_whatever_was_asked_for() {
        let mut flights = Flights::new(256);
        let tokens: Vec<Token> = (0..256).map(|id| flights.begin(id, 0, Kind::Read).unwrap()).collect();
        for &token in &tokens {
            flights.get(token).pieces.extend([Piece { address: 0, virt: 0, bytes: 512 }; 256]);
            flights.get(token).slots.extend([0; 256]);
        }
        tokens.into_iter().for_each(|token| flights.end(token));
        let kept: usize = flights.all.iter().map(|flight| size_of::<Piece>() * flight.pieces.capacity()).sum();
        assert!(kept <= 256 << 10, "{kept} bytes");
        let first = flights.begin(0, 0, Kind::Read).unwrap();
        assert!(first >= MOST_LARGE || flights.get(first).pieces.capacity() >= 256);
    }
}
