//! The domains that xenstore knows, and what it knows about each.

use alloc::{collections::BTreeMap, string::String};

use super::{
    DOM0, DomId, Error, SUPPORTED_FEATURES,
    gone::Gone,
    node::Usage,
    perms::Caller,
    quota::{Quotas, within},
};
use crate::map::Map;

/// One domain.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its limits.
    pub quotas: Quotas,
    /// Whether it has been introduced, that is, can talk to xenstore.
    pub introduced: bool,
    /// Whether its shutdown has been announced (until `RESUME`).
    pub shut_down: bool,
    /// The domain whose rights it has as well.
    pub target: Option<DomId>,
    /// Feature bits for its ring page.
    pub features: u32,
    /// Watches that it has registered.
    pub watches: u32,
    /// Bytes of its watches and open transactions.
    pub transient_bytes: i64,
    /// Its devices that went, by path, and that it has not missed yet. Dom0 alone adds to them.
    pub gone: BTreeMap<String, Gone>,
}

/// All known domains. Dom0 is always there.
#[derive(Debug)]
pub struct Domains {
    known: Map<DomId, Domain>,
    /// The limits that a new domain starts with.
    pub defaults: Quotas,
}

impl Default for Domains {
    fn default() -> Self {
        let mut domains = Self { known: Map::default(), defaults: Quotas::GUEST };
        domains.add(DOM0);
        if let Some(dom0) = domains.known.get_mut(&DOM0) {
            dom0.introduced = true;
        }
        domains
    }
}

impl Domains {
    /// Makes a domain known; harmless if it is already.
    pub fn add(&mut self, domid: DomId) {
        let fresh = Domain {
            quotas: self.defaults,
            introduced: false,
            shut_down: false,
            target: None,
            features: SUPPORTED_FEATURES,
            watches: 0,
            transient_bytes: 0,
            gone: BTreeMap::new(),
        };
        self.known.entry(domid).or_insert(fresh);
    }

    /// Forgets a domain, and that others target it.
    pub fn remove(&mut self, domid: DomId) -> Option<Domain> {
        for other in self.known.values_mut() {
            if other.target == Some(domid) {
                other.target = None;
            }
        }
        self.known.remove(&domid)
    }

    /// Whether the domain is known.
    pub fn knows(&self, domid: DomId) -> bool {
        self.known.contains_key(&domid)
    }

    /// What is known about a domain.
    pub fn get(&self, domid: DomId) -> Result<&Domain, Error> {
        self.known.get(&domid).ok_or(Error::NotFound)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, domid: DomId) -> Result<&mut Domain, Error> {
        self.known.get_mut(&domid).ok_or(Error::NotFound)
    }

    /// The domain as a caller.
    pub fn caller(&self, domid: DomId) -> Caller {
        Caller { domid, target: self.known.get(&domid).and_then(|d| d.target) }
    }

    /// The limits of a domain; those of a new one if it is not known.
    pub fn quotas(&self, domid: DomId) -> Quotas {
        self.known.get(&domid).map_or(self.defaults, |d| d.quotas)
    }

    /// Whether a domain that grows by `more` to `sum` stays within its limits. Dom0 always does: guests cannot add to its nodes but
    /// where it lets them write, and then not more than the size of a value.
    pub fn affords(&self, owner: DomId, sum: Usage, more: Usage) -> bool {
        let quotas = self.quotas(owner);
        let bytes = sum.bytes.saturating_add(self.transient_bytes(owner));
        owner == DOM0 || ((more.nodes <= 0 || within(sum.nodes, quotas.nodes)) && (more.bytes <= 0 || within(bytes, quotas.bytes)))
    }

    /// Bytes that a domain uses beside its nodes.
    pub fn transient_bytes(&self, domid: DomId) -> i64 {
        self.known.get(&domid).map_or(0, |d| d.transient_bytes)
    }

    /// Books a change of the bytes that a domain uses beside its nodes.
    pub fn charge_transient(&mut self, domid: DomId, bytes: i64) {
        if let Some(domain) = self.known.get_mut(&domid) {
            domain.transient_bytes = domain.transient_bytes.saturating_add(bytes);
        }
    }
}
