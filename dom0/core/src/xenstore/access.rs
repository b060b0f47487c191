//! What clients do with nodes: each operation checks permissions and quotas, changes the nodes and notes whom to tell.
//!
//! The operations do not know whether they work on the tree or within a transaction.

use alloc::{string::String, vec::Vec};

use super::{
    Error,
    domains::Domains,
    node::{Node, Nodes, Usage},
    path::{self, Path},
    perms::{Access, Caller, Permissions},
    quota::within,
};

/// A change that watches may match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The path that changed.
    pub path: Path,
    /// Whether only watches on this very path match: so it is for nodes that went with an ancestor, whose own event tells the rest.
    pub exact: bool,
    /// The permissions before the change, if the node existed: who could read it then may know of its removal.
    pub before: Option<Permissions>,
}

/// Nodes as one caller sees them.
pub struct View<'a, N: Nodes> {
    /// The tree, or a transaction.
    pub nodes: &'a mut N,
    /// Who asks.
    pub caller: Caller,
    /// Limits, and which domains exist.
    pub domains: &'a Domains,
    /// Changes made so far.
    pub events: &'a mut Vec<Event>,
}

impl<N: Nodes> View<'_, N> {
    /// The value of a node.
    pub fn read(&mut self, path: &str) -> Result<Vec<u8>, Error> {
        Ok(self.checked(path, Access::READ)?.value.clone())
    }

    /// The names of a node's children and the generation of that list.
    pub fn list(&mut self, path: &str) -> Result<(Vec<String>, u64), Error> {
        self.checked(path, Access::READ)?;
        Ok((self.nodes.children(path)?, self.nodes.children_generation(path)?))
    }

    /// The permissions of a node.
    pub fn perms(&mut self, path: &str) -> Result<Permissions, Error> {
        Ok(self.checked(path, Access::READ)?.perms.clone())
    }

    /// Sets the value of a node, which is created with its missing parents.
    pub fn write(&mut self, path: &str, value: &[u8]) -> Result<(), Error> {
        let limit = self.domains.quotas(self.caller.domid).node_size;
        if !self.caller.is_privileged() && !within(value.len() as i64, limit) {
            return Err(Error::NoSpace);
        }
        match self.checked(path, Access::WRITE).map(|old| (old.perms.clone(), old.cost(path))) {
            Ok((perms, cost)) => self.replace(path, perms.clone(), cost, Node { value: value.to_vec(), perms }),
            Err(Error::NotFound) => self.create(path, value),
            Err(other) => Err(other),
        }
    }

    /// Makes sure that a node exists.
    pub fn mkdir(&mut self, path: &str) -> Result<(), Error> {
        match self.checked(path, Access::WRITE) {
            Ok(_) => Ok(()),
            Err(Error::NotFound) => self.create(path, &[]),
            Err(other) => Err(other),
        }
    }

    /// Makes sure that a node and all below it do not exist; an error if not even the parent does.
    pub fn rm(&mut self, path: &str) -> Result<(), Error> {
        let parent = path::parent(path).ok_or(Error::Invalid)?;
        match self.checked(path, Access::WRITE).map(|_| ()) {
            Ok(()) => self.remove_subtree(path),
            Err(Error::NotFound) if self.nodes.get(parent)?.is_some() => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Removes a node and all below it without asking for permission.
    pub fn remove_subtree(&mut self, path: &str) -> Result<(), Error> {
        let below = self.nodes.below(path)?;
        let doomed = core::iter::once(path).chain(below.iter().map(|p| &**p));
        for gone in doomed {
            let before = self.nodes.get(gone)?.map(|n| n.perms.clone());
            self.events.push(Event { path: gone.into(), exact: gone != path, before });
        }
        for gone in below.iter().rev() {
            self.nodes.remove(gone)?;
        }
        self.nodes.remove(path)
    }

    /// Sets the permissions of a node. Entries for domains that do not exist are dropped: they must not wait for whoever gets that
    /// number next.
    pub fn set_perms(&mut self, path: &str, mut perms: Permissions) -> Result<(), Error> {
        let Some(old) = self.nodes.get(path)?.cloned() else {
            return Err(self.absent(path, Access::WRITE)?);
        };
        if !old.perms.is_owner(self.caller) {
            return Err(Error::Access);
        }
        self.may_set(&old.perms, &perms)?;
        perms.retain_others(|domid| self.domains.knows(domid));
        let cost = old.cost(path);
        self.replace(path, old.perms, cost, Node { value: old.value, perms })
    }

    /// The rules for new permissions that do not depend on the node.
    fn may_set(&self, old: &Permissions, new: &Permissions) -> Result<(), Error> {
        if !self.domains.knows(new.owner()) {
            return Err(Error::Invalid);
        }
        if self.caller.is_privileged() {
            return Ok(());
        }
        if new.owner() != old.owner() {
            return Err(Error::NotPermitted);
        }
        let limit = self.domains.quotas(self.caller.domid).permissions;
        if within(new.entries().len() as i64, limit) { Ok(()) } else { Err(Error::NoSpace) }
    }

    fn checked(&mut self, path: &str, needed: Access) -> Result<&Node, Error> {
        if self.nodes.get(path)?.is_none() {
            return Err(self.absent(path, needed)?);
        }
        let node = self.nodes.get(path)?.ok_or(Error::NotFound)?;
        if node.perms.access(self.caller).allows(needed) { Ok(node) } else { Err(Error::Access) }
    }

    /// What to say of a node that does not exist: that is told only to those who have the right in question on what lies above.
    fn absent(&mut self, path: &str, needed: Access) -> Result<Error, Error> {
        for up in path::upwards(path).skip(1) {
            if let Some(node) = self.nodes.get(up)? {
                return Ok(if node.perms.access(self.caller).allows(needed) { Error::NotFound } else { Error::Access });
            }
        }
        Ok(Error::NotFound)
    }

    fn create(&mut self, path: &str, value: &[u8]) -> Result<(), Error> {
        let mut missing = alloc::vec![path];
        let mut inherited = None;
        for up in path::upwards(path).skip(1) {
            match self.nodes.get(up)? {
                None => missing.push(up),
                Some(node) => {
                    inherited = Some(node.perms.clone());
                    break;
                }
            }
        }
        let mut perms = inherited.ok_or(Error::NotFound)?;
        if !self.caller.is_privileged() {
            perms = perms.owned_by(self.caller.domid);
        }
        let node = |at: &str| Node { value: if at == path { value.to_vec() } else { Vec::new() }, perms: perms.clone() };
        let cost = missing.iter().fold(Usage::default(), |sum, at| sum.plus(node(at).cost(at)));
        self.afford(&perms, cost)?;
        for at in missing.iter().rev() {
            self.nodes.put(at, node(at))?;
        }
        self.events.push(Event { path: path.into(), exact: false, before: None });
        Ok(())
    }

    fn replace(&mut self, path: &str, before: Permissions, cost: Usage, new: Node) -> Result<(), Error> {
        self.afford(&new.perms, Usage { nodes: 0, bytes: new.cost(path).bytes - cost.bytes })?;
        self.nodes.put(path, new)?;
        self.events.push(Event { path: path.into(), exact: false, before: Some(before) });
        Ok(())
    }

    /// Whether the owner can pay for more. What Dom0 does is never refused, but counted.
    fn afford(&self, perms: &Permissions, more: Usage) -> Result<(), Error> {
        let owner = perms.owner();
        let sum = self.nodes.usage(owner).plus(more);
        if self.caller.is_privileged() || self.domains.affords(owner, sum, more) { Ok(()) } else { Err(Error::NoSpace) }
    }
}
