//! The ways in which a xenstore request fails, as clients see them: xenstore sends an errno by name, never by number, since the two
//! ends may disagree about numbers.

use core::fmt;

/// A failed request (`xsd_errors` in `xen/io/xs_wire.h`, without those that this server never answers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The request is malformed: a bad path, a missing NUL, a number that is none.
    Invalid,
    /// The caller lacks the permission on the node, or the request is for Dom0 only.
    Access,
    /// The same watch is already registered.
    Exists,
    /// There is no such node, watch or transaction.
    NotFound,
    /// A quota of the domain that pays is used up.
    NoSpace,
    /// This server has no such request.
    NotSupported,
    /// A transaction within a transaction.
    Busy,
    /// The transaction lost against another writer; the client retries.
    Again,
    /// The answer, or the number of watches, exceeds what the protocol or the quota allows.
    TooBig,
    /// Only Dom0 may change the owner of a node.
    NotPermitted,
}

impl Error {
    /// The name that goes over the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "EINVAL",
            Self::Access => "EACCES",
            Self::Exists => "EEXIST",
            Self::NotFound => "ENOENT",
            Self::NoSpace => "ENOSPC",
            Self::NotSupported => "ENOSYS",
            Self::Busy => "EBUSY",
            Self::Again => "EAGAIN",
            Self::TooBig => "E2BIG",
            Self::NotPermitted => "EPERM",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for Error {}
