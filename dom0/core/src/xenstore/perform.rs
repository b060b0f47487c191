//! What each request does. The syntax has been checked; here it meets permissions, quotas and the state of the server.

use alloc::{string::ToString, vec::Vec};

use super::{
    ConnId, DOM0, DomId, Error,
    access::View,
    answer::{Answer, directory_part, joined, perms_answer},
    node::Nodes,
    path::{self, home},
    request::{NodeRequest, Request},
    server::Server,
};

impl Server {
    /// Carries out a request of a client.
    pub(super) fn perform(&mut self, conn: ConnId, tx: u32, request: &Request<'_>) -> Result<Answer, Error> {
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
            Request::GetOwnFeatures => Ok(Answer::text(&self.domains.get(domid)?.features.to_string())),
            Request::Admin(admin) if domid == DOM0 => self.admin(admin),
            Request::Admin(_) => Err(Error::Access),
        }
    }

    fn node_request(&mut self, conn: ConnId, domid: DomId, tx: u32, request: &NodeRequest<'_>) -> Result<Answer, Error> {
        if let Some(answer) = self.special_perms(domid, request)? {
            return Ok(answer);
        }
        let result = if tx == 0 {
            let (caller, mut events) = (self.domains.caller(domid), Vec::new());
            let view = View { nodes: &mut self.tree, caller, domains: &self.domains, events: &mut events };
            let result = run(view, domid, request);
            self.fire(&events);
            result
        } else {
            self.node_request_within(conn, domid, tx, request)
        };
        if result.is_err() {
            self.missed(domid, request);
        }
        result
    }
}

/// Carries out a request about a node, in the tree or within a transaction.
pub(super) fn run<N: Nodes>(mut view: View<'_, N>, domid: DomId, request: &NodeRequest<'_>) -> Result<Answer, Error> {
    let resolve = |sent: &str| path::resolve(sent, domid);
    match request {
        NodeRequest::Read(path) => view.read(&resolve(path)?).map(Answer::bytes),
        NodeRequest::GetPerms(path) => Ok(perms_answer(&view.perms(&resolve(path)?)?)),
        NodeRequest::Directory(path) => Ok(Answer::bytes(joined(view.list(&resolve(path)?)?.0))),
        NodeRequest::DirectoryPart(path, offset) => {
            let (names, generation) = view.list(&resolve(path)?)?;
            Ok(directory_part(&joined(names), *offset, generation))
        }
        NodeRequest::Write(path, value) => view.write(&resolve(path)?, value).map(|()| Answer::ok()),
        NodeRequest::Mkdir(path) => view.mkdir(&resolve(path)?).map(|()| Answer::ok()),
        NodeRequest::Rm(path) => view.rm(&resolve(path)?).map(|()| Answer::ok()),
        NodeRequest::SetPerms(path, perms) => view.set_perms(&resolve(path)?, perms.clone()).map(|()| Answer::ok()),
    }
}
