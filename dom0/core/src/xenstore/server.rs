//! The server: connections, whose turn it is, and the coming and going of domains.
//!
//! Clients take turns, one request a turn, so a client that floods delays another by at most one request of its own. Nothing here waits:
//! the driver feeds bytes with [`Server::input`], calls [`Server::step`] while it returns true, and sends what [`Server::output`] shows to
//! those that [`Server::next_with_output`] names.

use abi::xenstore::{PAYLOAD_MAX, WATCH_INTRODUCE_DOMAIN, WATCH_RELEASE_DOMAIN, msg};
use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use super::{
    ConnId, DomId, Error,
    client::Client,
    domains::Domains,
    path::{self, Path},
    perform::Answer,
    perms::{Access, Permissions},
    request::Request,
    tree::Tree,
    watch::Watches,
    wire::{Message, encode},
};

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
    pub(super) clients: BTreeMap<ConnId, Client>,
    pub(super) effects: VecDeque<Effect>,
    turns: VecDeque<ConnId>,
    sending: VecDeque<ConnId>,
    last_conn: u32,
}

impl Default for Server {
    fn default() -> Self {
        let nobody = || Permissions::new(super::DOM0, Access::NONE);
        Self {
            tree: Tree::default(),
            domains: Domains::default(),
            watches: Watches::default(),
            specials: [
                (WATCH_INTRODUCE_DOMAIN, nobody()),
                (WATCH_RELEASE_DOMAIN, nobody()),
            ]
            .into(),
            clients: BTreeMap::new(),
            effects: VecDeque::new(),
            turns: VecDeque::new(),
            sending: VecDeque::new(),
            last_conn: 0,
        }
    }
}

impl Server {
    /// Makes a domain known, so that permissions may name it. Comes before its tree is written.
    pub fn add_domain(&mut self, domid: DomId) {
        self.domains.add(domid);
    }

    /// Opens a connection for a domain, which becomes known if it is not. Dom0 may have several.
    pub fn connect(&mut self, domid: DomId) -> ConnId {
        self.domains.add(domid);
        self.last_conn = self.last_conn.wrapping_add(1);
        let conn = ConnId(self.last_conn);
        self.clients.insert(conn, Client::new(domid));
        conn
    }

    /// Opens the connection of a new domain and announces the domain.
    pub fn introduce(&mut self, domid: DomId) -> ConnId {
        let conn = self.connect(domid);
        self.announce_introduction(domid);
        conn
    }

    /// Closes a connection; its watches and transactions go with it.
    pub fn disconnect(&mut self, conn: ConnId) {
        self.reset(conn);
        self.clients.remove(&conn);
    }

    /// Announces that a domain has shut down or crashed, once until it resumes.
    pub fn domain_shut_down(&mut self, domid: DomId) {
        if let Ok(domain) = self.domains.get_mut(domid)
            && !core::mem::replace(&mut domain.shut_down, true)
        {
            self.fire_special(WATCH_RELEASE_DOMAIN, domid);
        }
    }

    /// Forgets a domain: connections, watches, transactions, the nodes that it owns with all below them, and every permission that
    /// names it, so that the next domain with its number inherits nothing (XSA-322). Dom0 cannot be removed.
    pub fn remove_domain(&mut self, domid: DomId) {
        if domid == super::DOM0 || !self.domains.knows(domid) {
            return;
        }
        let conns: Vec<ConnId> = self
            .clients
            .iter()
            .filter(|(_, c)| c.domid == domid)
            .map(|(id, _)| *id)
            .collect();
        conns.into_iter().for_each(|conn| self.disconnect(conn));
        self.domains.remove(domid);
        for transaction in self
            .clients
            .values_mut()
            .flat_map(|c| c.transactions.values_mut())
        {
            transaction.spoil_if_mentions(domid);
        }
        self.remove_owned(domid);
        self.tree.forget_entries(domid);
        self.forget_specials(domid);
        self.fire_special(WATCH_RELEASE_DOMAIN, domid);
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

    /// Serves one request of the client whose turn it is. False if nobody waits.
    pub fn step(&mut self) -> bool {
        let Some(conn) = self.turns.pop_front() else {
            return false;
        };
        if let Some(client) = self.clients.get_mut(&conn) {
            client.scheduled = false;
            if let Some(message) = client.take() {
                self.serve(conn, &message);
            }
        }
        self.schedule(conn);
        true
    }

    /// The bytes that a client is to be sent next; empty if there are none. After sending call [`Server::sent`], then look again.
    pub fn output(&self, conn: ConnId) -> &[u8] {
        self.clients
            .get(&conn)
            .map(Client::output)
            .unwrap_or_default()
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

    pub(super) fn announce_introduction(&mut self, domid: DomId) {
        if let Ok(domain) = self.domains.get_mut(domid) {
            domain.introduced = true;
        }
        self.fire_special(WATCH_INTRODUCE_DOMAIN, domid);
    }

    fn serve(&mut self, conn: ConnId, message: &Message) {
        let result =
            Request::parse(message).and_then(|request| self.perform(conn, message.tx_id, &request));
        let fits = |answer: Answer| {
            if answer.payload.len() > PAYLOAD_MAX {
                Err(Error::TooBig)
            } else {
                Ok(answer)
            }
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
        let encoded = |path: &str| {
            encode(
                msg::WATCH_EVENT,
                0,
                0,
                &[path.as_bytes(), &[0], token, &[0]].concat(),
            )
        };
        client.event(encoded(shown), encoded(watched), limit);
        self.announce_output(conn);
    }

    /// Ends all watches and transactions of a client.
    pub(super) fn reset(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(&conn) else {
            return;
        };
        let open: i64 = core::mem::take(&mut client.transactions)
            .values()
            .map(|t| t.bytes())
            .sum();
        let domid = client.domid;
        let (count, bytes) = self.watches.remove_all(conn);
        self.domains.charge_transient(domid, -(open + bytes));
        if let Ok(domain) = self.domains.get_mut(domid) {
            domain.watches = domain.watches.saturating_sub(count);
        }
    }

    fn remove_owned(&mut self, domid: DomId) {
        let owned: Vec<Path> = self
            .tree
            .iter()
            .filter(|(_, n)| n.perms.owner() == domid)
            .map(|(p, _)| p.into())
            .collect();
        // In byte order, so a search finds whether an ancestor goes as well.
        let is_owned = |path: &str| owned.binary_search_by(|o| (**o).cmp(path)).is_ok();
        for top in owned
            .iter()
            .filter(|p| !path::upwards(p).skip(1).any(is_owned))
        {
            self.remove(top);
        }
    }

    fn schedule(&mut self, conn: ConnId) {
        if let Some(client) = self.clients.get_mut(&conn)
            && !client.scheduled
            && client.can_be_served()
        {
            client.scheduled = true;
            self.turns.push_back(conn);
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

/// A string as the protocol has it.
pub(super) fn nul_terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}
