//! Makes a disk's file what it would be had the power failed at some point of its log. What was flushed is there; of what came after the last
//! flush each write may be there, or not, or in part, sector by sector: a disk with a volatile cache keeps its promises in no order.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::Result;

use super::chance::Chance;
use super::log::{Entry, Log};

/// A disk on its way through its log.
#[derive(Debug)]
pub struct Replay<'a> {
    log: &'a Log,
    /// The disk's file, as it was before the first entry.
    disk: &'a File,
    /// Entries before this one are on the disk for good.
    flushed: usize,
}

/// What a cut did, to be undone before the next one.
#[derive(Debug, Default)]
pub struct Undo(Vec<(u64, Vec<u8>)>);

impl<'a> Replay<'a> {
    /// Starts at the log's beginning.
    pub fn new(log: &'a Log, disk: &'a File) -> Self {
        Self { log, disk, flushed: 0 }
    }

    /// Cuts the power after `at` entries. Cuts come in order, and each is undone before the next.
    ///
    /// # Errors
    /// When the log cannot be read or the disk's file not be written.
    pub fn cut(&mut self, at: usize, chance: &mut Chance) -> Result<Undo> {
        let entries = self.log.entries.get(..at).unwrap_or(&self.log.entries);
        let flushed = entries.iter().rposition(|entry| *entry == Entry::Flush).unwrap_or(0).max(self.flushed);
        for &entry in entries.get(self.flushed..flushed).unwrap_or_default() {
            if let Some((offset, bytes)) = self.log.bytes(entry)? {
                self.disk.write_all_at(&bytes, offset)?;
            }
        }
        self.flushed = flushed;
        let mut undo = Undo::default();
        for &entry in entries.get(flushed..).unwrap_or_default() {
            self.maybe(entry, chance, &mut undo)?;
        }
        Ok(undo)
    }

    /// Writes what fate leaves of an entry.
    fn maybe(&self, entry: Entry, chance: &mut Chance, undo: &mut Undo) -> Result<()> {
        let fate = Fate::draw(chance);
        let Some((offset, bytes)) = self.log.bytes(entry)? else {
            return Ok(());
        };
        let (mut at, mut rest) = (offset, &bytes[..]);
        while !rest.is_empty() {
            let atom = (self.log.atom - at % self.log.atom).min(rest.len() as u64);
            let (now, later) = rest.split_at(atom as usize);
            if fate == Fate::Whole || fate == Fate::Torn && chance.below(2) == 0 {
                let mut old = vec![0; now.len()];
                self.disk.read_exact_at(&mut old, at)?;
                undo.0.push((at, old));
                self.disk.write_all_at(now, at)?;
            }
            (at, rest) = (at + atom, later);
        }
        Ok(())
    }
}

impl Undo {
    /// Makes the disk's file what it was before the cut. If somebody has written it since (`qemu-img check -r`), that is not noticed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn undo(self, disk: &File) -> Result<()> {
        self.0.into_iter().rev().try_for_each(|(offset, old)| Ok(disk.write_all_at(&old, offset)?))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Whole,
    Torn,
    Lost,
}

impl Fate {
    fn draw(chance: &mut Chance) -> Self {
        match chance.below(4) {
            0 | 1 => Self::Whole,
            2 => Self::Torn,
            _ => Self::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::{command, deps};

    /// Lets QEMU itself write a disk and its log.
    fn record(folder: &Path, commands: &[&str]) -> Log {
        deps::programs(&["qemu-io"]).unwrap();
        fs::write(folder.join("disk"), vec![0; 1 << 20]).unwrap();
        fs::write(folder.join("log"), []).unwrap();
        let name = |name: &str| folder.join(name).display().to_string();
        let mut io = Command::new("qemu-io");
        let (disk, log) = (name("disk"), name("log"));
        io.args(["--image-opts", &format!("driver=blklogwrites,file.driver=file,file.filename={disk},log.driver=file,log.filename={log}")]);
        io.args(commands.iter().flat_map(|command| ["-c", command]));
        command::output(&mut io).unwrap();
        Log::open(&folder.join("log")).unwrap()
    }

    #[test]
    fn what_was_flushed_survives_and_the_rest_may_not() {
        let folder = tempfile::tempdir().unwrap();
        let log = record(folder.path(), &["write -P 1 0 4k", "flush", "write -P 2 4k 64k", "write -z 0 512", "discard 1k 512", "flush"]);
        assert!(matches!(
            log.entries[..3],
            [Entry::Write { offset: 0, length: 4096, .. }, Entry::Flush, Entry::Write { offset: 4096, .. }]
        ));
        let path = folder.path().join("replayed");
        fs::write(&path, vec![0; 1 << 20]).unwrap();
        let disk = File::options().read(true).write(true).open(&path).unwrap();
        let mut replay = Replay::new(&log, &disk);
        let mut lost = 0;
        for seed in 0..40 {
            let undo = replay.cut(3, &mut Chance::new(seed)).unwrap();
            let bytes = fs::read(&path).unwrap();
            assert!(bytes[..4096].iter().all(|&byte| byte == 1), "flushed, so there");
            lost += bytes[4096..][..65536].iter().filter(|&&byte| byte == 0).count();
            undo.undo(&disk).unwrap();
            assert!(fs::read(&path).unwrap()[4096..].iter().all(|&byte| byte == 0), "as if it had not been");
        }
        assert!(lost > 40 * 65536 / 5 && lost < 40 * 65536 * 4 / 5 && lost.is_multiple_of(512), "{lost} bytes");
        replay.cut(log.entries.len(), &mut Chance::new(0)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), fs::read(folder.path().join("disk")).unwrap(), "all was flushed at the end");
    }

    #[test]
    fn a_disk_of_large_sectors_tears_nothing_within_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = record(folder.path(), &["write -P 2 1k 15k"]);
        log.atom = 4096;
        let path = folder.path().join("replayed");
        fs::write(&path, vec![0; 1 << 20]).unwrap();
        let disk = File::options().read(true).write(true).open(&path).unwrap();
        let mut torn = 0;
        for seed in 0..40 {
            let undo = Replay::new(&log, &disk).cut(1, &mut Chance::new(seed)).unwrap();
            let bytes = fs::read(&path).unwrap();
            let there: Vec<bool> = [1024, 4096, 8192, 12288].map(|at| bytes[at] == 2).into();
            for (sector, bytes) in bytes[..16384].chunks(4096).enumerate() {
                let bytes = if sector == 0 { &bytes[1024..] } else { bytes };
                assert!(bytes.iter().all(|&byte| (byte == 2) == there[sector]), "seed {seed}, sector {sector}");
            }
            torn += u32::from(there.contains(&true) && there.contains(&false));
            undo.undo(&disk).unwrap();
        }
        assert!(torn > 0, "between them it does");
    }

    #[test]
    fn a_log_that_was_cut_off_is_read_as_far_as_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let whole = record(folder.path(), &["write 0 4k", "flush", "write 0 4k", "write 4k 4k"]);
        let mut bytes = fs::read(folder.path().join("log")).unwrap();
        // As after the first flush: QEMU writes the number of entries with each.
        bytes[16] = 2;
        fs::write(folder.path().join("short"), &bytes[..bytes.len() - 512 * 9 - 1]).unwrap();
        let short = Log::open(&folder.path().join("short")).unwrap();
        assert!(short.entries.len() < whole.entries.len() && whole.entries.starts_with(&short.entries));
        fs::write(folder.path().join("none"), [0; 4096]).unwrap();
        assert!(Log::open(&folder.path().join("none")).unwrap_err().to_string().contains("no log of writes"));
    }
}
