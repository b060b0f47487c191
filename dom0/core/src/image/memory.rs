//! The seam to the machine: what loading needs of the memory of a domain under construction.

use abi::Errno;

/// The memory of a new domain, which is all zero when it is handed out.
pub trait DomainMemory {
    /// Copies `data` to the pseudo-physical address `address` (in bytes from PFN 0). Only ranges inside the domain's memory are asked for.
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Errno>;
}

/// The outcome of one step of bounded length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// There is more to do.
    More {
        /// Bytes unpacked so far.
        done: u64,
        /// Bytes that there will be, if the file tells.
        total: Option<u64>,
    },
    /// All is done.
    Done(T),
}
