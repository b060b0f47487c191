//! Registering watches, and who may see the special ones.

use super::{
    ConnId, DOM0, DomId, Error,
    answer::{Answer, perms_answer},
    node::Nodes,
    path,
    quota::within,
    request::NodeRequest,
    server::Server,
    watch::{self, TOKEN_MAX, Watch},
};
use alloc::format;

impl Server {
    pub(super) fn add_watch(&mut self, conn: ConnId, domid: DomId, sent: &str, token: &[u8], depth: Option<u32>) -> Result<Answer, Error> {
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
        let used = self.tree.usage(domid).bytes.saturating_add(self.domains.transient_bytes(domid));
        let domain = self.domains.get_mut(domid)?;
        let fits = within(i64::from(domain.watches) + 1, quotas.watches) && within(used.saturating_add(cost), quotas.bytes);
        if domid != DOM0 && !fits {
            return Err(Error::TooBig);
        }
        domain.watches = domain.watches.saturating_add(1);
        self.domains.charge_transient(domid, cost);
        let relative = !sent.starts_with(['/', '@']);
        self.watches.add(path, Watch { conn, token: token.into(), relative, depth })?;
        Ok(Answer { initial_event: Some((sent.into(), token.into())), ..Answer::ok() })
    }

    pub(super) fn remove_watch(&mut self, conn: ConnId, domid: DomId, sent: &str, token: &[u8]) -> Result<Answer, Error> {
        let freed = self.watches.remove(conn, &watch_path(sent, domid)?, token)?;
        self.domains.charge_transient(domid, -freed);
        let domain = self.domains.get_mut(domid)?;
        domain.watches = domain.watches.saturating_sub(1);
        Ok(Answer::ok())
    }

    /// The permissions of a special name decide who gets its events; Dom0 may set them.
    pub(super) fn special_perms(&mut self, domid: DomId, request: &NodeRequest<'_>) -> Result<Option<Answer>, Error> {
        let (name, new) = match request {
            NodeRequest::GetPerms(name) => (*name, None),
            NodeRequest::SetPerms(name, perms) => (*name, Some(perms)),
            _ => return Ok(None),
        };
        let Some(perms) = self.specials.get_mut(name) else {
            return Ok(None);
        };
        if domid != DOM0 {
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

fn watch_path(sent: &str, domid: DomId) -> Result<path::Path, Error> {
    match sent.strip_prefix('@') {
        None => path::resolve(sent, domid),
        Some(name) if path::is_valid(&format!("/{name}")) => Ok(sent.into()),
        Some(_) => Err(Error::Invalid),
    }
}
