//! Many nodes at once, as every new domain needs them: each is put where it belongs without asking for rights or room, which bind guests and
//! not Dom0, and without looking for the parent again that it has in common with the node before.

use alloc::vec::Vec;

use super::{
    Error,
    access::Event,
    node::Node,
    path::{self, Path},
    perms::Permissions,
    server::Server,
};

/// A node to be planted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Absolute path.
    pub path: Path,
    /// The value.
    pub value: Vec<u8>,
    /// Its permissions, if they are not the parent's. All domains that they name must be known; entries for others are dropped.
    pub perms: Option<Permissions>,
}

impl Server {
    /// Creates or replaces nodes, each after its parent. Missing parents of the first are created, with the permissions of the nearest node
    /// that exists.
    pub fn plant(&mut self, seeds: Vec<Seed>) -> Result<(), Error> {
        let mut events = Vec::new();
        let watched = self.is_watched(&seeds);
        let planted = seeds.into_iter().try_for_each(|seed| self.plant_one(seed, watched.then_some(&mut events)));
        self.fire(&events);
        planted
    }

    /// Whether somebody watches one of these paths or what is above them; siblings share the question about that.
    fn is_watched(&self, seeds: &[Seed]) -> bool {
        let mut last = None;
        seeds.iter().any(|seed| {
            let up = path::parent(&seed.path);
            let asked = core::mem::replace(&mut last, up) == up;
            self.watches.on(&seed.path) || (!asked && up.is_some_and(|up| path::upwards(up).any(|up| self.watches.on(up))))
        })
    }

    fn plant_one(&mut self, seed: Seed, events: Option<&mut Vec<Event>>) -> Result<(), Error> {
        let up = path::parent(&seed.path).ok_or(Error::Invalid)?;
        let grounded = self.tree.node(up).is_some();
        // What is in the tree is valid.
        let valid = if grounded { path::is_valid_below_valid(&seed.path) } else { path::is_valid(&seed.path) };
        if !valid {
            return Err(Error::Invalid);
        }
        if !grounded {
            self.write(up, &[])?;
        }
        let perms = match seed.perms {
            Some(mut perms) if self.domains.knows(perms.owner()) => {
                perms.retain_others(|domid| self.domains.knows(domid));
                perms
            }
            Some(_) => return Err(Error::Invalid),
            None => self.tree.node(up).ok_or(Error::NotFound)?.perms.clone(),
        };
        let before = self.tree.node(&seed.path).map(|node| node.perms.clone());
        self.tree.insert(&seed.path, Node { value: seed.value, perms });
        if let Some(events) = events {
            events.push(Event { path: seed.path, exact: false, before });
        }
        Ok(())
    }
}
