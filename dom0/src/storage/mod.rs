//! From the name of a disk to the disk: what `disk = [...]`, `dom block-attach` and Dom0's own commands open.
//!
//! Whoever opens a disk claims its bytes, see [`dom0_core::storage::claims`]: what one writes nobody else has.

mod opened;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use dom0_core::config::Format;
use dom0_core::storage::claims::Range;

pub use opened::{Claim, Opened};

use crate::block;

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
    let about = |why: &str| format!("{target}: {why}");
    if format != Format::Raw {
        return Err(about(&format!("{format} images are not opened yet; give a disk as it is, such as 'phy:/dev/vda,xvda,w'")));
    }
    let disks = block::disks();
    let number = disks.iter().position(|disk| target.strip_prefix("/dev/") == Some(disk.name()));
    let Some((number, disk)) = number.and_then(|number| Some((number as u32, disks.get(number)?))) else {
        return Err(about(&format!("no such disk; {}", those_there_are())));
    };
    let write = access == Access::Write;
    if write && disk.quick().info().read_only {
        return Err(about("the disk is read-only; give the guest `r` in place of `w`"));
    }
    let claim = Claim::take(holder, vec![Range::whole(number)], write).map_err(|why| about(&why))?;
    Ok(Opened::new(disk.disk(), vec![(number, disk.quick())], vec![claim]))
}

fn those_there_are() -> String {
    let names: Vec<String> = block::disks().iter().map(|disk| format!("/dev/{}", disk.name())).collect();
    match names.is_empty() {
        true => "Dom0 has none; `cargo xtask run --disk FILE` gives it some".into(),
        false => format!("Dom0 has {}", names.join(", ")),
    }
}
