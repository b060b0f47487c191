//! A machine on the host, for tests: RAM, CPUs that walk page tables and remember translations, and a check of everything that must always hold.
//!
//! [`machine::FakeMachine`] stands where the hardware stands. [`kit::Kit`] is a hypervisor on it with domains to play guests;
//! [`check`] compares every count of the frame table with what a full walk finds.

pub mod check;
pub mod kit;
pub mod machine;
pub mod memory;
pub mod mmu;
mod random;

pub use kit::Kit;
pub use machine::{FakeMachine, WINDOW};
pub use random::Random;
