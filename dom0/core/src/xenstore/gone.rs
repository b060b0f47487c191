//! Devices that have gone, and whether their domain has noticed.
//!
//! When a watch fires, Linux looks at the tree as it is by then. A device that goes and comes again before that has never gone for it: it keeps the old
//! one, closed, and does not begin the new. And the last thing it does with one that it had not closed is to look at its state, to close it: if that
//! is the new one's by then, it closes that. So whoever takes a device away notes its node here, and whoever gives one of the same name waits
//! until the domain has asked for what it looks at last, and been told that there is none.

use super::{DomId, path, request::NodeRequest, server::Server};

/// How far a domain is with a device that has gone.
#[derive(Clone, Copy, Debug)]
pub enum Gone {
    /// It has not looked.
    Unseen {
        /// Its end was closed already.
        closed: bool,
    },
    /// It knows, and is about to end its own part.
    Ending,
}

impl Server {
    /// Notes that a device's node has gone which its domain knew, and whether its end was `closed` before.
    pub fn note_gone(&mut self, domid: DomId, path: &str, closed: bool) {
        if let Ok(domain) = self.domains.get_mut(domid) {
            domain.gone.insert(path.into(), Gone::Unseen { closed });
        }
    }

    /// Whether a device has gone and its domain has not noticed, or is not through with it.
    pub fn is_unnoticed(&self, domid: DomId, path: &str) -> bool {
        self.domains.get(domid).is_ok_and(|domain| domain.gone.contains_key(path))
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
        let Ok(domain) = self.domains.get_mut(domid) else { return };
        if domain.gone.is_empty() {
            return;
        }
        let Ok(path) = path::resolve(sent, domid) else { return };
        let state_of = path.strip_suffix("/state").filter(|of| matches!(domain.gone.get(*of), Some(Gone::Ending)));
        let of = state_of.unwrap_or(&path);
        match domain.gone.get_mut(of) {
            Some(gone @ Gone::Unseen { closed: false }) => *gone = Gone::Ending,
            Some(Gone::Ending) if state_of.is_none() => {}
            Some(_) => {
                domain.gone.remove(of);
                self.noticed = true;
            }
            None => {}
        }
    }
}
