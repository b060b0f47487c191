//! The xenstore protocol: message header, ring page, error names, limits (`io/xs_wire.h`, `io/xenbus.h`).

use crate::errno::Errno;

/// Message types.
pub mod msg {
    /// Control of the daemon.
    pub const CONTROL: u32 = 0;
    /// List children.
    pub const DIRECTORY: u32 = 1;
    /// Read a value.
    pub const READ: u32 = 2;
    /// Read permissions.
    pub const GET_PERMS: u32 = 3;
    /// Set a watch.
    pub const WATCH: u32 = 4;
    /// Remove a watch.
    pub const UNWATCH: u32 = 5;
    /// Start a transaction.
    pub const TRANSACTION_START: u32 = 6;
    /// End a transaction: "T" commits, "F" aborts.
    pub const TRANSACTION_END: u32 = 7;
    /// Introduce a domain.
    pub const INTRODUCE: u32 = 8;
    /// Release a domain.
    pub const RELEASE: u32 = 9;
    /// A domain's home.
    pub const GET_DOMAIN_PATH: u32 = 10;
    /// Write a value.
    pub const WRITE: u32 = 11;
    /// Make an empty node.
    pub const MKDIR: u32 = 12;
    /// Remove a node and what is below it.
    pub const RM: u32 = 13;
    /// Set permissions.
    pub const SET_PERMS: u32 = 14;
    /// From the daemon: a watch fired.
    pub const WATCH_EVENT: u32 = 15;
    /// From the daemon: the request failed.
    pub const ERROR: u32 = 16;
    /// Whether a domain is introduced.
    pub const IS_DOMAIN_INTRODUCED: u32 = 17;
    /// Resume a domain.
    pub const RESUME: u32 = 18;
    /// Let a domain act for another.
    pub const SET_TARGET: u32 = 19;
    /// Remove all watches and transactions of the caller.
    pub const RESET_WATCHES: u32 = 21;
    /// List children, part by part.
    pub const DIRECTORY_PART: u32 = 22;
    /// Read feature bits.
    pub const GET_FEATURE: u32 = 23;
    /// Set feature bits.
    pub const SET_FEATURE: u32 = 24;
    /// Read quotas.
    pub const GET_QUOTA: u32 = 25;
    /// Set quotas.
    pub const SET_QUOTA: u32 = 26;
    /// No valid type.
    pub const INVALID: u32 = 0xffff;
}

/// Errors that the protocol names, and their names.
pub const ERRORS: [(&str, Errno); 16] = [
    ("EINVAL", Errno::INVAL),
    ("EACCES", Errno::ACCES),
    ("EEXIST", Errno::EXIST),
    ("EISDIR", Errno::ISDIR),
    ("ENOENT", Errno::NOENT),
    ("ENOMEM", Errno::NOMEM),
    ("ENOSPC", Errno::NOSPC),
    ("EIO", Errno::IO),
    ("ENOTEMPTY", Errno::NOTEMPTY),
    ("ENOSYS", Errno::NOSYS),
    ("EROFS", Errno::ROFS),
    ("EBUSY", Errno::BUSY),
    ("EAGAIN", Errno::AGAIN),
    ("EISCONN", Errno::ISCONN),
    ("E2BIG", Errno::TOOBIG),
    ("EPERM", Errno::PERM),
];

/// Bytes of each direction of the ring.
pub const RING_SIZE: usize = 1024;
/// Bytes of a message behind its header at most.
pub const PAYLOAD_MAX: usize = 4096;
/// Bytes of an absolute path at most.
pub const ABS_PATH_MAX: usize = 3072;
/// Bytes of a relative path at most.
pub const REL_PATH_MAX: usize = 2048;

/// `server_features`: the daemon understands reconnection.
pub const FEATURE_RECONNECTION: u32 = 1;
/// `server_features`: the daemon fills in `error`.
pub const FEATURE_ERROR: u32 = 2;
/// `connection`: connected.
pub const CONNECTED: u32 = 0;
/// `connection`: the guest asks for reconnection, or it is under way.
pub const RECONNECT: u32 = 1;
/// `error`: none.
pub const ERROR_NONE: u32 = 0;
/// `error`: communication problem.
pub const ERROR_COMM: u32 = 1;
/// `error`: invalid ring index.
pub const ERROR_RINGIDX: u32 = 2;
/// `error`: protocol violation.
pub const ERROR_PROTO: u32 = 3;

/// Watch path that fires when a domain is introduced.
pub const WATCH_INTRODUCE_DOMAIN: &str = "@introduceDomain";
/// Watch path that fires when a domain is released.
pub const WATCH_RELEASE_DOMAIN: &str = "@releaseDomain";

layout! {
    /// Header of every message, `xsd_sockmsg`.
    Header [16] {
        /// One of [`msg`].
        @0 kind: u32,
        /// Copied into the reply.
        @4 req_id: u32,
        /// Transaction, 0 if none.
        @8 tx_id: u32,
        /// Bytes that follow.
        @12 len: u32,
    }

    /// `xenstore_domain_interface`, the start of the xenstore page.
    XenstoreRing [2080] {
        /// Requests.
        @0 req: [u8; 1024],
        /// Replies and watch events.
        @1024 rsp: [u8; 1024],
        /// Consumed requests; written by the daemon.
        @2048 req_cons: u32,
        /// Produced requests; written by the guest.
        @2052 req_prod: u32,
        /// Consumed replies; written by the guest.
        @2056 rsp_cons: u32,
        /// Produced replies; written by the daemon.
        @2060 rsp_prod: u32,
        /// `FEATURE_*`.
        @2064 server_features: u32,
        /// `CONNECTED` or `RECONNECT`.
        @2068 connection: u32,
        /// `ERROR_*`.
        @2072 error: u32,
        /// Event channel of the daemon, for domains that find it here.
        @2076 evtchn_port: u32,
    }
}
