//! Everything about a new domain's memory that is arithmetic: what its kernel's ELF file claims and asks for, where kernel, ramdisk, frame
//! list, rings, page tables and stack go, and what the first page tables and registers hold. The hypervisor uses it for the first domain
//! and the control domain for all others, so that both build the same domain; neither may trust the file, and nothing here allocates.
//!
//! Reading order: [`elf`] and [`notes`] give a [`kernel::KernelInfo`]; [`layout`] makes a [`layout::Plan`] of it; [`tables`] lists the page
//! tables, [`start_info`] and [`context`] fill what the kernel finds when it starts, [`hypercall_page`] what some kernels call.

#![no_std]
#![forbid(unsafe_code)]

pub mod context;
pub mod elf;
pub mod error;
pub mod features;
pub mod hypercall_page;
pub mod kernel;
pub mod layout;
mod legacy;
pub mod limits;
mod mapping;
mod note_record;
pub mod notes;
pub mod pages;
mod section;
pub mod segment;
pub mod source;
mod space;
pub mod start_info;
pub mod tables;
pub mod text;
mod wishes;

pub use elf::Elf;
pub use error::ImageError;
pub use kernel::KernelInfo;
pub use layout::{Plan, Request};
pub use source::Source;
