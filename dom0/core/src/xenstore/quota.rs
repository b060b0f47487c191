//! How much each domain may use. These are caps, not advice: what exceeds one is refused before any memory is taken.

use super::Error;

/// The limits of one domain; 0 lifts a limit (as `SET_QUOTA` defines it). Dom0 has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Nodes that the domain owns.
    pub nodes: u32,
    /// Watches that it has registered.
    pub watches: u32,
    /// Transactions open at once.
    pub transactions: u32,
    /// Paths that one transaction may touch.
    pub transaction_nodes: u32,
    /// Bytes of one value.
    pub node_size: u32,
    /// Permission entries of one node.
    pub permissions: u32,
    /// Bytes of memory for all of its nodes, watches and open transactions.
    pub bytes: u32,
    /// Watch events waiting for the client; further ones are merged, one for each watch.
    pub events: u32,
}

impl Quotas {
    /// Xen's defaults where it has them; 256 KiB of memory for a guest, of which a booted Linux uses less than 16.
    pub const GUEST: Self = Self {
        nodes: 1000,
        watches: 128,
        transactions: 10,
        transaction_nodes: 1024,
        node_size: 2048,
        permissions: 5,
        bytes: 256 * 1024,
        events: 128,
    };

    /// Names and values, in the order in which `GET_QUOTA` lists them.
    pub const NAMES: [&str; 8] =
        ["nodes", "watches", "transactions", "transaction-nodes", "node-size", "permissions", "memory", "watch-events"];

    /// The limit with a name.
    pub fn get(&self, name: &str) -> Result<u32, Error> {
        let mut copy = *self;
        copy.field(name).map(|value| *value)
    }

    /// Sets the limit with a name.
    pub fn set(&mut self, name: &str, value: u32) -> Result<(), Error> {
        *self.field(name)? = value;
        Ok(())
    }

    fn field(&mut self, name: &str) -> Result<&mut u32, Error> {
        Ok(match name {
            "nodes" => &mut self.nodes,
            "watches" => &mut self.watches,
            "transactions" => &mut self.transactions,
            "transaction-nodes" => &mut self.transaction_nodes,
            "node-size" => &mut self.node_size,
            "permissions" => &mut self.permissions,
            "memory" => &mut self.bytes,
            "watch-events" => &mut self.events,
            _ => return Err(Error::Invalid),
        })
    }
}

/// Whether a count stays within a limit.
pub fn within(count: i64, limit: u32) -> bool {
    limit == 0 || count <= i64::from(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reaches_its_own_field() {
        let mut quotas = Quotas::GUEST;
        for (value, name) in (1000..).zip(Quotas::NAMES) {
            quotas.set(name, value).unwrap();
        }
        for (value, name) in (1000..).zip(Quotas::NAMES) {
            assert_eq!(quotas.get(name), Ok(value));
        }
        assert!(quotas.set("colour", 1).is_err());
    }
}
