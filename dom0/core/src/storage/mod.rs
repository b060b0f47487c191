//! What an operator calls a disk, and what lies behind the name.

mod letters;

pub use letters::letters;
