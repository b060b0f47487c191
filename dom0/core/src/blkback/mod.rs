//! The block back end, as far as it decides: what a request on the ring means, what both ends tell each other in xenstore, which of the guest's
//! pages stay mapped. The kernel of Dom0 moves the bytes (`dom0/src/blkback`).
//!
//! The front end is not trusted. Every number that it gives is checked here once, and what is wrong costs it an error reply or its
//! connection, never anybody else anything.
//!
//! Read in this order: [`request`], [`slots`], [`ends`], [`queue`] with what it uses, [`features`], [`connect`], [`state`], [`stats`], [`faults`].

pub mod connect;
pub mod ends;
pub mod faults;
pub mod features;
pub mod flight;
pub mod job;
mod launch;
pub mod queue;
pub mod request;
pub mod slots;
pub mod state;
pub mod stats;

#[cfg(test)]
mod play;
#[cfg(test)]
mod queue_tests;
