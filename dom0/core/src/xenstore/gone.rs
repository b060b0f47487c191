//! Nodes that have gone, and whether their domain has noticed.
//!
//! When a watch fires, Linux looks at the tree as it is by then. A device that goes and comes again before that has never gone for it: it keeps the old
//! one, closed, and does not begin the new. So whoever takes a device away notes its node here, and whoever gives one of the same name waits until
//! the domain has asked for the node and been told that there is none.

use alloc::string::String;

use super::{DomId, path, request::NodeRequest, server::Server};

impl Server {
    /// Notes that a node has gone which its domain knew.
    pub fn note_gone(&mut self, domid: DomId, path: &str) {
        if let Ok(domain) = self.domains.get_mut(domid) {
            domain.gone.insert(String::from(path));
        }
    }

    /// Whether a node has gone and its domain has not noticed yet.
    pub fn is_unnoticed(&self, domid: DomId, path: &str) -> bool {
        self.domains.get(domid).is_ok_and(|domain| domain.gone.contains(path))
    }

    /// Does not wait for a domain to notice any more.
    pub fn forget_gone(&mut self, domid: DomId, path: &str) {
        if let Ok(domain) = self.domains.get_mut(domid) {
            domain.gone.remove(path);
        }
    }

    /// Whether a domain has noticed something since this was last asked.
    pub fn take_noticed(&mut self) -> bool {
        core::mem::take(&mut self.noticed)
    }

    /// A domain has asked for a node in vain.
    pub(super) fn missed(&mut self, domid: DomId, request: &NodeRequest<'_>) {
        let (NodeRequest::Directory(sent) | NodeRequest::Read(sent)) = request else { return };
        if let Ok(domain) = self.domains.get_mut(domid)
            && !domain.gone.is_empty()
            && let Ok(path) = path::resolve(sent, domid)
        {
            self.noticed |= domain.gone.remove(&*path);
        }
    }
}
