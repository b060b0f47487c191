//! All of Dom0's `unsafe`: the executor's wake-up, critical sections, and windows onto other domains' memory.

pub mod control;
pub mod executor;
mod section;
pub mod timer;
