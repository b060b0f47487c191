//! qcow2 images: a disk that takes room only where it was written, over a backing disk that stays as it is, with snapshots inside.
//!
//! The format is QEMU's (`docs/interop/qcow2.txt` there), versions 2 and 3. Two crates read it, `imago` and `qcow2-rs`; both need std and an
//! async runtime of their own, so neither fits into Dom0, and this module is ours.
//!
//! # How it is used
//!
//! Opening has two steps, because the header names the backing file and only the caller knows what a name means and which may be opened:
//!
//! ```text
//! let header = Header::read(&*below, &*memory).await?;
//! let backing: Option<SharedDisk> = match &header.backing { Some(named) => Some(open(named)?), None => None };
//! let image: Rc<Image> = Image::open(below, memory, backing, Access::ReadWrite).await?;    // a SharedDisk
//! ```
//!
//! The tools' side. All of it works on an image that a guest is using: its requests wait meanwhile.
//!
//! ```text
//! create(below: &SharedDisk, memory: &SharedMemory, &New { virtual_bytes, cluster_bits: 16, backing: Some((name, format)) }) -> Result<(), ImageError>
//! Image::header(&self) -> Header                        // also for images that are only looked at
//! Image::snapshots(&self) -> Result<Vec<Snapshot>, ImageError>
//! Image::grow(&self, virtual_bytes: u64) -> Result<(), ImageError>
//! Image::take_snapshot(&self, name: &str, taken: Taken) -> Result<(), ImageError>
//! Image::apply_snapshot(&self, name: &str) -> Result<(), ImageError>
//! Image::delete_snapshot(&self, name: &str) -> Result<(), ImageError>
//! Image::check(&self) -> Result<Report, ImageError>
//! ```

mod at_once;
mod blocks;
mod carrier;
mod check;
mod commit;
mod create;
mod discard;
mod entry;
mod error;
mod extensions;
mod geometry;
mod grow;
mod header;
mod history;
mod image;
mod inner;
mod lookup;
mod packed;
mod read;
mod refcounts;
mod slices;
mod snapshots;
mod space;
mod store;
mod tables;
mod visit;
mod walk;
mod write;

pub use check::Report;
pub use create::{New, USUAL_CLUSTER_BITS, create};
pub use error::ImageError;
pub use header::{Backing, Compression, Header, MAGIC};
pub use image::Image;
pub use inner::Access;
pub use slices::CACHE_BYTES;
pub use snapshots::{Snapshot, Taken};
