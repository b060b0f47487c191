//! Building the first domain from what the loader brought. All others are built by the control domain.

mod archive;
mod first;
mod memory;

pub use archive::{DOM0, find};
pub use first::{FirstDomain, NotBuilt, build};

use crate::ids::Mfn;
use crate::machine::Machine;

/// Fills a frame with the stubs that some kernels call instead of executing SYSCALL.
pub fn write_hypercall_page<M: Machine>(machine: &M, mfn: Mfn) {
    let mut page = [0; 4096];
    image::hypercall_page::fill(&mut page);
    machine.write_frame(mfn, 0, &page);
}
