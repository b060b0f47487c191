//! The images that power is cut under: how each is made, and what is looked for in it afterwards.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use domus_journal::{Journal, RECORD_BYTES, check};

use super::load::DISK;
use crate::disk::DiskOption;
use crate::{command, deps, disk};

/// What the bytes of the machine's disk are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The guest's disk itself.
    Raw,
    /// A qcow2 image with clusters of 64 KiB, QEMU's default: most records start a cluster, whose rest has to read as zeroes.
    Qcow2,
    /// A qcow2 image with clusters of 4 KiB: each record takes one of its own, and tables fill up.
    Qcow2Small,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Qcow2, Self::Qcow2Small];

    /// What steps and people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Qcow2Small => "qcow2-small",
        }
    }

    /// What a domain's configuration calls it.
    pub fn prefix(self) -> &'static str {
        if self == Self::Raw { "phy" } else { "qcow2" }
    }

    /// Makes an empty image, always the same, with room to grow.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn make(self, path: &Path) -> Result<domus_harness::disk::Disk> {
        let cluster = match self {
            Self::Raw => None,
            Self::Qcow2 => Some("cluster_size=64k"),
            Self::Qcow2Small => Some("cluster_size=4k"),
        };
        match cluster {
            None => File::create(path)?.set_len(DISK)?,
            Some(cluster) => {
                deps::programs(&["qemu-img"])?;
                let mut create = Command::new("qemu-img");
                command::output(create.args(["create", "-q", "-f", "qcow2", "-o", cluster]).arg(path).arg(DISK.to_string()))?;
            }
        }
        let options = [DiskOption::writable(path)];
        disk::check(&options)?;
        disk::prepare(&options)?.pop().context("a disk was asked for")
    }

    /// Looks for everything up to `acked` in the image; what is wrong with it, if something is.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn judge(self, image: &Path, journal: &Journal, acked: u64) -> Result<Option<String>> {
        if self == Self::Raw {
            return lost(image, journal, acked);
        }
        if let Some(complaint) = corrupt(image)? {
            return Ok(Some(complaint));
        }
        let raw = image.with_extension("raw-of-it");
        let mut convert = Command::new("qemu-img");
        command::output(convert.args(["convert", "-f", "qcow2", "-O", "raw"]).arg(image).arg(&raw))?;
        let found = lost(&raw, journal, acked);
        fs::remove_file(&raw)?;
        found
    }
}

/// What QEMU finds wrong with a qcow2 image, clusters apart that nobody uses: these may be lost with the power.
fn corrupt(image: &Path) -> Result<Option<String>> {
    let output = Command::new("qemu-img").args(["check", "-f", "qcow2"]).arg(image).output().context("cannot start qemu-img")?;
    // 0: it is well; 3: clusters are leaked, and that is all.
    Ok(match output.status.code() {
        Some(0 | 3) => None,
        _ => Some(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))),
    })
}

fn lost(raw: &Path, journal: &Journal, acked: u64) -> Result<Option<String>> {
    let disk = File::open(raw)?;
    let read = |slot: u64, record: &mut [u8; RECORD_BYTES]| disk.read_exact_at(record, slot * RECORD_BYTES as u64);
    let found = check(journal, acked, read)?;
    if found.there + found.overwritten + found.torn + found.lost < acked.min(journal.slots) {
        bail!("the check looked at too little: {found:?} of {acked} acknowledged");
    }
    Ok((found.lost > 0).then(|| format!("of {acked} acknowledged records {} are lost: {found:?}", found.lost)))
}
