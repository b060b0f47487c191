//! Telling clients what has changed, each only what it may know (XSA-115).

use abi::xenstore::{WATCH_INTRODUCE_DOMAIN, WATCH_RELEASE_DOMAIN};
use alloc::{format, string::String};

use super::{
    DomId,
    access::Event,
    path::{self, home},
    perms::Caller,
    server::Server,
    watch::Watch,
};

impl Server {
    /// Sends the events of changes to all whose watches match and who may read what changed.
    pub(super) fn fire(&mut self, events: &[Event]) {
        for event in events {
            for (watched, watch) in self.watches.matching(&event.path, event.exact) {
                let Some(client) = self.clients.get(&watch.conn) else {
                    continue;
                };
                let domid = client.domid;
                if self.may_know(self.domains.caller(domid), event) {
                    let shown = shown(&event.path, &watch, domid);
                    let merged = self::shown(&watched, &watch, domid);
                    self.notify(watch.conn, shown, merged, &watch.token);
                }
            }
        }
    }

    /// Sends `@introduceDomain` or `@releaseDomain`. A watch of depth 1, or on the name with a number, learns which domain it is about.
    pub(super) fn fire_special(&mut self, name: &'static str, about: DomId) {
        debug_assert!([WATCH_INTRODUCE_DOMAIN, WATCH_RELEASE_DOMAIN].contains(&name));
        let full: String = format!("{name}/{about}");
        for (watched, watch) in self.watches.matching(&full, false) {
            let Some(domid) = self.clients.get(&watch.conn).map(|c| c.domid) else {
                continue;
            };
            let caller = self.domains.caller(domid);
            if !self.specials.get(name).is_some_and(|perms| perms.access(caller).read) {
                continue;
            }
            let shown = if *watched == *full || watch.depth == Some(1) { full.as_str() } else { name };
            self.notify(watch.conn, shown, &watched, &watch.token);
        }
    }

    /// Forgets the entries about a domain in the permissions of the special names.
    pub(super) fn forget_specials(&mut self, domid: DomId) {
        for perms in self.specials.values_mut() {
            perms.retain_others(|other| other != domid);
            if perms.owner() == domid {
                *perms = perms.clone().owned_by(super::DOM0);
            }
        }
    }

    /// Whether a client may know of a change: it can read the node, or could before, or can list its parent.
    fn may_know(&self, caller: Caller, event: &Event) -> bool {
        let parent = path::parent(&event.path).unwrap_or("/");
        let now = [&*event.path, parent].into_iter().filter_map(|p| self.tree.node(p)).map(|n| &n.perms);
        now.chain(event.before.iter()).any(|perms| perms.access(caller).read)
    }
}

/// A path as the client named the watch: relative to its home if it did so.
fn shown<'a>(path: &'a str, watch: &Watch, domid: DomId) -> &'a str {
    let relative = || path.strip_prefix(home(domid).as_str())?.strip_prefix('/');
    if watch.relative { relative().unwrap_or(path) } else { path }
}
