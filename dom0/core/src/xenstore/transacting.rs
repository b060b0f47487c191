//! Opening and closing transactions, and requests within one.

use alloc::{string::ToString, vec::Vec};

use super::{
    ConnId, DOM0, DomId, Error,
    access::View,
    answer::Answer,
    node::Nodes,
    perform::run,
    quota::within,
    request::NodeRequest,
    server::Server,
    transaction::{Transaction, Within},
};

impl Server {
    pub(super) fn node_request_within(&mut self, conn: ConnId, domid: DomId, tx: u32, request: &NodeRequest<'_>) -> Result<Answer, Error> {
        let client = self.clients.get_mut(&conn).ok_or(Error::NotFound)?;
        let transaction = client.transactions.get_mut(&tx).ok_or(Error::NotFound)?;
        let (caller, mut events) = (self.domains.caller(domid), Vec::new());
        let quotas = self.domains.quotas(domid);
        let used = self.tree.usage(domid).bytes.saturating_add(self.domains.transient_bytes(domid));
        let held = transaction.bytes();
        let mut within = Within {
            live: &self.tree,
            transaction,
            quotas: (!caller.is_privileged()).then_some(quotas),
            room: i64::from(quotas.bytes).saturating_sub(used),
        };
        let view = View { nodes: &mut within, caller, domains: &self.domains, events: &mut events };
        let result = run(view, domid, request);
        transaction.note(events, result.as_ref().map(|_| ()).map_err(|e| *e));
        let growth = transaction.bytes() - held;
        self.domains.charge_transient(domid, growth);
        result
    }

    pub(super) fn start_transaction(&mut self, conn: ConnId, domid: DomId, tx: u32) -> Result<Answer, Error> {
        if tx != 0 {
            return Err(Error::Busy);
        }
        let limit = self.domains.quotas(domid).transactions;
        let client = self.clients.get_mut(&conn).ok_or(Error::NotFound)?;
        if domid != DOM0 && !within(client.transactions.len() as i64 + 1, limit) {
            return Err(Error::NoSpace);
        }
        let id = client.new_transaction_id();
        client.transactions.insert(id, Transaction::default());
        Ok(Answer::text(&id.to_string()))
    }

    pub(super) fn end_transaction(&mut self, conn: ConnId, domid: DomId, tx: u32, commit: bool) -> Result<Answer, Error> {
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
}
