//! From the name of a disk to the disk: what `disk = [...]`, `dom block-attach` and Dom0's own commands open. What a name means is decided by
//! [`dom0_core::storage`]; here it gets the machine's disks.
//!
//! Whoever opens a disk claims its bytes, see [`dom0_core::storage::claims`]: what one writes nobody else has.

mod commands;
mod files;
mod images;
mod opened;

use alloc::string::String;

use dom0_core::config::Format;
use dom0_core::storage::{Storage, Target};

use crate::block;
use crate::hal::local::Local;

pub use commands::{lsblk, mount, umount};
pub use dom0_core::storage::Access;
pub use files::{is_archived, list, look, read};
pub use images::disk;
pub use opened::Opened;

/// What a command that failed says.
type Result<T = ()> = core::result::Result<T, String>;

static STORAGE: Local<Storage> = Local::new();

/// Makes the machine's disks known.
pub fn init() {
    let storage = Storage::new(block::memory());
    for (number, disk) in (0..).zip(block::disks()) {
        storage.add(number, disk.name(), disk.disk());
    }
    STORAGE.set(storage);
}

fn get() -> Result<&'static Storage> {
    STORAGE.get().ok_or_else(|| String::from("the disks are not known yet"))
}

/// Opens a disk for `holder`, who is named to others that want it (`xvda of linux`).
///
/// # Errors
/// One message: what is wrong and what to do about it. It begins with the target.
pub async fn open(target: &str, format: Format, access: Access, holder: &str) -> Result<Opened> {
    let opened = get()?.open(&Target::new(target, format), access, holder).await?;
    Ok(Opened::new(opened))
}
