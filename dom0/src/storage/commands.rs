//! `lsblk`, `mount`, `umount`.

use dom0_core::commands::Mount;
use dom0_core::fs::{Kind, normalise};
use dom0_core::render;

use super::{Result, get};
use crate::{files, terminal};

/// Lists the disks.
pub async fn lsblk(json: bool) -> Result {
    let rows = get()?.list().await;
    terminal::print(&if json { render::lsblk_json(&rows) } else { render::lsblk(&rows) });
    Ok(())
}

/// Mounts a volume, or lists what is mounted where.
pub async fn mount(what: Option<Mount>) -> Result {
    let storage = get()?;
    let Some(Mount { disk, folder, read_only }) = what else {
        terminal::print(&render::mounts(&storage.mounts()));
        return Ok(());
    };
    check_free(&normalise("/", &folder))?;
    let mounted = storage.mount(&disk, &folder, read_only).await?;
    if mounted.read_only && !read_only {
        terminal::print(&alloc::format!("{}: the disk can only be read, so its files can only be read\n", mounted.source));
    }
    Ok(())
}

/// Whether nothing of the archive would be hidden.
fn check_free(folder: &str) -> Result {
    let Some(tree) = files::tree() else { return Ok(()) };
    let free = match tree.lookup(folder) {
        None => true,
        Some(Kind::Directory) => tree.list(folder).is_ok_and(|entries| entries.is_empty()),
        Some(_) => false,
    };
    if free {
        Ok(())
    } else {
        Err(alloc::format!("{folder}: Dom0's archive has files there, which would be hidden; take another folder, such as /mnt"))
    }
}

/// Ends a mount.
pub fn umount(name: &str) -> Result {
    Ok(get()?.umount(name)?)
}
