//! Makes the archive that the machine gets as its one module: a cpio "newc" archive that becomes Dom0's root.
//!
//! The same input gives the same bytes (names sorted, no times, no owners), so that instruction counts are repeatable and nothing of
//! the building machine travels along.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cpio::newc::{Builder, ModeFileType};
use walkdir::WalkDir;

use crate::command;

/// A tree of files, to be written as one archive. Paths have no leading slash.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Folder,
    File { bytes: Vec<u8>, executable: bool },
    Link { target: String },
}

impl Archive {
    /// Adds a file with this content.
    ///
    /// # Errors
    /// When the path leaves the tree or goes through a file.
    pub fn bytes(&mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Result<()> {
        self.insert(path, Entry::File { bytes: bytes.into(), executable: false })
    }

    /// Adds a file that may be executed.
    ///
    /// # Errors
    /// When the path leaves the tree or goes through a file.
    pub fn program(&mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Result<()> {
        self.insert(path, Entry::File { bytes: bytes.into(), executable: true })
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// When the path leaves the tree or goes through a file.
    pub fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.insert(path, Entry::Link { target: target.to_owned() })
    }

    /// Adds an empty folder.
    ///
    /// # Errors
    /// When the path leaves the tree or goes through a file.
    pub fn folder(&mut self, path: &str) -> Result<()> {
        self.insert(path, Entry::Folder)
    }

    /// Adds a copy of a file of the host.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn copy(&mut self, path: &str, source: &Path) -> Result<()> {
        let bytes = fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        self.bytes(path, bytes)
    }

    /// Adds a program from the host without what only debuggers read, which would be most of it and would take up Dom0's memory.
    ///
    /// # Errors
    /// When it cannot be stripped.
    pub fn copy_stripped(&mut self, path: &str, source: &Path) -> Result<()> {
        let stripped = tempfile::NamedTempFile::new()?;
        command::run(Command::new("strip").arg("--strip-debug").arg("-o").arg(stripped.path()).arg(source))?;
        self.copy(path, stripped.path())
    }

    /// Adds a file, or a folder with all that is in it, from the host. Links are followed: what they point to is not in the archive.
    ///
    /// # Errors
    /// When something cannot be read, or is neither a file nor a folder.
    pub fn copy_tree(&mut self, path: &str, source: &Path) -> Result<()> {
        for found in WalkDir::new(source).follow_links(true).sort_by_file_name() {
            let found = found.with_context(|| format!("cannot read {}", source.display()))?;
            let below = found.path().strip_prefix(source)?;
            let below = below.to_str().with_context(|| format!("{} is no UTF-8", found.path().display()))?;
            let path = format!("{path}/{below}");
            let kind = found.file_type();
            if kind.is_dir() {
                self.folder(&path)?;
            } else if kind.is_file() {
                self.copy(&path, found.path())?;
            } else {
                bail!("{} is neither a file nor a folder", found.path().display());
            }
        }
        Ok(())
    }

    /// Lays another tree over this one.
    ///
    /// # Errors
    /// When a file of one lies where the other has a folder.
    pub fn overlay(&mut self, other: Self) -> Result<()> {
        other.entries.into_iter().try_for_each(|(path, entry)| self.insert(&path, entry))
    }

    /// The archive.
    ///
    /// # Errors
    /// When a file is larger than the format allows (4 GiB).
    pub fn pack(&self) -> Result<Vec<u8>> {
        let inputs = self.entries.iter().enumerate().map(|(index, (path, entry))| {
            let (kind, mode, bytes): (_, _, &[u8]) = match entry {
                Entry::Folder => (ModeFileType::Directory, 0o755, &[]),
                Entry::File { bytes, executable: false } => (ModeFileType::Regular, 0o644, bytes),
                Entry::File { bytes, executable: true } => (ModeFileType::Regular, 0o755, bytes),
                Entry::Link { target } => (ModeFileType::Symlink, 0o777, target.as_bytes()),
            };
            let inode = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
            let links = if matches!(entry, Entry::Folder) { 2 } else { 1 };
            (Builder::new(path).ino(inode).nlink(links).mode(mode).set_mode_file_type(kind), Cursor::new(bytes))
        });
        cpio::write_cpio(inputs, Vec::new()).context("cannot write the archive")
    }

    /// The paths in it, in order.
    #[cfg(test)]
    fn paths(&self) -> Vec<&str> {
        self.entries.keys().map(String::as_str).collect()
    }

    fn insert(&mut self, path: &str, entry: Entry) -> Result<()> {
        let path = normal(path)?;
        if path.is_empty() {
            return if entry == Entry::Folder { Ok(()) } else { bail!("a file needs a name") };
        }
        for (index, _) in path.match_indices('/') {
            let parent = &path[..index];
            if *self.entries.entry(parent.to_owned()).or_insert(Entry::Folder) != Entry::Folder {
                bail!("/{parent} is a file, so nothing can be put into it");
            }
        }
        match (self.entries.get(&path), &entry) {
            (Some(Entry::Folder), Entry::Folder) => Ok(()),
            (Some(Entry::Folder), _) => bail!("/{path} is a folder already"),
            (Some(_), Entry::Folder) => bail!("/{path} is a file already"),
            _ => {
                self.entries.insert(path, entry);
                Ok(())
            }
        }
    }
}

/// The path without `.`, `//` and the leading slash.
fn normal(path: &str) -> Result<String> {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str().context("the path is no UTF-8")?),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => bail!("{path:?} leaves the tree"),
        }
    }
    Ok(parts.join("/"))
}

/// One `--add PATH[:TARGET]`: what to read, and where it goes in Dom0's tree. A `TARGET` that ends in a slash is a folder to put it into.
///
/// # Errors
/// When the path does not exist.
pub fn parse_add(argument: &str) -> Result<(PathBuf, String)> {
    let whole = Path::new(argument);
    let (source, target) = match argument.rsplit_once(':') {
        // A file whose own name has a colon in it is taken at its word.
        Some((source, target)) if !whole.exists() => (Path::new(source), target),
        _ => (whole, "/guests/"),
    };
    if !source.exists() {
        bail!("--add {argument}: there is no {}", source.display());
    }
    if !target.is_empty() && !target.ends_with('/') {
        return Ok((source.to_owned(), target.to_owned()));
    }
    let name = source.canonicalize()?;
    let name = name.file_name().and_then(|name| name.to_str()).with_context(|| format!("--add {argument}: name a target"))?;
    Ok((source.to_owned(), format!("{target}{name}")))
}

/// The content of `/etc/exec`: one command a line, in order.
///
/// # Errors
/// When a command has a line break in it: it would become two.
pub fn exec_file(commands: &[String]) -> Result<String> {
    let mut text = String::new();
    for command in commands {
        if command.contains(['\n', '\r', '\0']) {
            bail!("--exec {command:?}: a command is one line");
        }
        text.push_str(command);
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn unpack(bytes: &[u8]) -> Vec<(String, u32, String)> {
        let mut rest = bytes;
        let mut found = Vec::new();
        loop {
            let mut reader = cpio::NewcReader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                return found;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            found.push((name, mode, text));
            rest = reader.finish().unwrap();
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let mut archive = Archive::default();
        archive.bytes("/boot/dom0", *b"elf").unwrap();
        archive.bytes("etc/exec", "dom list\n").unwrap();
        archive.link("bin/sh", "busybox").unwrap();
        let entry = |name: &str, mode, text: &str| (name.to_owned(), mode, text.to_owned());
        assert_eq!(
            unpack(&archive.pack().unwrap()),
            [
                entry("bin", 0o040_755, ""),
                entry("bin/sh", 0o120_777, "busybox"),
                entry("boot", 0o040_755, ""),
                entry("boot/dom0", 0o100_644, "elf"),
                entry("etc", 0o040_755, ""),
                entry("etc/exec", 0o100_644, "dom list\n"),
            ]
        );
    }

    #[test]
    fn the_same_tree_gives_the_same_bytes() {
        let pack = |order: [&str; 2]| {
            let mut archive = Archive::default();
            for name in order {
                archive.bytes(name, name).unwrap();
            }
            archive.pack().unwrap()
        };
        assert_eq!(pack(["a", "b"]), pack(["b", "a"]));
    }

    #[test]
    fn a_path_stays_in_the_tree() {
        let mut archive = Archive::default();
        assert!(archive.bytes("../etc/passwd", "").is_err());
        archive.bytes("a", "").unwrap();
        assert!(archive.bytes("a/b", "").is_err());
        assert!(archive.folder("a").is_err());
        assert!(archive.bytes("/", "").is_err());
        archive.bytes("a", "again").unwrap();
    }

    #[test]
    fn folders_are_copied_whole() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/file"), "x").unwrap();
        let mut archive = Archive::default();
        archive.copy_tree("/guests/mine", dir.path()).unwrap();
        assert_eq!(archive.paths(), ["guests", "guests/mine", "guests/mine/sub", "guests/mine/sub/file"]);
    }

    #[test]
    fn add_puts_things_under_guests() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kernel");
        fs::write(&file, "").unwrap();
        let file = file.to_str().unwrap();
        let target = |argument: &str| parse_add(argument).map(|(_, target)| target);
        assert_eq!(target(file).unwrap(), "/guests/kernel");
        assert_eq!(target(&format!("{file}:/boot/other")).unwrap(), "/boot/other");
        assert_eq!(target(&format!("{file}:/etc/")).unwrap(), "/etc/kernel");
        assert!(target("/no/such/file").unwrap_err().to_string().contains("/no/such/file"));
    }

    #[test]
    fn commands_keep_their_quotes_and_stay_one_line() {
        let exec = exec_file(&["echo 'a  b' \"$c\"".into(), "ls".into()]).unwrap();
        assert_eq!(exec, "echo 'a  b' \"$c\"\nls\n");
        assert!(exec_file(&["a\nb".into()]).is_err());
    }
}
