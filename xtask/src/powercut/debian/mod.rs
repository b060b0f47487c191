//! A Debian guest under power cuts: its root is an overlay image, and what it does is `load.pl`. The host looks at the image after each cut, layer by
//! layer; from some of the cuts the guest itself starts again, and goes on until QEMU is killed under it.

mod files;
mod guest;
mod image;
mod parcel;
mod record;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use self::guest::{Disks, Guest};
use self::image::Images;
use self::record::Records;
use super::chance::Chance;
use super::cuts::{count, replay, said};
use super::log::{Entry, Log};
use super::replay::Replay;
use crate::progress::say;
use crate::workspace::Workspace;

/// Steps of the recorded run, and of each later one that is killed. Each installs a package at least once.
const STEPS: usize = 60;
const MORE_STEPS: usize = 26;
/// The proof that a loss would be noticed: of a disk that does one flush of so many, cut so often at most.
const LIE: usize = 10;
const LIES: u64 = 20;

/// The disk's sectors, as most have them. Of smaller ones ext4's superblock has two, and ext4 counts on both being written or none: it is not in the
/// journal. The kernel that writes a journal of its own is cut by sectors of 512 bytes.
const SECTOR: u64 = 4096;

/// What is needed.
#[derive(Debug)]
pub struct Debian {
    guest: Guest,
    images: Images,
}

/// One attempt: a folder, and what is in it.
struct Attempt<'a> {
    debian: &'a Debian,
    folder: &'a Path,
    /// Chooses the moments, and the load's contents.
    seed: u64,
    records: Records,
    goods: PathBuf,
}

impl Debian {
    /// Compiles and fetches it.
    ///
    /// # Errors
    /// When something cannot be had.
    pub fn prepare(workspace: &Workspace) -> Result<Self> {
        Ok(Self { guest: Guest::prepare(workspace)?, images: Images::prepare(workspace)? })
    }

    /// Records one run, cuts it `cuts` times, and boots from `boots` of the cuts; what was lost, if something was.
    ///
    /// # Errors
    /// When something cannot be done: among that is that the guest does not find what it should.
    pub fn cuts(&self, folder: &Path, seed: u64, cuts: u64, boots: u64) -> Result<Option<String>> {
        let attempt = Attempt::new(self, folder, seed)?;
        let (overlay, log) = (attempt.overlay("overlay.qcow2")?, folder.join("log"));
        let acked = attempt.load(&overlay, Some(&log), 0, STEPS)?;
        if let Some(complaint) = attempt.thorough(&overlay, acked)? {
            return Ok(Some(format!("QEMU was killed after {acked} steps (seed {seed}): {complaint}")));
        }
        let log = open(&log)?;
        let said = attempt.said(&log)?;
        let (writes, flushes) = (count(&log, |entry| matches!(entry, Entry::Write { .. })), count(&log, |entry| entry == Entry::Flush));
        say(&format!("debian: {acked} steps, {writes} writes, {flushes} flushes; {cuts} cuts, seed {seed}"));
        let lost = replay(&log, &said, &attempt.overlay("replayed.qcow2")?, seed, cuts, |image, acked| attempt.judge(image, acked))?;
        if lost.is_some() {
            return Ok(lost);
        }
        attempt.find_out_a_lie(log)?;
        attempt.boots(&folder.join("log"), boots)
    }

    /// Boots and kills `kills` times over one image, and boots once more; what was lost, if something was.
    ///
    /// # Errors
    /// As for cuts.
    pub fn kills(&self, folder: &Path, seed: u64, kills: u64) -> Result<Option<String>> {
        let attempt = Attempt::new(self, folder, seed)?;
        let overlay = attempt.overlay("overlay.qcow2")?;
        let mut acked = 0;
        for _ in 0..kills {
            let complaint;
            (acked, complaint) = attempt.go_on(&overlay, acked)?;
            if complaint.is_some() {
                return Ok(complaint);
            }
        }
        attempt.finish(&overlay, acked)
    }
}

impl<'a> Attempt<'a> {
    fn new(debian: &'a Debian, folder: &'a Path, seed: u64) -> Result<Self> {
        let goods = folder.join("goods.raw");
        guest::goods(&goods)?;
        Ok(Self { debian, folder, seed, records: Records { seed: seed as u32 >> 1 }, goods })
    }

    fn overlay(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        self.debian.images.make(&path)?;
        // The machine's disk has room to grow: so have the copies that the log is replayed onto.
        self.disks(&path, None).prepare()?;
        Ok(path)
    }

    fn disks<'b>(&'b self, overlay: &'b Path, log: Option<&'b Path>) -> Disks<'b> {
        Disks { base: &self.debian.images.base, overlay, log, goods: &self.goods }
    }

    fn load(&self, overlay: &Path, log: Option<&Path>, acked: u64, acks: usize) -> Result<u64> {
        let acked = self.debian.guest.load(self.folder, self.disks(overlay, log), self.records.seed, acked, acks)?;
        say(&format!("debian: killed after {acked} steps"));
        Ok(acked)
    }

    /// A record on its way to the disk proves that all steps before its own are acknowledged.
    fn said(&self, log: &Log) -> Result<Vec<u64>> {
        let finder = self.records.finder()?;
        said(log, |bytes| finder.highest(bytes)?.checked_sub(1))
    }

    fn judge(&self, image: &Path, acked: u64) -> Result<Option<String>> {
        Ok(match self.debian.images.open(image, self.folder)? {
            Ok(found) => files::check(self.records, &found, u32::try_from(acked)?),
            Err(complaint) => Some(complaint),
        })
    }

    /// Looks at every file of Debian besides.
    fn thorough(&self, image: &Path, acked: u64) -> Result<Option<String>> {
        if let Some(complaint) = self.judge(image, acked)? {
            return Ok(Some(complaint));
        }
        Ok(match self.debian.images.checksums(self.folder)? {
            Ok(files) => {
                ensure!(files > 1000, "only {files} files of Debian have checksums");
                None
            }
            Err(complaint) => Some(complaint),
        })
    }

    /// Replays the log of a disk that lies about its flushes. Some of its images must be damaged, or else lack what was acknowledged; the latter is
    /// what must be seen once, or this test would prove nothing of it.
    fn find_out_a_lie(&self, mut log: Log) -> Result<()> {
        log.lie(LIE);
        let (image, mut damaged) = (self.overlay("lied.qcow2")?, 0);
        let lost = replay(&log, &self.said(&log)?, &image, self.seed, LIES, |image, acked| {
            let found = self.debian.images.open(image, self.folder)?;
            damaged += u64::from(found.is_err());
            Ok(found.ok().and_then(|found| files::check(self.records, &found, acked as u32)))
        })?;
        let lost = lost.with_context(|| format!("a disk that does one flush of {LIE} was not found out: this test cannot fail"))?;
        say(&format!("debian: a disk that does one flush of {LIE}: {damaged} images are damaged, and then: {lost}"));
        fs::remove_file(&image).context("the image of the lie is gone")
    }

    /// Starts the guest from images as cuts in the later part of the log leave them, and each time kills QEMU under it; but the last time it ends
    /// in order.
    fn boots(&self, log: &Path, boots: u64) -> Result<Option<String>> {
        let log = open(log)?;
        let said = self.said(&log)?;
        let from = said.partition_point(|&acked| acked < STEPS as u64 / 2);
        for boot in 0..boots {
            let mut chance = Chance::of(self.seed, u64::MAX - boot);
            let at = from + usize::try_from(chance.below((said.len() - from) as u64))?;
            let image = self.overlay("booted.qcow2")?;
            Replay::new(&log, &fs::File::options().read(true).write(true).open(&image)?).cut(at, &mut chance)?;
            let acked = said.get(at).copied().context("a cut lies beyond the log")?;
            say(&format!("debian: boot {boot} of {boots}, from a cut after {at} requests and {acked} steps"));
            let complaint = if boot + 1 == boots { self.finish(&image, acked)? } else { self.go_on(&image, acked)?.1 };
            if let Some(complaint) = complaint {
                return Ok(Some(format!("booted from a cut after {at} requests and {acked} steps (seed {}): {complaint}", self.seed)));
            }
            fs::remove_file(&image)?;
        }
        Ok(None)
    }

    /// One start that ends with a kill: the last step that was acknowledged, and what is wrong then.
    fn go_on(&self, overlay: &Path, acked: u64) -> Result<(u64, Option<String>)> {
        let acked = self.load(overlay, None, acked, MORE_STEPS)?;
        let complaint = self.thorough(overlay, acked)?;
        Ok((acked, complaint.map(|complaint| format!("killed after {acked} steps (seed {}): {complaint}", self.seed))))
    }

    /// A last start, with all that a person would look at, and an end in order.
    fn finish(&self, overlay: &Path, acked: u64) -> Result<Option<String>> {
        self.debian.guest.finish(self.folder, self.disks(overlay, None), self.records.seed, acked, parcel::version(acked).max(1))?;
        let complaint = self.thorough(overlay, acked)?;
        Ok(complaint.map(|complaint| format!("shut down after {acked} steps (seed {}): {complaint}", self.seed)))
    }
}

/// The log of a disk of [`SECTOR`]s.
fn open(log: &Path) -> Result<Log> {
    let mut log = Log::open(log)?;
    log.atom = SECTOR;
    Ok(log)
}
