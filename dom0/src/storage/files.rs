//! Files, from Dom0's archive and from mounted volumes alike.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use dom0_core::block::{SharedDisk, read_bytes};
use dom0_core::config::Format;
use dom0_core::ext4;
use dom0_core::fs::{Kind, normalise};
use dom0_core::storage::{DEVICES, Target};

use super::get;
use crate::{block, files};

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;

/// An entry of a folder: name, whether it is a folder, length in bytes.
pub type Entry = (String, bool, u64);

/// The whole contents of a file: borrowed if it lies in the archive.
///
/// # Errors
/// One message, which names the file.
pub async fn read(path: &str) -> Result<Cow<'static, [u8]>, String> {
    let path = normalise("/", path);
    if is_archived(&path) {
        let tree = files::tree().ok_or("there are no files; boot with an archive made by `cargo xtask image`")?;
        return tree.read(&path).map(Cow::Borrowed).map_err(|error| error.to_string());
    }
    let (disk, length) = look(&path).await?;
    let no_memory = |_| format!("{path}: Dom0 has no memory for its {length} bytes");
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut contents = Vec::new();
    contents.try_reserve_exact(length).map_err(no_memory)?;
    for at in (0..length).step_by(CHUNK) {
        let part = read_bytes(&*disk, &*block::memory(), at as u64, CHUNK.min(length - at)).await;
        contents.extend_from_slice(&part.map_err(|error| format!("{path}: {error}"))?);
    }
    Ok(Cow::Owned(contents))
}

/// Whether a path leads into the archive, and neither to a device nor into a mounted volume.
pub fn is_archived(path: &str) -> bool {
    !normalise("/", path).starts_with(DEVICES) && !get().is_ok_and(|storage| storage.locate(path).is_some())
}

/// A file of a volume, or a device, to be read piece by piece, and its length in bytes.
///
/// # Errors
/// One message, which names the file.
pub async fn look(path: &str) -> Result<(SharedDisk, u64), String> {
    Ok(get()?.look(&Target::new(path, Format::Raw)).await?)
}

/// What lies in a folder, by name.
///
/// # Errors
/// One message, which names the folder.
pub async fn list(path: &str, lengths: bool) -> Result<Vec<Entry>, String> {
    let path = normalise("/", path);
    if let Some((volume, rest)) = get().ok().and_then(|storage| storage.locate(&path)) {
        let entries = volume.list(&rest, lengths).await.map_err(|error| error.to_string())?;
        let entry = |entry: ext4::Entry| (entry.name, entry.kind == ext4::Kind::Directory, entry.bytes.unwrap_or(0));
        return Ok(entries.into_iter().map(entry).collect());
    }
    let mounted = folders_below(&path);
    let mut entries = match files::tree().map(|tree| tree.list(&path)) {
        Some(Ok(entries)) => entries
            .into_iter()
            .map(|entry| {
                let bytes = if let Kind::File(bytes) = entry.kind { bytes.len() } else { 0 };
                (entry.name.to_string(), entry.kind == Kind::Directory, bytes as u64)
            })
            .collect(),
        _ if !mounted.is_empty() || path == "/" => vec![],
        Some(Err(error)) => return Err(error.to_string()),
        None => return Err("there are no files: Dom0 was started without an archive".into()),
    };
    for folder in mounted {
        if !entries.iter().any(|(name, ..)| *name == folder) {
            entries.push((folder, true, 0));
        }
    }
    entries.sort();
    Ok(entries)
}

/// Names in a folder that lead to mounted volumes.
fn folders_below(path: &str) -> Vec<String> {
    let prefix = if path == "/" { String::from("/") } else { format!("{path}/") };
    let mounts = get().map(|storage| storage.mounts()).unwrap_or_default();
    let names = mounts.iter().filter_map(|mount| mount.folder.strip_prefix(&prefix)?.split('/').next());
    names.map(ToString::to_string).collect()
}
