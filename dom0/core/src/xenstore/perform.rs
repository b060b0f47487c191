//! What each request does. The syntax has been checked; here it meets permissions, quotas and the state of the server.

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    ConnId, DomId, Error,
    access::View,
    path::{self, home},
    perms::Permissions,
    quota::within,
    request::{NodeRequest, Request},
    server::{Server, nul_terminated},
    transaction::{Transaction, Within},
    tree::Nodes,
    watch::{self, TOKEN_MAX, Watch},
};

/// A successful reply.
#[derive(Debug)]
pub struct Answer {
    /// What follows the header.
    pub payload: Vec<u8>,
    /// The event with which a new watch begins: path and token.
    pub initial_event: Option<(String, Box<[u8]>)>,
}

impl Answer {
    pub(super) fn bytes(payload: Vec<u8>) -> Self {
        Self {
            payload,
            initial_event: None,
        }
    }

    pub(super) fn text(text: &str) -> Self {
        Self::bytes(nul_terminated(text))
    }

    pub(super) fn ok() -> Self {
        Self::text("OK")
    }
}

impl Server {
    /// Carries out a request of a client.
    pub(super) fn perform(
        &mut self,
        conn: ConnId,
        tx: u32,
        request: &Request<'_>,
    ) -> Result<Answer, Error> {
        let domid = self.clients.get(&conn).ok_or(Error::NotFound)?.domid;
        match request {
            Request::Node(node) => self.node_request(conn, domid, tx, node),
            Request::Watch(path, token, depth) => self.add_watch(conn, domid, path, token, *depth),
            Request::Unwatch(path, token) => self.remove_watch(conn, domid, path, token),
            Request::ResetWatches => {
                self.reset(conn);
                Ok(Answer::ok())
            }
            Request::TransactionStart => self.start_transaction(conn, domid, tx),
            Request::TransactionEnd(commit) => self.end_transaction(conn, domid, tx, *commit),
            Request::GetDomainPath(other) => Ok(Answer::text(&home(*other))),
            Request::IsIntroduced(other) => {
                let introduced = self.domains.get(*other).is_ok_and(|d| d.introduced);
                Ok(Answer::text(if introduced { "T" } else { "F" }))
            }
            Request::GetOwnFeatures => {
                Ok(Answer::text(&self.domains.get(domid)?.features.to_string()))
            }
            Request::Admin(admin) if domid == super::DOM0 => self.admin(admin),
            Request::Admin(_) => Err(Error::Access),
        }
    }

    fn node_request(
        &mut self,
        conn: ConnId,
        domid: DomId,
        tx: u32,
        request: &NodeRequest<'_>,
    ) -> Result<Answer, Error> {
        if let Some(answer) = self.special_perms(domid, request)? {
            return Ok(answer);
        }
        if tx == 0 {
            let (caller, mut events) = (self.domains.caller(domid), Vec::new());
            let view = View {
                nodes: &mut self.tree,
                caller,
                domains: &self.domains,
                events: &mut events,
            };
            let result = run(view, domid, request);
            self.fire(&events);
            result
        } else {
            self.node_request_within(conn, domid, tx, request)
        }
    }

    fn node_request_within(
        &mut self,
        conn: ConnId,
        domid: DomId,
        tx: u32,
        request: &NodeRequest<'_>,
    ) -> Result<Answer, Error> {
        let client = self.clients.get_mut(&conn).ok_or(Error::NotFound)?;
        let transaction = client.transactions.get_mut(&tx).ok_or(Error::NotFound)?;
        let (caller, mut events) = (self.domains.caller(domid), Vec::new());
        let quotas = self.domains.quotas(domid);
        let used = self
            .tree
            .usage(domid)
            .bytes
            .saturating_add(self.domains.transient_bytes(domid));
        let held = transaction.bytes();
        let mut within = Within {
            live: &self.tree,
            transaction,
            quotas: (!caller.is_privileged()).then_some(quotas),
            room: i64::from(quotas.bytes).saturating_sub(used),
        };
        let view = View {
            nodes: &mut within,
            caller,
            domains: &self.domains,
            events: &mut events,
        };
        let result = run(view, domid, request);
        transaction.note(events, result.as_ref().map(|_| ()).map_err(|e| *e));
        let growth = transaction.bytes() - held;
        self.domains.charge_transient(domid, growth);
        result
    }

    fn start_transaction(&mut self, conn: ConnId, domid: DomId, tx: u32) -> Result<Answer, Error> {
        if tx != 0 {
            return Err(Error::Busy);
        }
        let limit = self.domains.quotas(domid).transactions;
        let client = self.clients.get_mut(&conn).ok_or(Error::NotFound)?;
        if domid != super::DOM0 && !within(client.transactions.len() as i64 + 1, limit) {
            return Err(Error::NoSpace);
        }
        let id = client.new_transaction_id();
        client.transactions.insert(id, Transaction::default());
        Ok(Answer::text(&id.to_string()))
    }

    fn end_transaction(
        &mut self,
        conn: ConnId,
        domid: DomId,
        tx: u32,
        commit: bool,
    ) -> Result<Answer, Error> {
        let client = self.clients.get_mut(&conn).ok_or(Error::NotFound)?;
        let transaction = client.transactions.remove(&tx).ok_or(Error::NotFound)?;
        self.domains.charge_transient(domid, -transaction.bytes());
        if commit {
            let caller = self.domains.caller(domid);
            let events = transaction.commit(&mut self.tree, caller, &self.domains)?;
            self.fire(&events);
        }
        Ok(Answer::ok())
    }

    fn add_watch(
        &mut self,
        conn: ConnId,
        domid: DomId,
        sent: &str,
        token: &[u8],
        depth: Option<u32>,
    ) -> Result<Answer, Error> {
        let path = watch_path(sent, domid)?;
        if sent.starts_with('@') && !matches!(depth, None | Some(1)) {
            return Err(Error::Invalid);
        }
        if token.len() > TOKEN_MAX {
            return Err(Error::TooBig);
        }
        if self.watches.contains(conn, &path, token) {
            return Err(Error::Exists);
        }
        let (quotas, cost) = (self.domains.quotas(domid), watch::cost(&path, token));
        let used = self
            .tree
            .usage(domid)
            .bytes
            .saturating_add(self.domains.transient_bytes(domid));
        let domain = self.domains.get_mut(domid)?;
        let fits = within(i64::from(domain.watches) + 1, quotas.watches)
            && within(used.saturating_add(cost), quotas.bytes);
        if domid != super::DOM0 && !fits {
            return Err(Error::TooBig);
        }
        domain.watches = domain.watches.saturating_add(1);
        self.domains.charge_transient(domid, cost);
        let relative = !sent.starts_with(['/', '@']);
        self.watches.add(
            path,
            Watch {
                conn,
                token: token.into(),
                relative,
                depth,
            },
        )?;
        Ok(Answer {
            initial_event: Some((sent.into(), token.into())),
            ..Answer::ok()
        })
    }

    fn remove_watch(
        &mut self,
        conn: ConnId,
        domid: DomId,
        sent: &str,
        token: &[u8],
    ) -> Result<Answer, Error> {
        let freed = self
            .watches
            .remove(conn, &watch_path(sent, domid)?, token)?;
        self.domains.charge_transient(domid, -freed);
        let domain = self.domains.get_mut(domid)?;
        domain.watches = domain.watches.saturating_sub(1);
        Ok(Answer::ok())
    }

    /// The permissions of a special name decide who gets its events; Dom0 may set them.
    fn special_perms(
        &mut self,
        domid: DomId,
        request: &NodeRequest<'_>,
    ) -> Result<Option<Answer>, Error> {
        let (name, new) = match request {
            NodeRequest::GetPerms(name) => (*name, None),
            NodeRequest::SetPerms(name, perms) => (*name, Some(perms)),
            _ => return Ok(None),
        };
        let Some(perms) = self.specials.get_mut(name) else {
            return Ok(None);
        };
        if domid != super::DOM0 {
            return Err(Error::Access);
        }
        let Some(new) = new else {
            return Ok(Some(perms_answer(perms)));
        };
        if !self.domains.knows(new.owner()) {
            return Err(Error::Invalid);
        }
        perms.clone_from(new);
        perms.retain_others(|other| self.domains.knows(other));
        Ok(Some(Answer::ok()))
    }
}

fn run<N: Nodes>(
    mut view: View<'_, N>,
    domid: DomId,
    request: &NodeRequest<'_>,
) -> Result<Answer, Error> {
    let resolve = |sent: &str| path::resolve(sent, domid);
    match request {
        NodeRequest::Read(path) => view.read(&resolve(path)?).map(Answer::bytes),
        NodeRequest::GetPerms(path) => Ok(perms_answer(&view.perms(&resolve(path)?)?)),
        NodeRequest::Directory(path) => Ok(Answer::bytes(joined(view.list(&resolve(path)?)?.0))),
        NodeRequest::DirectoryPart(path, offset) => {
            let (names, generation) = view.list(&resolve(path)?)?;
            Ok(directory_part(&joined(names), *offset, generation))
        }
        NodeRequest::Write(path, value) => {
            view.write(&resolve(path)?, value).map(|()| Answer::ok())
        }
        NodeRequest::Mkdir(path) => view.mkdir(&resolve(path)?).map(|()| Answer::ok()),
        NodeRequest::Rm(path) => view.rm(&resolve(path)?).map(|()| Answer::ok()),
        NodeRequest::SetPerms(path, perms) => view
            .set_perms(&resolve(path)?, perms.clone())
            .map(|()| Answer::ok()),
    }
}

fn perms_answer(perms: &Permissions) -> Answer {
    Answer::bytes(joined(perms.format()))
}

fn joined(names: impl IntoIterator<Item = String>) -> Vec<u8> {
    names
        .into_iter()
        .flat_map(|name| nul_terminated(&name))
        .collect()
}

/// The generation, then as many whole names as fit; an empty name marks the end of the list.
fn directory_part(names: &[u8], offset: usize, generation: u64) -> Answer {
    let mut payload = nul_terminated(&format!("{generation}"));
    let rest = names.get(offset..).unwrap_or_default();
    let room = abi::xenstore::PAYLOAD_MAX - payload.len() - 1;
    if rest.len() <= room {
        payload.extend_from_slice(rest);
        payload.push(0);
    } else {
        let end = rest
            .get(..room)
            .and_then(|fits| memchr::memrchr(0, fits))
            .map_or(0, |nul| nul + 1);
        payload.extend_from_slice(rest.get(..end).unwrap_or_default());
    }
    Answer::bytes(payload)
}

fn watch_path(sent: &str, domid: DomId) -> Result<path::Path, Error> {
    match sent.strip_prefix('@') {
        None => path::resolve(sent, domid),
        Some(name) if path::is_valid(&format!("/{name}")) => Ok(sent.into()),
        Some(_) => Err(Error::Invalid),
    }
}
