//! virtio's side of Dom0 without the machine: rings in memory that a device shares, the handshake that starts a device, and disks.
//!
//! The device is not trusted more than a guest is: what it writes is read once and checked, and one that contradicts itself is stopped.
//! Memory and registers come in through two small traits, so that a model of a device can stand at the other end in tests. Numbers and
//! names are those of virtio 1.2; only its modern interface is spoken. Why there is a queue here although crates have one: ADR 0010.

mod config;
mod disk;
mod handshake;
mod memory;
#[cfg(test)]
mod model;
mod queue;
#[cfg(test)]
mod tests;
mod waiting;

pub use config::{Config, Forgetting, feature};
pub use disk::{Device, DiskQueue, VirtioDisk};
pub use handshake::{
    NO_VECTOR, QueuePlace, StartError, device_config, finish, give_up, negotiate, queue_count, reset, set_config_vector, set_queue,
};
pub use memory::{Registers, Shared};
pub use queue::{Broken, Done, MOST_PIECES, MOST_SIZE, Queue, RINGS_BYTES, SLOT_BYTES, Shape};
pub(crate) use waiting::Waiting;

/// Which kind of device a disk is.
pub const TYPE_BLOCK: u16 = 2;
