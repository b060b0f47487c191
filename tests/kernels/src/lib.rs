//! What the test kernels share: how they report, how they enter user mode, how they provoke a trap and look at it.
//!
//! A test kernel is a guest that tries something which a benign guest would not, or which it relies on, and says itself how it went.
//! The same ELF boots on Domus and on Xen, so that every claim made here is checked against a second implementation.
#![no_std]

extern crate alloc;

pub mod crash;
pub mod crew;
pub mod disks;
pub mod probe;
pub mod report;
pub mod scratch;
pub mod tables;
pub mod user;
