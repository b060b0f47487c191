//! Domains come and go, and what they leave behind.

use abi::xenstore::{WATCH_INTRODUCE_DOMAIN, WATCH_RELEASE_DOMAIN};
use alloc::vec::Vec;

use super::{
    ConnId, DOM0, DomId,
    client::Client,
    path::{self, Path},
    server::Server,
};

impl Server {
    /// Makes a domain known, so that permissions may name it. Comes before its tree is written.
    pub fn add_domain(&mut self, domid: DomId) {
        self.domains.add(domid);
    }

    /// Opens a connection for a domain, which becomes known if it is not. Dom0 may have several.
    pub fn connect(&mut self, domid: DomId) -> ConnId {
        self.domains.add(domid);
        let conn = self.new_conn_id();
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
        if domid == DOM0 || !self.domains.knows(domid) {
            return;
        }
        let conns: Vec<ConnId> = self.clients.iter().filter(|(_, c)| c.domid == domid).map(|(id, _)| *id).collect();
        conns.into_iter().for_each(|conn| self.disconnect(conn));
        self.domains.remove(domid);
        for transaction in self.clients.values_mut().flat_map(|c| c.transactions.values_mut()) {
            transaction.spoil_if_mentions(domid);
        }
        self.remove_owned(domid);
        self.tree.forget_entries(domid);
        self.forget_specials(domid);
        self.fire_special(WATCH_RELEASE_DOMAIN, domid);
    }

    pub(super) fn announce_introduction(&mut self, domid: DomId) {
        if let Ok(domain) = self.domains.get_mut(domid) {
            domain.introduced = true;
        }
        self.fire_special(WATCH_INTRODUCE_DOMAIN, domid);
    }

    /// Ends all watches and transactions of a client.
    pub(super) fn reset(&mut self, conn: ConnId) {
        let Some(client) = self.clients.get_mut(&conn) else {
            return;
        };
        let open: i64 = core::mem::take(&mut client.transactions).values().map(|t| t.bytes()).sum();
        let domid = client.domid;
        let (count, bytes) = self.watches.remove_all(conn);
        self.domains.charge_transient(domid, -(open + bytes));
        if let Ok(domain) = self.domains.get_mut(domid) {
            domain.watches = domain.watches.saturating_sub(count);
        }
    }

    fn remove_owned(&mut self, domid: DomId) {
        let owned: Vec<Path> = self.tree.paths_where(|node| node.perms.owner() == domid);
        // In byte order, so a search finds whether an ancestor goes as well.
        let is_owned = |path: &str| owned.binary_search_by(|o| (**o).cmp(path)).is_ok();
        for top in owned.iter().filter(|p| !path::upwards(p).skip(1).any(is_owned)) {
            self.remove(top);
        }
    }
}
