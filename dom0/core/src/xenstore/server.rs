//! The server: connections, and whose turn it is.
//!
//! Clients take turns, one request a turn, see `turns`: a client that floods delays another by at most one request of its own.
//! Nothing here waits: the driver feeds bytes with [`Server::input`], calls [`Server::step`] while it returns true, and sends what [`Server::output`] shows to
//! those that [`Server::next_with_output`] names.

use abi::xenstore::{PAYLOAD_MAX, WATCH_INTRODUCE_DOMAIN, WATCH_RELEASE_DOMAIN, msg};
use alloc::collections::{BTreeMap, VecDeque};

use super::{
    ConnId, DomId, Error,
    answer::{Answer, nul_terminated},
    client::Client,
    domains::Domains,
    perms::{Access, Permissions},
    request::Request,
    tree::Tree,
    turns::Turns,
    watch::Watches,
    wire::{Message, encode},
};
use crate::map::{Hasher, Map};

/// What a request of Dom0 makes the driver do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Map the ring of a domain, bind its event channel and [`Server::connect`] it.
    Connect {
        /// The domain.
        domid: DomId,
        /// The frame of its ring.
        frame: u64,
        /// Its unbound event channel.
        port: u32,
    },
    /// Unmap the ring of a domain; its connections are gone already.
    Disconnect(DomId),
}

/// The whole of xenstore.
#[derive(Debug)]
pub struct Server {
    pub(super) tree: Tree,
    pub(super) domains: Domains,
    pub(super) watches: Watches,
    pub(super) specials: BTreeMap<&'static str, Permissions>,
    pub(super) clients: Map<ConnId, Client>,
    pub(super) effects: VecDeque<Effect>,
    /// A domain has noticed that a node is gone.
    pub(super) noticed: bool,
    turns: Turns,
    sending: VecDeque<ConnId>,
    last_conn: u32,
}

impl Default for Server {
    /// For tests: a guest could know the seed.
    fn default() -> Self {
        Self::new(0)
    }
}

impl Server {
    /// A server of Dom0 alone. Paths are hashed with a seed that no guest should know.
    pub fn new(seed: u64) -> Self {
        let hasher = Hasher::with_seed(seed);
        let nobody = || Permissions::new(super::DOM0, Access::NONE);
        Self {
            tree: Tree::new(hasher.clone()),
            domains: Domains::default(),
            watches: Watches::new(hasher),
            specials: [(WATCH_INTRODUCE_DOMAIN, nobody()), (WATCH_RELEASE_DOMAIN, nobody())].into(),
            clients: Map::default(),
            effects: VecDeque::new(),
            noticed: false,
            turns: Turns::default(),
            sending: VecDeque::new(),
            last_conn: 0,
        }
    }

    /// Gives bytes that a client has sent; returns how many were taken. The rest comes again after [`Server::step`].
    pub fn input(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        let taken = self.clients.get_mut(&conn).map_or(0, |c| c.accept(bytes));
        self.schedule(conn);
        taken
    }

    /// How many bytes [`Server::input`] would take.
    pub fn room(&self, conn: ConnId) -> usize {
        self.clients.get(&conn).map_or(0, Client::room)
    }

    /// [`Server::step_by`] where all requests take as long. False if nobody waits.
    pub fn step(&mut self) -> bool {
        self.step_by(|| 0).is_some()
    }

    /// Serves one request of the client whose turn it is, which pays for the time that passes by the clock (ns); none if nobody waits.
    pub fn step_by(&mut self, clock: impl Fn() -> u64) -> Option<ConnId> {
        let conn = self.turns.next()?;
        let start = clock();
        let message = self.clients.get_mut(&conn).and_then(|client| {
            client.scheduled = false;
            client.take()
        });
        let change = message.as_ref().is_some_and(Message::is_change);
        if let Some(message) = message {
            self.serve(conn, &message);
        }
        if let Some(client) = self.clients.get_mut(&conn) {
            client.used.charge(clock().saturating_sub(start), change);
        }
        self.schedule(conn);
        Some(conn)
    }

    /// The bytes that a client is to be sent next; empty if there are none. After sending call [`Server::sent`], then look again.
    pub fn output(&self, conn: ConnId) -> &[u8] {
        self.clients.get(&conn).map(Client::output).unwrap_or_default()
    }

    /// Tells that the first bytes of [`Server::output`] have been sent.
    pub fn sent(&mut self, conn: ConnId, bytes: usize) {
        if let Some(client) = self.clients.get_mut(&conn) {
            client.advance(bytes);
        }
        self.schedule(conn);
    }

    /// A connection that has got something to send since it was named last.
    pub fn next_with_output(&mut self) -> Option<ConnId> {
        while let Some(conn) = self.sending.pop_front() {
            if let Some(client) = self.clients.get_mut(&conn) {
                client.listed = false;
                return Some(conn);
            }
        }
        None
    }

    /// Whether a client has violated the protocol; the driver sets the ring's error field and need not listen any more.
    pub fn is_broken(&self, conn: ConnId) -> bool {
        self.clients.get(&conn).is_none_or(Client::is_broken)
    }

    /// Bytes queued for a client.
    pub fn queued_bytes(&self, conn: ConnId) -> usize {
        self.clients.get(&conn).map_or(0, Client::queued_bytes)
    }

    /// What the driver has to do for a request of Dom0.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Compares all books with what a walk finds.
    pub fn check(&self) -> bool {
        self.tree.check()
    }

    fn serve(&mut self, conn: ConnId, message: &Message) {
        let result = Request::parse(message).and_then(|request| self.perform(conn, message.tx_id, &request));
        let fits = |answer: Answer| {
            if answer.payload.len() > PAYLOAD_MAX { Err(Error::TooBig) } else { Ok(answer) }
        };
        let (kind, payload, then) = match result.and_then(fits) {
            Ok(answer) => (message.kind, answer.payload, answer.initial_event),
            Err(error) => (msg::ERROR, nul_terminated(error.name()), None),
        };
        if let Some(client) = self.clients.get_mut(&conn) {
            client.reply(encode(kind, message.req_id, message.tx_id, &payload));
        }
        self.announce_output(conn);
        if let Some((shown, token)) = then {
            self.notify(conn, &shown, &shown, &token);
        }
    }

    /// Queues an event for a client: `shown` changed, below the watch on `watched`.
    pub(super) fn notify(&mut self, conn: ConnId, shown: &str, watched: &str, token: &[u8]) {
        let Some(client) = self.clients.get_mut(&conn) else {
            return;
        };
        let limit = self.domains.quotas(client.domid).events;
        let encoded = |path: &str| encode(msg::WATCH_EVENT, 0, 0, &[path.as_bytes(), &[0], token, &[0]].concat());
        client.event(encoded(shown), encoded(watched), limit);
        self.announce_output(conn);
    }

    pub(super) fn new_conn_id(&mut self) -> ConnId {
        self.last_conn = self.last_conn.wrapping_add(1);
        ConnId(self.last_conn)
    }

    fn schedule(&mut self, conn: ConnId) {
        if let Some(client) = self.clients.get_mut(&conn)
            && !client.scheduled
            && client.can_be_served()
        {
            client.scheduled = true;
            self.turns.join(conn, &mut client.used);
        }
    }

    fn announce_output(&mut self, conn: ConnId) {
        if let Some(client) = self.clients.get_mut(&conn)
            && !client.listed
        {
            client.listed = true;
            self.sending.push_back(conn);
        }
    }
}
