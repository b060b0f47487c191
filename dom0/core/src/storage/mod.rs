//! What an operator calls a disk, and what lies behind the name.

pub mod claims;
mod letters;

pub use letters::letters;
