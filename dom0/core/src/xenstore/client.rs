//! One connection: what has come in, what waits to go out, and its open transactions.
//!
//! Everything is bounded. A client that does not read its replies is not served further; one that does not read its events gets
//! them merged: in place of many events below a watched path, one for the watched path itself.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use super::{
    DomId,
    transaction::Transaction,
    turns::Used,
    wire::{Inbox, Message, ProtocolViolation},
};

/// Unsent replies at which a client is no longer served.
const REPLIES_MAX: usize = 4;
/// Bytes of unsent events at which further ones are merged.
const EVENT_BYTES_MAX: usize = 32 * 1024;

/// What a queued message is, for the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reply,
    Event,
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    /// The domain at the other end.
    pub domid: DomId,
    /// Open transactions by number.
    pub transactions: BTreeMap<u32, Transaction>,
    /// Whether it waits for its turn already.
    pub scheduled: bool,
    /// What it has used of the server's time.
    pub used: Used,
    /// Whether it is listed as having something to send.
    pub listed: bool,
    inbox: Inbox,
    outbox: VecDeque<(Kind, Vec<u8>)>,
    sent: usize,
    event_bytes: usize,
    broken: bool,
    last_transaction: u32,
}

impl Client {
    /// A fresh connection of a domain.
    pub fn new(domid: DomId) -> Self {
        Self {
            domid,
            transactions: BTreeMap::new(),
            scheduled: false,
            used: Used::default(),
            listed: false,
            inbox: Inbox::default(),
            outbox: VecDeque::new(),
            sent: 0,
            event_bytes: 0,
            broken: false,
            last_transaction: 0,
        }
    }

    /// Takes bytes as far as there is room; a broken connection swallows everything.
    pub fn accept(&mut self, bytes: &[u8]) -> usize {
        if self.broken { bytes.len() } else { self.inbox.accept(bytes) }
    }

    /// Bytes that would be taken now.
    pub fn room(&self) -> usize {
        self.inbox.room()
    }

    /// Whether a request is complete and its reply has a place.
    pub fn can_be_served(&self) -> bool {
        !self.broken && self.count(Kind::Reply) < REPLIES_MAX && self.inbox.is_ready()
    }

    /// The next request. A violation of the protocol breaks the connection.
    pub fn take(&mut self) -> Option<Message> {
        match self.inbox.take() {
            Ok(message) => message,
            Err(ProtocolViolation) => {
                self.broken = true;
                None
            }
        }
    }

    /// Whether the client has violated the protocol.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Queues a reply.
    pub fn reply(&mut self, message: Vec<u8>) {
        self.outbox.push_back((Kind::Reply, message));
    }

    /// Queues an event, unless the same is still unsent. Beyond `limit` events `merged` takes its place.
    pub fn event(&mut self, event: Vec<u8>, merged: Vec<u8>, limit: u32) {
        let count_left = limit == 0 || self.count(Kind::Event) < limit as usize;
        let bytes_left = self.event_bytes.saturating_add(event.len()) <= EVENT_BYTES_MAX;
        let event = if count_left && bytes_left { event } else { merged };
        let started = usize::from(self.sent > 0);
        if !self.outbox.iter().skip(started).any(|(_, queued)| *queued == event) {
            self.event_bytes = self.event_bytes.saturating_add(event.len());
            self.outbox.push_back((Kind::Event, event));
        }
    }

    /// Bytes to send next; empty if there are none.
    pub fn output(&self) -> &[u8] {
        self.outbox.front().and_then(|(_, message)| message.get(self.sent..)).unwrap_or_default()
    }

    /// Tells that bytes of [`Client::output`] have been sent.
    pub fn advance(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
        if let Some((kind, front)) = self.outbox.front()
            && self.sent >= front.len()
        {
            if *kind == Kind::Event {
                self.event_bytes = self.event_bytes.saturating_sub(front.len());
            }
            self.outbox.pop_front();
            self.sent = 0;
        }
    }

    /// A number for a new transaction that no open one has.
    pub fn new_transaction_id(&mut self) -> u32 {
        loop {
            self.last_transaction = self.last_transaction.wrapping_add(1).max(1);
            if !self.transactions.contains_key(&self.last_transaction) {
                return self.last_transaction;
            }
        }
    }

    /// Bytes held in queues, for tests of the bounds.
    pub fn queued_bytes(&self) -> usize {
        self.outbox.iter().map(|(_, m)| m.len()).sum()
    }

    fn count(&self, kind: Kind) -> usize {
        self.outbox.iter().filter(|(k, _)| *k == kind).count()
    }
}
