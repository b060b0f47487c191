//! Transactions: changes gathered aside and made all at once, or not at all.
//!
//! A transaction remembers the generation of all that it looked at. It commits if none of that changed meanwhile, so a committed
//! transaction behaves as if it had run at the moment of its commit. One that has lost already may read a mixture of old and new values;
//! its commit is refused. Compared with a copy of the whole tree this costs what is touched, which is charged to the client.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

use super::{
    DomId, Error,
    access::Event,
    domains::Domains,
    node::{Aspect, Node, Nodes, Usage},
    path::{self, Path},
    perms::Caller,
    quota::{Quotas, within},
    tree::Tree,
};

/// Bytes charged for each remembered path beside the path itself.
const ENTRY_OVERHEAD: i64 = 64;

/// An open transaction.
#[derive(Debug, Default)]
pub struct Transaction {
    seen: BTreeMap<(Path, Aspect), u64>,
    written: BTreeMap<Path, Option<Node>>,
    events: Vec<Event>,
    growth: BTreeMap<DomId, Usage>,
    bytes: i64,
    changes: u64,
    failed: Option<Error>,
}

impl Transaction {
    /// Bytes that the transaction holds, charged to the client while it is open.
    pub fn bytes(&self) -> i64 {
        self.bytes
    }

    /// Takes the changes of one operation. An operation that failed half-way spoils the transaction.
    pub fn note(&mut self, events: Vec<Event>, result: Result<(), Error>) {
        if let Err(error) = result
            && self.changes > 0
            && matches!(error, Error::NoSpace)
        {
            self.failed = Some(error);
        }
        for event in events {
            match self.events.iter_mut().find(|e| e.path == event.path) {
                Some(known) => known.exact &= event.exact,
                None => {
                    self.bytes = self.bytes.saturating_add(event.path.len() as i64 + ENTRY_OVERHEAD);
                    self.events.push(event);
                }
            }
        }
    }

    /// Makes the transaction fail when a domain vanishes that its changes speak of: they would outlive it.
    pub fn spoil_if_mentions(&mut self, domid: DomId) {
        if self.written.values().flatten().any(|n| n.perms.mention(domid)) {
            self.failed = Some(Error::Again);
        }
    }

    /// Applies the changes and returns them, or says why not: `Again` if another client interfered.
    pub fn commit(self, live: &mut Tree, caller: Caller, domains: &Domains) -> Result<Vec<Event>, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.seen.iter().any(|((path, aspect), then)| live.generation(path, *aspect) != *then) {
            return Err(Error::Again);
        }
        self.afford(live, caller, domains)?;
        for (path, change) in self.written {
            match change {
                Some(node) => live.insert(&path, node),
                None => drop(live.take(&path)),
            }
        }
        Ok(self.events)
    }

    fn afford(&self, live: &Tree, caller: Caller, domains: &Domains) -> Result<(), Error> {
        let exceeds = |(owner, growth): (&DomId, &Usage)| !domains.affords(*owner, live.usage(*owner).plus(*growth), *growth);
        if !caller.is_privileged() && self.growth.iter().any(exceeds) { Err(Error::NoSpace) } else { Ok(()) }
    }
}

/// The tree as it looks from within a transaction.
#[derive(Debug)]
pub struct Within<'a> {
    /// The tree that all share.
    pub live: &'a Tree,
    /// What the transaction has done.
    pub transaction: &'a mut Transaction,
    /// The client's limits; `None` for Dom0.
    pub quotas: Option<Quotas>,
    /// Bytes that the client may still take.
    pub room: i64,
}

impl Within<'_> {
    fn see(&mut self, path: &str, aspect: Aspect) -> Result<(), Error> {
        let (key, now) = ((Path::from(path), aspect), self.live.generation(path, aspect));
        if let Some(then) = self.transaction.seen.get(&key) {
            // What is about to be read is not what was read before. It must be noted here: a node that came and went again looks at the
            // commit as if it had never been.
            if *then != now {
                self.transaction.failed = Some(Error::Again);
            }
            return Ok(());
        }
        self.grow(path.len() as i64 + ENTRY_OVERHEAD)?;
        self.transaction.seen.insert(key, now);
        Ok(())
    }

    fn grow(&mut self, bytes: i64) -> Result<(), Error> {
        if let Some(quotas) = &self.quotas {
            let touched = self.transaction.seen.len().saturating_add(self.transaction.written.len());
            if !within(touched as i64 + 1, quotas.transaction_nodes) || (quotas.bytes != 0 && bytes > self.room) {
                return Err(Error::NoSpace);
            }
        }
        self.room = self.room.saturating_sub(bytes);
        self.transaction.bytes = self.transaction.bytes.saturating_add(bytes);
        Ok(())
    }

    fn current(&self, path: &str) -> Option<&Node> {
        match self.transaction.written.get(path) {
            Some(change) => change.as_ref(),
            None => self.live.node(path),
        }
    }

    fn change(&mut self, path: &str, node: Option<Node>) -> Result<(), Error> {
        let new = node.as_ref().map_or(0, |n| n.cost(path).bytes);
        self.grow(path.len() as i64 + ENTRY_OVERHEAD + new)?;
        if let Some(old) = self.current(path) {
            let (owner, cost) = (old.perms.owner(), old.cost(path));
            let sum = self.transaction.growth.entry(owner).or_default();
            *sum = sum.minus(cost);
        }
        if let Some(new) = &node {
            let sum = self.transaction.growth.entry(new.perms.owner()).or_default();
            *sum = sum.plus(new.cost(path));
        }
        if let Some(previous) = self.transaction.written.insert(path.into(), node) {
            let held = path.len() as i64 + ENTRY_OVERHEAD + previous.map_or(0, |n| n.cost(path).bytes);
            self.transaction.bytes = self.transaction.bytes.saturating_sub(held);
        }
        self.transaction.changes += 1;
        Ok(())
    }

    fn changes_below(&self, path: &str) -> impl Iterator<Item = (&Path, &Option<Node>)> {
        let (from, to) = path::below(path);
        self.transaction.written.range::<str, _>((core::ops::Bound::Excluded(from.as_str()), core::ops::Bound::Excluded(to.as_str())))
    }
}

impl Nodes for Within<'_> {
    fn get(&mut self, path: &str) -> Result<Option<&Node>, Error> {
        self.see(path, Aspect::Node)?;
        Ok(self.current(path))
    }

    fn children(&mut self, path: &str) -> Result<Vec<String>, Error> {
        self.see(path, Aspect::Children)?;
        let mut names: BTreeSet<String> = self.live.child_names(path).into_iter().collect();
        for (changed, node) in self.changes_below(path).filter(|(p, _)| path::parent(p) == Some(path)) {
            let name = changed.rsplit('/').next().unwrap_or_default();
            match node {
                Some(_) => drop(names.insert(name.into())),
                None => drop(names.remove(name)),
            }
        }
        Ok(names.into_iter().collect())
    }

    fn children_generation(&mut self, path: &str) -> Result<u64, Error> {
        Ok(self.live.generation(path, Aspect::Children).wrapping_add(self.transaction.changes))
    }

    fn below(&mut self, path: &str) -> Result<Vec<Path>, Error> {
        let mut paths: BTreeSet<Path> = self.live.paths_below(path).into_iter().collect();
        for (changed, node) in self.changes_below(path) {
            match node {
                Some(_) => drop(paths.insert(changed.clone())),
                None => drop(paths.remove(changed)),
            }
        }
        for seen in core::iter::once(path).chain(paths.iter().map(|p| &**p)) {
            self.see(seen, Aspect::Children)?;
        }
        Ok(paths.into_iter().collect())
    }

    fn put(&mut self, path: &str, node: Node) -> Result<(), Error> {
        self.change(path, Some(node))
    }

    fn remove(&mut self, path: &str) -> Result<(), Error> {
        self.change(path, None)
    }

    fn usage(&self, owner: DomId) -> Usage {
        let growth = self.transaction.growth.get(&owner).copied().unwrap_or_default();
        self.live.usage(owner).plus(growth)
    }
}
