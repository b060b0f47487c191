//! Maps by hash: a look-up costs the same for the first domain as for the fiftieth.
//!
//! Guests choose some of the keys, so the hash has a seed that they do not know: who could choose keys that collide would make the others
//! wait. What iterates over such a map must not depend on the order.

use core::ops::{Deref, DerefMut};

use hashbrown::HashMap;

/// How keys are hashed. The default has a fixed seed, for tests and for keys that nobody chooses.
pub type Hasher = foldhash::fast::FixedState;

/// Entries that there is room for from the start: growing means to move all, and whose entry makes a map grow would pay for it.
const ROOM: usize = 112;

/// A map from what is looked up often, in no order. It has room for an entry for each of a hundred domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map<K: Eq + core::hash::Hash, V>(HashMap<K, V, Hasher>);

impl<K: Eq + core::hash::Hash, V> Map<K, V> {
    /// An empty map.
    pub fn new(hasher: Hasher) -> Self {
        Self(HashMap::with_capacity_and_hasher(ROOM, hasher))
    }
}

impl<K: Eq + core::hash::Hash, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new(Hasher::default())
    }
}

impl<K: Eq + core::hash::Hash, V> Deref for Map<K, V> {
    type Target = HashMap<K, V, Hasher>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<K: Eq + core::hash::Hash, V> DerefMut for Map<K, V> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
