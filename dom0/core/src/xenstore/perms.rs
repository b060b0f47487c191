//! Who may do what with a node.
//!
//! The first entry names the owner, who may do everything; its letter is what everybody without an entry of their own gets. Dom0 may
//! do everything everywhere. A domain that targets another (`SET_TARGET`) has that domain's rights as well.

use alloc::{format, string::String, vec, vec::Vec};

use super::{DOM0, DomId, Error};

/// What an entry allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// May read the node, list it and learn of its changes.
    pub read: bool,
    /// May write the node, create below it and remove it.
    pub write: bool,
}

impl Access {
    /// `n`: no access.
    pub const NONE: Self = Self { read: false, write: false };
    /// `r`: read only.
    pub const READ: Self = Self { read: true, write: false };
    /// `w`: write only.
    pub const WRITE: Self = Self { read: false, write: true };
    /// `b`: both.
    pub const BOTH: Self = Self { read: true, write: true };

    /// Whether everything in `needed` is allowed.
    pub fn allows(self, needed: Self) -> bool {
        (self.read || !needed.read) && (self.write || !needed.write)
    }

    fn letter(self) -> char {
        match (self.read, self.write) {
            (false, false) => 'n',
            (true, false) => 'r',
            (false, true) => 'w',
            (true, true) => 'b',
        }
    }
}

/// One entry: a domain and what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whom the entry is about.
    pub domid: DomId,
    /// What that domain may do.
    pub access: Access,
}

/// A party that asks: a domain, and the domain that it targets if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The domain at the other end of the connection.
    pub domid: DomId,
    /// The domain whose rights it has as well.
    pub target: Option<DomId>,
}

impl Caller {
    /// Dom0 itself.
    pub const DOM0: Self = Self { domid: DOM0, target: None };

    /// Whether no check and no quota applies.
    pub fn is_privileged(self) -> bool {
        self.domid == DOM0
    }

    fn is(self, domid: DomId) -> bool {
        self.domid == domid || self.target == Some(domid)
    }
}

/// The permissions of a node: never empty, the first entry is the owner's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions(Vec<Entry>);

impl Permissions {
    /// Permissions of a node that `owner` owns and all others have `others` on.
    pub fn new(owner: DomId, others: Access) -> Self {
        Self(vec![Entry { domid: owner, access: others }])
    }

    /// Adds an entry for a domain.
    #[must_use]
    pub fn with(mut self, domid: DomId, access: Access) -> Self {
        self.0.push(Entry { domid, access });
        self
    }

    /// The domain that owns, and pays for, the node.
    pub fn owner(&self) -> DomId {
        self.0.first().map_or(DOM0, |e| e.domid)
    }

    /// All entries, the owner's first.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// The same with another owner: what a new node inherits when a guest creates it.
    #[must_use]
    pub fn owned_by(mut self, owner: DomId) -> Self {
        if let Some(first) = self.0.first_mut() {
            first.domid = owner;
        }
        self
    }

    /// Drops the entries, except the owner's, for which `keep` says no.
    pub fn retain_others(&mut self, keep: impl Fn(DomId) -> bool) {
        let mut first = true;
        self.0.retain(|e| core::mem::take(&mut first) || keep(e.domid));
    }

    /// Whether an entry names the domain.
    pub fn mention(&self, domid: DomId) -> bool {
        self.0.iter().any(|e| e.domid == domid)
    }

    /// Whether the caller owns the node, or acts as if.
    pub fn is_owner(&self, caller: Caller) -> bool {
        caller.is_privileged() || caller.is(self.owner())
    }

    /// What the caller may do.
    pub fn access(&self, caller: Caller) -> Access {
        if self.is_owner(caller) {
            return Access::BOTH;
        }
        let own = self.0.iter().skip(1).find(|e| caller.is(e.domid));
        own.or(self.0.first()).map_or(Access::NONE, |e| e.access)
    }

    /// Parses entries such as `n0`, `r5`.
    pub fn parse<'a>(entries: impl Iterator<Item = &'a str>) -> Result<Self, Error> {
        let parsed = entries.map(parse_entry).collect::<Result<Vec<_>, _>>()?;
        if parsed.is_empty() { Err(Error::Invalid) } else { Ok(Self(parsed)) }
    }

    /// The entries as they go over the wire, without their NULs.
    pub fn format(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|e| format!("{}{}", e.access.letter(), e.domid))
    }
}

fn parse_entry(text: &str) -> Result<Entry, Error> {
    let mut letters = text.chars();
    let access = match letters.next() {
        Some('n') => Access::NONE,
        Some('r') => Access::READ,
        Some('w') => Access::WRITE,
        Some('b') => Access::BOTH,
        _ => return Err(Error::Invalid),
    };
    Ok(Entry { domid: super::request::number(letters.as_str())?, access })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(domid: DomId) -> Caller {
        Caller { domid, target: None }
    }

    #[test]
    fn the_first_entry_is_owner_and_default() {
        let p = Permissions::parse(["r1", "n2", "b3", "w4"].into_iter()).unwrap();
        assert_eq!(p.access(guest(1)), Access::BOTH);
        assert_eq!(p.access(guest(2)), Access::NONE);
        assert_eq!(p.access(guest(3)), Access::BOTH);
        assert_eq!(p.access(guest(4)), Access::WRITE);
        assert_eq!(p.access(guest(9)), Access::READ);
        assert_eq!(p.access(Caller::DOM0), Access::BOTH);
        assert_eq!(p.access(Caller { domid: 9, target: Some(1) }), Access::BOTH);
        assert!(p.format().eq(["r1", "n2", "b3", "w4"]));
    }

    #[test]
    fn malformed_entries_are_refused() {
        for bad in ["", "x1", "r", "r-1", "r65536", "r1 ", "r+1"] {
            assert!(Permissions::parse([bad].into_iter()).is_err(), "{bad:?}");
        }
        assert!(Permissions::parse([].into_iter()).is_err());
    }
}
