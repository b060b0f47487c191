//! The block front end: a guest's disks, as futures.
//!
//! ```ignore
//! let disk = Disk::open(vdev("xvda").unwrap(), Options::default()).await?;
//! let mut sector = [0; 512];
//! disk.read(0, &mut sector).await?;
//! ```
//!
//! It speaks the protocol of Xen's and Linux's back ends (`io/blkif.h`), with several rings of several pages, indirect segments, persistent grants,
//! flush and discard, as far as the back end offers them. The back end is not trusted: what it writes is copied once and checked, and what makes no
//! sense ends the use of the disk with an error. It can still lie about the data, and read what it was given.
//!
//! Futures run on any executor; [`crate::task::block_on`] is one. Nothing of this may be polled in an event handler.
//!
//! From below: [`machine`] is the seam to grants and events, [`page`] and [`buffer`] are memory, [`request`] makes messages, [`slots`] knows what is
//! open, [`engine`] is one ring, [`queue`] makes futures of it, [`volume`] is a disk as far as its rings go. Up to there it runs on a host as well,
//! against a model of the back end (`tests/block`). `connect`, `registry` and `disk` join it to xenstore.

pub mod buffer;
mod connect;
mod disk;
pub mod engine;
mod error;
mod flight;
mod info;
pub mod machine;
mod names;
mod options;
pub mod page;
pub mod queue;
mod registry;
pub mod request;
pub mod slots;
pub mod volume;

pub use buffer::Buffer;
pub use disk::{Change, Disk, disks};
pub use error::{Breach, BufferError, Error};
pub use info::{Discard, Info};
pub use names::{Name, name, vdev};
pub use options::Options;
pub use registry::reap;
