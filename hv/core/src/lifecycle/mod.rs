//! How a domain comes to be, what can be asked about it, and how everything that it had is taken back.

mod create;
mod destroy;
mod info;

pub use create::{Limits, create};
pub use destroy::{Progress, destroy, reap};
pub use info::{domain_info, machine_info};
