//! Xenstore: the tree of small values through which domains find each other's devices.
//!
//! It is the one service that every guest talks to, so it is where one guest could starve, overhear or exhaust the others. Hence:
//! clients take turns, one request each ([`server`]); whatever a domain makes the server hold is charged to that domain and capped
//! ([`quota`]); every read, write and event is checked against permissions ([`access`], `fire`); and what names a domain goes when the
//! domain goes ([`Server::remove_domain`]). The protocol is Xen's (`docs/misc/xenstore.txt`, `io/xs_wire.h`).
//!
//! Read in this order: [`path`], [`perms`], [`tree`], [`access`], [`transaction`], [`watch`], [`wire`], [`request`], `perform`, `turns`, [`server`].

pub mod access;
mod admin;
mod answer;
pub mod client;
pub mod domains;
mod error;
mod fire;
pub mod gone;
mod lifecycle;
mod local;
pub mod node;
pub mod path;
mod perform;
pub mod perms;
mod plant;
pub mod quota;
pub mod request;
pub mod server;
mod transacting;
pub mod transaction;
pub mod tree;
mod turns;
pub mod watch;
mod watching;
pub mod wire;

pub use abi::DomId;
pub use error::Error;
pub use perms::{Access, Permissions};
pub use plant::Seed;
pub use server::{Effect, Server};

/// The control domain.
pub const DOM0: DomId = 0;

/// The bits for `server_features` of the ring page: the error field is filled in, watches may have a depth (bit 4 of
/// `docs/misc/xenstore-ring.txt`).
pub const SUPPORTED_FEATURES: u32 = abi::xenstore::FEATURE_ERROR | 4;

/// A connection. Numbers are not reused for as long as anybody could remember one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);
