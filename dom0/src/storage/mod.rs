//! From the name of a disk to the disk: what `disk = [...]`, `dom block-attach` and Dom0's own commands open.
//!
//! Whoever opens a disk claims its bytes, see [`dom0_core::storage::claims`]: what one writes nobody else has.

mod opened;

use alloc::format;
use alloc::string::String;

use dom0_core::config::Format;

pub use opened::{Claim, Closing, Opened};

/// What a user of a disk may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
}

/// Opens a disk for `holder`, who is named to others that want it (`xvda of linux`).
///
/// # Errors
/// One message: what is wrong and what to do about it. It begins with the target.
pub async fn open(target: &str, format: Format, access: Access, holder: &str) -> Result<Opened, String> {
    let _ = (format, access, holder);
    Err(format!("{target}: no such disk; Dom0 drives none yet"))
}
