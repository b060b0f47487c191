//! The tree itself, and who pays for what in it.
//!
//! A node is found by the hash of its full path, which costs the same however many nodes there are: every domain brings three dozen, and a
//! domain should not pay for those of the others. Each node keeps the names of its children in order, for listings and for walks. It carries
//! two generations, one for its own contents and one for the list of its children; transactions compare them.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::hash::BuildHasher;

use hashbrown::HashTable;

use super::{
    DOM0, DomId, Error,
    node::{Aspect, Node, Nodes, Usage},
    path::{self, Path},
    perms::{Access, Permissions},
};
use crate::map::{Hasher, Map};

/// Nodes that there is room for from the start, those of two hundred domains: growing means to move all nodes, and whose node makes the
/// tree grow would pay for it. Nine bytes each.
const ROOM: usize = 7 << 10;

#[derive(Debug)]
struct Stored {
    path: Path,
    node: Node,
    /// The names of the children, in byte order.
    children: Vec<Box<str>>,
    changed: u64,
    children_changed: u64,
}

/// The tree that all clients share.
#[derive(Debug)]
pub struct Tree {
    nodes: HashTable<Box<Stored>>,
    hasher: Hasher,
    usage: Map<DomId, Usage>,
    generation: u64,
}

impl Default for Tree {
    /// A tree with nothing but its root.
    fn default() -> Self {
        Self::new(Hasher::default())
    }
}

impl Tree {
    /// A tree with nothing but its root, which Dom0 owns and everybody may read.
    pub fn new(hasher: Hasher) -> Self {
        let mut tree = Self { nodes: HashTable::with_capacity(ROOM), hasher, usage: Map::default(), generation: 0 };
        tree.insert("/", Node { value: Vec::new(), perms: Permissions::new(DOM0, Access::READ) });
        tree
    }

    fn stored(&self, path: &str) -> Option<&Stored> {
        self.nodes.find(self.hasher.hash_one(path), |s| *s.path == *path).map(|s| &**s)
    }

    fn stored_mut(&mut self, path: &str) -> Option<&mut Stored> {
        self.nodes.find_mut(self.hasher.hash_one(path), |s| *s.path == *path).map(|s| &mut **s)
    }

    /// The node at a path.
    pub fn node(&self, path: &str) -> Option<&Node> {
        self.stored(path).map(|s| &s.node)
    }

    /// When an aspect of a path last changed; 0 for a path that does not exist.
    pub fn generation(&self, path: &str, aspect: Aspect) -> u64 {
        self.stored(path).map_or(0, |s| match aspect {
            Aspect::Node => s.changed,
            Aspect::Children => s.children_changed,
        })
    }

    /// The names of the children of a path, in byte order.
    pub fn child_names(&self, path: &str) -> Vec<String> {
        self.stored(path).map(|s| s.children.iter().map(|name| String::from(&**name)).collect()).unwrap_or_default()
    }

    /// All paths strictly below one, in byte order.
    pub fn paths_below(&self, path: &str) -> Vec<Path> {
        let mut found = self.children_of(path);
        let mut looked_at = 0;
        // Not by recursion: a guest decides how deep its nodes lie.
        while let Some(next) = found.get(looked_at) {
            let below = self.children_of(next);
            found.extend(below);
            looked_at += 1;
        }
        found.sort_unstable();
        found
    }

    fn children_of(&self, path: &str) -> Vec<Path> {
        let stem = if path == "/" { "" } else { path };
        let names = self.stored(path).map(|s| &s.children[..]).unwrap_or_default();
        names.iter().map(|name| [stem, "/", name].concat().into()).collect()
    }

    /// All nodes with their paths, in byte order, so parents before children.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        let mut all: Vec<&Stored> = self.nodes.iter().map(|s| &**s).collect();
        all.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        all.into_iter().map(|s| (&*s.path, &s.node))
    }

    /// The paths of all nodes of which something is true, in byte order.
    pub fn paths_where(&self, is: impl Fn(&Node) -> bool) -> Vec<Path> {
        let mut found: Vec<Path> = self.nodes.iter().filter(|s| is(&s.node)).map(|s| s.path.clone()).collect();
        found.sort_unstable();
        found
    }

    /// Creates or replaces a node; its parent exists.
    pub fn insert(&mut self, path: &str, node: Node) {
        self.generation += 1;
        let now = self.generation;
        let cost = node.cost(path);
        self.charge(node.perms.owner(), cost);
        let hash = self.hasher.hash_one(path);
        if let Some(stored) = self.nodes.find_mut(hash, |s| *s.path == *path) {
            let old = core::mem::replace(&mut stored.node, node);
            stored.changed = now;
            self.refund(old.perms.owner(), old.cost(path));
        } else {
            let stored = Stored { path: path.into(), node, children: Vec::new(), changed: now, children_changed: now };
            let hasher = &self.hasher;
            self.nodes.insert_unique(hash, Box::new(stored), |s| hasher.hash_one(&*s.path));
            self.change_parent(path, now, |children, name| {
                if let Err(place) = place(children, name) {
                    children.insert(place, name.into());
                }
            });
        }
    }

    /// Removes a node; those below it stay behind, so the caller removes them first.
    pub fn take(&mut self, path: &str) -> Option<Node> {
        let found = self.nodes.find_entry(self.hasher.hash_one(path), |s| *s.path == *path).ok()?;
        let (stored, _) = found.remove();
        self.generation += 1;
        self.change_parent(path, self.generation, |children, name| {
            if let Ok(place) = place(children, name) {
                children.remove(place);
            }
        });
        self.refund(stored.node.perms.owner(), stored.node.cost(path));
        Some(stored.node)
    }

    /// Drops every entry about a domain from the permissions of nodes that it does not own.
    pub fn forget_entries(&mut self, domid: DomId) {
        for path in self.paths_where(|node| node.perms.mention(domid)) {
            if let Some(mut node) = self.node(&path).cloned() {
                node.perms.retain_others(|other| other != domid);
                self.insert(&path, node);
            }
        }
    }

    /// Compares the books with a walk over all nodes, and checks that parents and children know of each other. For tests and `CONTROL check`.
    pub fn check(&self) -> bool {
        let mut walked = Map::<DomId, Usage>::default();
        for (path, node) in self.iter() {
            let sum = walked.entry(node.perms.owner()).or_default();
            *sum = sum.plus(node.cost(path));
        }
        // Each child that is listed exists, and there are as many as there are nodes besides the root: so all are listed.
        let listed = self.nodes.iter().all(|s| s.children.is_sorted() && self.children_of(&s.path).iter().all(|p| self.node(p).is_some()));
        let children: usize = self.nodes.iter().map(|s| s.children.len()).sum();
        walked == self.usage && listed && children + 1 == self.nodes.len()
    }

    fn change_parent(&mut self, path: &str, now: u64, change: impl FnOnce(&mut Vec<Box<str>>, &str)) {
        let Some(up) = path::parent(path) else { return };
        let name = path::name(path);
        if let Some(parent) = self.stored_mut(up) {
            parent.children_changed = now;
            change(&mut parent.children, name);
        }
    }

    fn charge(&mut self, owner: DomId, cost: Usage) {
        let sum = self.usage.entry(owner).or_default();
        *sum = sum.plus(cost);
    }

    fn refund(&mut self, owner: DomId, cost: Usage) {
        if let Some(sum) = self.usage.get_mut(&owner) {
            *sum = sum.minus(cost);
            if *sum == Usage::default() {
                self.usage.remove(&owner);
            }
        }
    }
}

/// Where a name is among its siblings, or where it belongs.
fn place(children: &[Box<str>], name: &str) -> Result<usize, usize> {
    match children.last() {
        // Names that count up, as most do, come at the end.
        Some(last) if **last < *name => Err(children.len()),
        _ => children.binary_search_by(|child| (**child).cmp(name)),
    }
}

impl Nodes for Tree {
    fn get(&mut self, path: &str) -> Result<Option<&Node>, Error> {
        Ok(self.node(path))
    }

    fn children(&mut self, path: &str) -> Result<Vec<String>, Error> {
        Ok(self.child_names(path))
    }

    fn children_generation(&mut self, path: &str) -> Result<u64, Error> {
        Ok(self.generation(path, Aspect::Children))
    }

    fn below(&mut self, path: &str) -> Result<Vec<Path>, Error> {
        Ok(self.paths_below(path))
    }

    fn put(&mut self, path: &str, node: Node) -> Result<(), Error> {
        self.insert(path, node);
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), Error> {
        self.take(path);
        Ok(())
    }

    fn usage(&self, owner: DomId) -> Usage {
        self.usage.get(&owner).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        Node { value: Vec::new(), perms: Permissions::new(DOM0, Access::NONE) }
    }

    #[test]
    fn children_are_found_among_look_alikes() {
        let mut tree = Tree::default();
        for path in ["/a", "/a/c", "/a/c/x", "/a/c-d", "/a/c-d/y", "/a/c0", "/a-b", "/a0"] {
            tree.insert(path, node());
        }
        assert_eq!(tree.child_names("/a"), ["c", "c-d", "c0"]);
        assert_eq!(tree.child_names("/"), ["a", "a-b", "a0"]);
        assert!(tree.child_names("/a0").is_empty());
        assert!(tree.paths_below("/a").iter().map(|p| &**p).eq(["/a/c", "/a/c-d", "/a/c-d/y", "/a/c/x", "/a/c0"]));
        assert!(tree.check());
        tree.take("/a/c-d/y");
        tree.take("/a/c-d");
        assert_eq!(tree.child_names("/a"), ["c", "c0"]);
        assert!(tree.check());
    }

    #[test]
    fn the_check_sees_who_is_missing() {
        let mut tree = Tree::default();
        tree.insert("/a/orphan", node());
        assert!(!tree.check(), "its parent does not exist");
        let mut tree = Tree::default();
        tree.insert("/a", node());
        tree.insert("/a/b", node());
        tree.take("/a");
        assert!(!tree.check(), "its parent has gone");
    }

    #[test]
    fn generations_tell_contents_from_children() {
        let mut tree = Tree::default();
        tree.insert("/a", node());
        let (contents, children) = (tree.generation("/a", Aspect::Node), tree.generation("/a", Aspect::Children));
        tree.insert("/a/b", node());
        assert_eq!(tree.generation("/a", Aspect::Node), contents);
        assert!(tree.generation("/a", Aspect::Children) > children);
        tree.insert("/a", node());
        assert!(tree.generation("/a", Aspect::Node) > contents);
    }
}
