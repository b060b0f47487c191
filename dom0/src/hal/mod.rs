//! All of Dom0's `unsafe`: the executor's wake-up, critical sections, and windows onto other domains' memory.

pub mod bell;
pub mod control;
pub mod dma;
#[allow(dead_code, reason = "tasks of devices come next")]
pub mod executor;
pub mod foreign;
pub mod guest_memory;
pub mod local;
pub mod pci;
pub mod ports;
pub mod registers;
mod section;
pub mod shared_page;
pub mod task_cell;
pub mod tasks;
pub mod timer;
