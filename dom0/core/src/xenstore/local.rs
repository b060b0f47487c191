//! Xenstore for Dom0 itself: the toolstack and the back ends call these instead of sending messages. Permissions do not bind them,
//! watches fire as for everybody.

use alloc::{string::String, vec::Vec};

use super::{
    ConnId, Error,
    access::View,
    node::Node,
    path,
    perms::{Caller, Permissions},
    request::Request,
    server::Server,
    tree::Tree,
    wire::HEADER,
};

impl Server {
    /// The value of a node.
    pub fn read(&self, path: &str) -> Option<&[u8]> {
        self.tree.node(path).map(|n| &n.value[..])
    }

    /// The permissions of a node.
    pub fn perms(&self, path: &str) -> Option<&Permissions> {
        self.tree.node(path).map(|n| &n.perms)
    }

    /// The names of a node's children; `None` if there is no such node.
    pub fn list(&self, path: &str) -> Option<Vec<String>> {
        self.tree.node(path).map(|_| self.tree.child_names(path))
    }

    /// All nodes with their paths, in byte order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.tree.iter()
    }

    /// Sets a value; missing nodes are created with the permissions of the nearest that exists.
    pub fn write(&mut self, path: &str, value: &[u8]) -> Result<(), Error> {
        self.locally(path, |view| view.write(path, value))
    }

    /// Sets the permissions of a node. All domains that they name must be known; entries for others are dropped.
    pub fn set_perms(&mut self, path: &str, perms: Permissions) -> Result<(), Error> {
        self.locally(path, |view| view.set_perms(path, perms))
    }

    /// Removes a node and all below it, if it exists.
    pub fn remove(&mut self, path: &str) {
        // The root stays, and a path that does not exist needs no removal: neither is an error here.
        let _ = self.locally(path, |view| view.rm(path));
    }

    /// Registers a watch for a connection of Dom0's own; it fires once at once.
    pub fn watch(&mut self, conn: ConnId, path: &str, token: &[u8]) -> Result<(), Error> {
        self.perform(conn, 0, &Request::Watch(path, token, None))?;
        self.notify(conn, path, path, token);
        Ok(())
    }

    /// Removes such a watch.
    pub fn unwatch(&mut self, conn: ConnId, path: &str, token: &[u8]) -> Result<(), Error> {
        self.perform(conn, 0, &Request::Unwatch(path, token)).map(|_| ())
    }

    /// The next event of a connection of Dom0's own: path and token. Events that pile up are merged, so a path may be that of the watch
    /// itself and mean that something below it has changed.
    pub fn next_event(&mut self, conn: ConnId) -> Option<(String, Vec<u8>)> {
        loop {
            let bytes = self.output(conn).to_vec();
            self.sent(conn, bytes.len());
            let payload = bytes.get(HEADER..)?;
            let mut parts = payload.split(|b| *b == 0);
            if let (Some(path), Some(token)) = (parts.next(), parts.next()) {
                return Some((String::from_utf8_lossy(path).into_owned(), token.to_vec()));
            }
        }
    }

    fn locally(&mut self, path: &str, act: impl FnOnce(&mut View<'_, Tree>) -> Result<(), Error>) -> Result<(), Error> {
        if !path::is_valid(path) {
            return Err(Error::Invalid);
        }
        let mut events = Vec::new();
        let result = act(&mut View { nodes: &mut self.tree, caller: Caller::DOM0, domains: &self.domains, events: &mut events });
        self.fire(&events);
        result
    }
}
