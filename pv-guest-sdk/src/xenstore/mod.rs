//! The xenstore client: requests and replies over the ring page, and watch events that come in between.
//!
//! It needs no heap: replies go to the caller's buffer, watch events wait in a queue of fixed size. It must not be used from event
//! handlers, since a reply may have to be waited for.

mod client;
mod queue;
mod wire;

pub use client::{
    Names, Transaction, WatchEvent, attach, available, directory, end_transaction, make,
    next_watch_event, read, remove, request, set_permissions, start_transaction, unwatch,
    wait_watch_event, watch, watch_events_lost, write,
};
