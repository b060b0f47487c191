//! Commands about Dom0 itself.

use alloc::format;
use alloc::string::{String, ToString};

use dom0_core::fs::normalise;
use dom0_core::render::{self, Memory};
use dom0_core::storage::DEVICES;
use embassy_futures::yield_now;

use super::execute::Result;
use crate::hal::tasks;
use crate::{files, log, storage, terminal};

/// Bytes of a file on a volume that are read at a time.
const CHUNK: usize = 64 << 10;

/// Lists a folder.
pub async fn ls(long: bool, path: Option<&str>) -> Result {
    let entries = storage::list(path.unwrap_or("/"), long).await.map_err(|error| format!("ls: {error}"))?;
    for (name, is_folder, bytes) in entries {
        let mark = if is_folder { "/" } else { "" };
        if long {
            terminal::print(&format!("{bytes:>10}  {name}{mark}\n"));
        } else {
            terminal::print(&format!("{name}{mark}\n"));
        }
    }
    Ok(())
}

/// Prints files.
pub async fn cat(paths: &[String]) -> Result {
    for path in paths {
        print_file(path).await.map_err(|error| format!("cat: {error}"))?;
    }
    Ok(())
}

async fn print_file(path: &str) -> Result {
    if normalise("/", path).starts_with(DEVICES) {
        return Err(format!("{path} is a device, not a file; `crc32` reads devices as well"));
    }
    let bytes = storage::read(path).await?;
    for chunk in bytes.chunks(CHUNK) {
        match core::str::from_utf8(chunk) {
            Ok(text) => terminal::print(text),
            Err(_) => terminal::write_raw(chunk),
        }
        yield_now().await;
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
