//! A node, what it costs, and the view of nodes that the tree and a transaction have in common.

use alloc::{string::String, vec::Vec};

use super::{DomId, Error, path::Path, perms::Permissions};

/// Bytes charged for a node beside its path, value and permissions: what the map costs.
const NODE_OVERHEAD: usize = 64;

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The value, any bytes.
    pub value: Vec<u8>,
    /// Owner and access rights.
    pub perms: Permissions,
}

impl Node {
    /// What the node costs its owner.
    pub fn cost(&self, path: &str) -> Usage {
        let bytes = path.len() + self.value.len() + size_of_val(self.perms.entries()) + NODE_OVERHEAD;
        Usage { nodes: 1, bytes: bytes as i64 }
    }
}

/// Nodes and bytes that a domain owns. Signed, since a transaction counts differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of nodes.
    pub nodes: i64,
    /// Bytes of memory.
    pub bytes: i64,
}

impl Usage {
    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { nodes: self.nodes.saturating_add(other.nodes), bytes: self.bytes.saturating_add(other.bytes) }
    }

    /// The difference of two.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { nodes: self.nodes.saturating_sub(other.nodes), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

/// What a transaction may have looked at: a node, or the names of its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// Existence, value and permissions.
    Node,
    /// Which children there are.
    Children,
}

/// Something that holds nodes: the tree, or a transaction's view of it.
///
/// Reading takes `&mut self` because a transaction remembers what it has read, and may have no room to.
pub trait Nodes {
    /// The node at a path.
    fn get(&mut self, path: &str) -> Result<Option<&Node>, Error>;
    /// The names of the children, in byte order.
    fn children(&mut self, path: &str) -> Result<Vec<String>, Error>;
    /// A number that grows whenever the list of children changes.
    fn children_generation(&mut self, path: &str) -> Result<u64, Error>;
    /// All paths strictly below one, in byte order.
    fn below(&mut self, path: &str) -> Result<Vec<Path>, Error>;
    /// Creates or replaces a node; its parent exists.
    fn put(&mut self, path: &str, node: Node) -> Result<(), Error>;
    /// Removes a node without children.
    fn remove(&mut self, path: &str) -> Result<(), Error>;
    /// What a domain uses, as far as this view goes.
    fn usage(&self, owner: DomId) -> Usage;
}
