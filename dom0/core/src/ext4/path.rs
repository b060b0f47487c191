//! From a path to an inode, through folders and links.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use super::inode::{Kind, ROOT};
use super::{Entry, Inode, Result, Volume, VolumeError};
use crate::fs::PathError;

/// Links on one way at most, as for Linux; and the longest target in bytes.
const MOST_LINKS: usize = 40;
const LONGEST_TARGET: u64 = 4096;

impl Volume {
    /// What a path leads to. It is relative to the volume's root; links are followed.
    ///
    /// # Errors
    /// When there is nothing, or the way there makes no sense.
    pub async fn find(&self, path: &str) -> Result<Inode> {
        // The way back to the root, and what is still to go, the next name last.
        let mut way: Vec<Inode> = Vec::from([self.inode(ROOT).await?]);
        let mut rest: Vec<String> = path.split('/').rev().map(String::from).collect();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    if way.len() > 1 {
                        way.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let here = way.last().ok_or(VolumeError::Damaged("it has no root"))?;
            if here.kind != Kind::Directory {
                return Err(PathError::NotFound(self.shown(path)).into());
            }
            let number = self.lookup(here, name.as_bytes()).await?;
            let next = self.inode(number.ok_or_else(|| PathError::NotFound(self.shown(path)))?).await?;
            if next.kind != Kind::Link {
                way.push(next);
                continue;
            }
            links += 1;
            let target = self.target(&next).await?;
            if links > MOST_LINKS || target.starts_with('/') {
                return Err(VolumeError::Link(self.shown(path), target));
            }
            rest.extend(target.split('/').rev().map(ToString::to_string));
        }
        way.pop().ok_or(VolumeError::Damaged("it has no root"))
    }

    /// The entries of a folder by name, with their lengths if wanted.
    ///
    /// # Errors
    /// As for [`Volume::find`], and when it is no folder.
    pub async fn list(&self, path: &str, lengths: bool) -> Result<Vec<Entry>> {
        let folder = self.find(path).await?;
        if folder.kind != Kind::Directory {
            return Err(PathError::NotDirectory(self.shown(path)).into());
        }
        self.entries(&folder, lengths).await
    }

    /// Where a link points.
    async fn target(&self, link: &Inode) -> Result<String> {
        if link.bytes > LONGEST_TARGET.min(self.superblock.block) {
            return Err(VolumeError::Damaged("the target of a link is too long"));
        }
        let length = link.bytes as usize;
        let bytes = if link.is_short_link() {
            link.root.get(..length).unwrap_or_default().to_vec()
        } else {
            if let Some(how) = link.odd() {
                return Err(VolumeError::Stored(self.shown("a link on the way"), how));
            }
            let map = self.map(link).await?;
            let first = map.extents.first().filter(|extent| extent.first == 0 && extent.written);
            let mut bytes = self.block(first.ok_or(VolumeError::Damaged("a link has no target"))?.start).await?;
            bytes.truncate(length);
            bytes
        };
        String::from_utf8(bytes).map_err(|_| VolumeError::Damaged("the target of a link is no text"))
    }
}
