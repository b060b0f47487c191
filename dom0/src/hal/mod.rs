//! All of Dom0's `unsafe`: the executor's wake-up, critical sections, and windows onto other domains' memory.

pub mod bell;
pub mod block_ring;
pub mod control;
pub mod dma;
pub mod doorbell;
pub mod executor;
pub mod foreign;
pub mod grant_pages;
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
