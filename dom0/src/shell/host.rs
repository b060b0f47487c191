//! Commands about Dom0 itself.

use alloc::format;
use alloc::string::{String, ToString};

use dom0_core::fs::{Kind, Tree};
use dom0_core::render::{self, Memory};

use super::execute::Result;
use crate::hal::tasks;
use crate::{files, log, terminal};

fn tree() -> core::result::Result<&'static Tree<'static>, String> {
    files::tree().ok_or_else(|| String::from("there are no files: Dom0 was started without an archive"))
}

/// Lists a folder.
pub fn ls(long: bool, path: Option<&str>) -> Result {
    let entries = tree()?.list(path.unwrap_or("/")).map_err(|error| format!("ls: {error}"))?;
    for entry in entries {
        let (size, mark) = match entry.kind {
            Kind::Directory => (0, "/"),
            Kind::File(bytes) => (bytes.len(), ""),
            Kind::Other => (0, ""),
        };
        if long {
            terminal::print(&format!("{size:>10}  {}{mark}\n", entry.name));
        } else {
            terminal::print(&format!("{}{mark}\n", entry.name));
        }
    }
    Ok(())
}

/// Prints files.
pub fn cat(paths: &[String]) -> Result {
    for path in paths {
        let bytes = tree()?.read(path).map_err(|error| format!("cat: {error}"))?;
        match core::str::from_utf8(bytes) {
            Ok(text) => terminal::print(text),
            Err(_) => terminal::write_raw(bytes),
        }
    }
    Ok(())
}

/// Prints Dom0's own log.
pub fn dmesg() -> Result {
    terminal::print(&log::read());
    Ok(())
}

/// Lists Dom0's tasks.
pub fn ps() -> Result {
    terminal::print(&render::ps(&tasks::list()));
    Ok(())
}

/// Shows Dom0's memory.
pub fn free() -> Result {
    let (used, free) = pv_guest_sdk::memory::used_frames();
    let archive = files::size() as u64;
    let memory = Memory { total: (used + free) * 4096, heap: pv_guest_sdk::heap::used() as u64, files: archive, free: free * 4096 };
    terminal::print(&render::free(&memory).to_string());
    Ok(())
}
