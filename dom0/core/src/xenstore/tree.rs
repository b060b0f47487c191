//! The tree itself, and who pays for what in it.
//!
//! The nodes lie in one ordered map by full path: children and subtrees are ranges of it, so that there is no second structure to keep in
//! step. Each node carries two generations, one for its own contents and one for the list of its children; transactions compare them.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::ops::Bound;

use super::{
    DOM0, DomId, Error,
    node::{Aspect, Node, Nodes, Usage},
    path::{self, Path},
    perms::{Access, Permissions},
};

#[derive(Debug)]
struct Stored {
    node: Node,
    changed: u64,
    children_changed: u64,
}

/// The tree that all clients share.
#[derive(Debug)]
pub struct Tree {
    nodes: BTreeMap<Path, Stored>,
    usage: BTreeMap<DomId, Usage>,
    generation: u64,
}

impl Default for Tree {
    /// A tree with nothing but its root, which Dom0 owns and everybody may read.
    fn default() -> Self {
        let mut tree = Self { nodes: BTreeMap::new(), usage: BTreeMap::new(), generation: 0 };
        tree.insert("/", Node { value: Vec::new(), perms: Permissions::new(DOM0, Access::READ) });
        tree
    }
}

impl Tree {
    /// The node at a path.
    pub fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path).map(|s| &s.node)
    }

    /// When an aspect of a path last changed; 0 for a path that does not exist.
    pub fn generation(&self, path: &str, aspect: Aspect) -> u64 {
        self.nodes.get(path).map_or(0, |s| match aspect {
            Aspect::Node => s.changed,
            Aspect::Children => s.children_changed,
        })
    }

    /// The names of the children of a path. Skips over each child's subtree instead of walking it.
    pub fn child_names(&self, path: &str) -> Vec<String> {
        let (from, to) = path::below(path);
        let prefix = from.len();
        let mut names = Vec::new();
        let mut next = Bound::Excluded(from);
        while let Some((found, _)) = self.nodes.range::<str, _>((next.as_ref().map(String::as_str), Bound::Excluded(to.as_str()))).next() {
            let rest = found.get(prefix..).unwrap_or_default();
            next = match rest.find('/') {
                None => {
                    names.push(String::from(rest));
                    Bound::Excluded(String::from(&**found))
                }
                Some(end) => Bound::Included(path::below(found.get(..prefix + end).unwrap_or_default()).1),
            };
        }
        names
    }

    /// All paths strictly below one.
    pub fn paths_below(&self, path: &str) -> impl Iterator<Item = &Path> {
        let (from, to) = path::below(path);
        self.nodes.range::<str, _>((Bound::Excluded(from.as_str()), Bound::Excluded(to.as_str()))).map(|(p, _)| p)
    }

    /// All nodes with their paths, parents before children.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(p, s)| (&**p, &s.node))
    }

    /// Creates or replaces a node.
    pub fn insert(&mut self, path: &str, node: Node) {
        self.generation += 1;
        let now = self.generation;
        let cost = node.cost(path);
        self.charge(node.perms.owner(), cost);
        if let Some(stored) = self.nodes.get_mut(path) {
            let old = core::mem::replace(&mut stored.node, node);
            stored.changed = now;
            self.refund(old.perms.owner(), old.cost(path));
        } else {
            self.nodes.insert(path.into(), Stored { node, changed: now, children_changed: now });
            self.touch_parent(path, now);
        }
    }

    /// Removes a node; those below it stay behind, so the caller removes them first.
    pub fn take(&mut self, path: &str) -> Option<Node> {
        let stored = self.nodes.remove(path)?;
        self.generation += 1;
        self.touch_parent(path, self.generation);
        self.refund(stored.node.perms.owner(), stored.node.cost(path));
        Some(stored.node)
    }

    /// Drops every entry about a domain from the permissions of nodes that it does not own.
    pub fn forget_entries(&mut self, domid: DomId) {
        let paths: Vec<Path> = self.iter().filter(|(_, n)| n.perms.mention(domid)).map(|(p, _)| p.into()).collect();
        for path in paths {
            if let Some(mut node) = self.node(&path).cloned() {
                node.perms.retain_others(|other| other != domid);
                self.insert(&path, node);
            }
        }
    }

    /// Compares the books with a walk over all nodes, and checks that every node has its parent. For tests and `CONTROL check`.
    pub fn check(&self) -> bool {
        let mut walked = BTreeMap::<DomId, Usage>::new();
        for (path, node) in self.iter() {
            let sum = walked.entry(node.perms.owner()).or_default();
            *sum = sum.plus(node.cost(path));
        }
        let parents = self.nodes.keys().all(|p| path::parent(p).is_none_or(|up| self.nodes.contains_key(up)));
        walked == self.usage && parents
    }

    fn touch_parent(&mut self, path: &str, now: u64) {
        if let Some(stored) = path::parent(path).and_then(|up| self.nodes.get_mut(up)) {
            stored.children_changed = now;
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
        Ok(self.paths_below(path).cloned().collect())
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
        assert_eq!(tree.paths_below("/a").count(), 5);
        assert!(tree.check());
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
