//! Getting a kernel and a ramdisk into the memory of a new domain. Kernels come packed in half a dozen ways and are larger unpacked than Dom0
//! itself, so everything here is a stream: a file is unpacked once, in pieces, and each piece goes straight to the frames it belongs in.
//! Nothing is believed about a file; what it unpacks to is bounded by the domain's memory.
//!
//! The caller drives [`KernelLoad`] and [`RamdiskLoad`] step by step and may do other work in between. What a packing needs of the heap
//! is known before ([`KernelLoad::heap_bytes`]), so that Dom0 can borrow that much and give it back afterwards.
//!
//! Reading order: [`payload`] finds what is packed how, [`stream`] unpacks it, [`kernel_load`] and [`ramdisk_load`] place it.

mod bzimage;
pub mod error;
mod gzip;
mod kept;
pub mod kernel_load;
mod lz4;
pub mod memory;
mod packing;
mod payload;
mod place;
pub mod ramdisk_load;
mod stream;
mod xz;
mod zstd;

pub use error::UnpackError;
pub use kernel_load::KernelLoad;
pub use memory::{DomainMemory, Step};
pub use ramdisk_load::RamdiskLoad;
