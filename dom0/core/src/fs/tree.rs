//! The entries of an archive, by path.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::{fmt, ops::Bound};

use super::newc::{ArchiveError, DIRECTORY, REGULAR, Reader};

/// Entries that an archive may have; more is a mistake or an attack.
const ENTRIES_MAX: usize = 65_536;
/// Longest path in bytes.
const PATH_MAX: usize = 4096;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A folder.
    Directory,
    /// A file with its contents.
    File(&'a [u8]),
    /// Something that has no meaning here, such as a device or a link.
    Other,
}

/// An entry of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'t, 'a> {
    /// The name within the folder.
    pub name: &'t str,
    /// What it is.
    pub kind: Kind<'a>,
}

/// Why a path cannot be used, with the path as the user would write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathError {
    /// There is nothing.
    NotFound(String),
    /// A file was wanted.
    IsDirectory(String),
    /// A folder was wanted.
    NotDirectory(String),
    /// It is neither file nor folder.
    Unreadable(String),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(path) => write!(f, "{path}: no such file; `ls` shows what is there"),
            Self::IsDirectory(path) => {
                write!(f, "{path} is a folder, not a file; name a file in it")
            }
            Self::NotDirectory(path) => write!(f, "{path} is not a folder"),
            Self::Unreadable(path) => write!(f, "{path} is neither a file nor a folder; links and devices are not supported"),
        }
    }
}

impl core::error::Error for PathError {}

/// The file tree.
#[derive(Debug)]
pub struct Tree<'a>(BTreeMap<String, Kind<'a>>);

impl<'a> Tree<'a> {
    /// Reads the entries of an archive. Of two with the same path the later one counts, as for Linux. Folders without an entry of their
    /// own exist if something lies in them.
    pub fn parse(archive: &'a [u8]) -> Result<Self, ArchiveError> {
        let mut tree = Self([(String::from("/"), Kind::Directory)].into());
        let mut offset = 0;
        for entry in Reader::new(archive) {
            let entry = entry?;
            let fail = |what| Err(ArchiveError { offset, what });
            let Ok(name) = core::str::from_utf8(entry.name) else {
                return fail("a name is not UTF-8");
            };
            if name.len() > PATH_MAX {
                return fail("a name is longer than 4096 bytes");
            }
            let kind = match entry.file_type() {
                DIRECTORY => Kind::Directory,
                REGULAR => Kind::File(entry.data),
                _ => Kind::Other,
            };
            let path = normalise("/", name);
            if !tree.insert(path, kind) {
                return fail("a folder and a file have the same name");
            }
            if tree.0.len() > ENTRIES_MAX {
                return fail("it has more than 65536 entries");
            }
            offset = entry_end(archive, entry.data);
        }
        Ok(tree)
    }

    /// What a path, as [`normalise`] makes it, leads to.
    pub fn lookup(&self, path: &str) -> Option<Kind<'a>> {
        self.0.get(path).copied()
    }

    /// The contents of a file.
    pub fn read(&self, path: &str) -> Result<&'a [u8], PathError> {
        match self.lookup(path) {
            Some(Kind::File(data)) => Ok(data),
            Some(Kind::Directory) => Err(PathError::IsDirectory(path.into())),
            Some(Kind::Other) => Err(PathError::Unreadable(path.into())),
            None => Err(PathError::NotFound(path.into())),
        }
    }

    /// The entries of a folder, by name.
    pub fn list(&self, path: &str) -> Result<Vec<Entry<'_, 'a>>, PathError> {
        match self.lookup(path) {
            Some(Kind::Directory) => {}
            Some(_) => return Err(PathError::NotDirectory(path.into())),
            None => return Err(PathError::NotFound(path.into())),
        }
        let prefix = if path == "/" { String::from("/") } else { alloc::format!("{path}/") };
        let inside = self.0.range::<str, _>((Bound::Excluded(prefix.as_str()), Bound::Unbounded));
        let inside = inside.map_while(|(p, kind)| p.strip_prefix(prefix.as_str()).map(|name| (name, kind)));
        Ok(inside.filter(|(name, _)| !name.contains('/')).map(|(name, kind)| Entry { name, kind: *kind }).collect())
    }

    /// Adds an entry and the folders above it; false if one of those is a file, or a folder would become a file.
    fn insert(&mut self, path: String, kind: Kind<'a>) -> bool {
        for (at, _) in path.match_indices('/').skip(1) {
            let above = path.get(..at).unwrap_or_default();
            if !matches!(self.0.get(above), None | Some(Kind::Directory)) {
                return false;
            }
            if !self.0.contains_key(above) {
                self.0.insert(above.into(), Kind::Directory);
            }
        }
        let was_directory = matches!(self.0.get(&path), Some(Kind::Directory));
        if was_directory != (kind == Kind::Directory) && self.0.contains_key(&path) {
            return false;
        }
        self.0.insert(path, kind);
        true
    }
}

/// Makes a path absolute, against the folder `base` if it is relative, and resolves `.`, `..` and doubled slashes. `..` of the root is
/// the root.
pub fn normalise(base: &str, path: &str) -> String {
    let base = if path.starts_with('/') { "" } else { base };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    alloc::format!("/{}", parts.join("/"))
}

/// Where the data of an entry ends, as an offset: near enough to the next header to tell where an archive goes wrong.
fn entry_end(archive: &[u8], data: &[u8]) -> usize {
    (data.as_ptr().addr() - archive.as_ptr().addr()) + data.len()
}
