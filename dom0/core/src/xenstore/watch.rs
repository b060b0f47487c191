//! Who wants to know of which changes.
//!
//! Watches are kept by path, so that a change costs a look-up for each of its ancestors, however many watches there are elsewhere.

use alloc::{boxed::Box, vec::Vec};

use super::{
    ConnId, Error,
    path::{self, Path},
};
use crate::map::{Hasher, Map};

/// Longest token in bytes: an event with the longest path must fit into one message.
pub const TOKEN_MAX: usize = abi::xenstore::PAYLOAD_MAX - abi::xenstore::ABS_PATH_MAX - 2;

/// Bytes charged for a watch beside its path and token.
const OVERHEAD: usize = 64;

/// One watch, on the path under which it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Who watches.
    pub conn: ConnId,
    /// What the client wants to see with each event.
    pub token: Box<[u8]>,
    /// Whether the client named the path relative to its home, and so gets it in events.
    pub relative: bool,
    /// How many levels below the path matter; `None` for all.
    pub depth: Option<u32>,
}

/// What a watch costs.
pub fn cost(path: &str, token: &[u8]) -> i64 {
    (path.len() + token.len() + OVERHEAD) as i64
}

/// All watches of all clients.
#[derive(Debug, Default)]
pub struct Watches(Map<Path, Vec<Watch>>);

impl Watches {
    /// No watches yet.
    pub fn new(hasher: Hasher) -> Self {
        Self(Map::new(hasher))
    }

    /// Whether the client has a watch with that token on the path.
    pub fn contains(&self, conn: ConnId, path: &str, token: &[u8]) -> bool {
        self.0.get(path).is_some_and(|all| all.iter().any(|w| w.conn == conn && *w.token == *token))
    }

    /// Whether there is a watch on this very path.
    pub fn on(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// Registers a watch.
    pub fn add(&mut self, path: Path, watch: Watch) -> Result<(), Error> {
        if self.contains(watch.conn, &path, &watch.token) {
            return Err(Error::Exists);
        }
        self.0.entry(path).or_default().push(watch);
        Ok(())
    }

    /// Removes a watch and returns what it had cost.
    pub fn remove(&mut self, conn: ConnId, path: &str, token: &[u8]) -> Result<i64, Error> {
        let all = self.0.get_mut(path).ok_or(Error::NotFound)?;
        let at = all.iter().position(|w| w.conn == conn && *w.token == *token).ok_or(Error::NotFound)?;
        all.remove(at);
        if all.is_empty() {
            self.0.remove(path);
        }
        Ok(cost(path, token))
    }

    /// Removes all watches of a client; returns their number and what they had cost.
    pub fn remove_all(&mut self, conn: ConnId) -> (u32, i64) {
        let (mut count, mut freed) = (0, 0);
        self.0.retain(|path, all| {
            all.retain(|w| {
                let stays = w.conn != conn;
                if !stays {
                    count += 1;
                    freed += cost(path, &w.token);
                }
                stays
            });
            !all.is_empty()
        });
        (count, freed)
    }

    /// The watches that a change at `changed` matches, each with its own path.
    pub fn matching(&self, changed: &str, exact: bool) -> Vec<(Path, Watch)> {
        let levels = if exact { 1 } else { usize::MAX };
        path::upwards(changed)
            .take(levels)
            .enumerate()
            .filter_map(|(below, up)| self.0.get_key_value(up).map(|(p, all)| (below, p, all)))
            .flat_map(|(below, p, all)| {
                all.iter().filter(move |w| w.depth.is_none_or(|d| below <= d as usize)).map(move |w| (p.clone(), w.clone()))
            })
            .collect()
    }

    /// Number of watches.
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
