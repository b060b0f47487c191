//! The power cuts proper: one run whose disk keeps a log, and then any number of moments at which the power might have failed. Killing QEMU
//! alone loses nothing that the disk had been told: the host's page cache outlives it.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use domus_journal::{Journal, RECORD_BYTES, State, inspect};

use super::chance::Chance;
use super::format::Format;
use super::load::{Load, Run, journal};
use super::log::{Entry, Log};
use super::replay::Replay;
use crate::progress::say;

/// Acknowledgements of the recorded run.
const ACKS: usize = 400;

/// Records one run and cuts it `cuts` times; what was lost, if something was.
///
/// # Errors
/// When the run or the replay cannot be done.
pub fn run(load: &Load, folder: &Path, format: Format, seed: u64, cuts: u64) -> Result<Option<String>> {
    let (disk, log) = (folder.join("disk"), folder.join("log"));
    let mut made = format.make(&disk)?;
    File::create(&log)?;
    made.log = Some(log.clone());
    let acks = load.run(folder, made, format, Run { seed, acked: 0, acks: ACKS, later: Duration::ZERO })?;
    let log = Log::open(&log)?;
    let replayed = folder.join("replayed");
    format.make(&replayed)?;
    let said = said(&log, proves(journal(seed), &acks))?;
    let (writes, flushes) = (count(&log, |entry| matches!(entry, Entry::Write { .. })), count(&log, |entry| entry == Entry::Flush));
    say(&format!("{}: {} acknowledgements, {writes} writes, {flushes} flushes; {cuts} cuts, seed {seed}", format.name(), acks.len()));
    ensure!(flushes >= acks.len() / 2, "{flushes} flushes reached the disk, for {} acknowledgements", acks.len());
    replay(&log, &said, &replayed, seed, cuts, |image, acked| format.judge(image, &journal(seed), acked))
}

pub fn count(log: &Log, wanted: impl Fn(Entry) -> bool) -> usize {
    log.entries.iter().filter(|&&entry| wanted(entry)).count()
}

/// What a write of the journal proves to be acknowledged: the guest writes a record only when all before its batch are, so a record on its
/// way to the disk proves all acknowledgements of lower numbers.
fn proves(journal: Journal, acks: &[u64]) -> impl Fn(&[u8]) -> Option<u64> {
    move |bytes| {
        let (slots, _) = bytes.as_chunks::<RECORD_BYTES>();
        let records = slots.iter().filter_map(|slot| match inspect(&journal, slot) {
            State::Record(number) => Some(number),
            State::Damaged | State::Other => None,
        });
        let number = records.max()?;
        acks[..acks.partition_point(|&ack| ack < number)].last().copied()
    }
}

/// What the guest had been promised before each entry of the log was completed, and at its end, by what its writes prove.
///
/// # Errors
/// When the log cannot be read, or proves nothing.
pub fn said(log: &Log, proves: impl Fn(&[u8]) -> Option<u64>) -> Result<Vec<u64>> {
    let (mut said, mut latest) = (Vec::with_capacity(log.entries.len() + 1), 0);
    for &entry in &log.entries {
        said.push(latest);
        if let (Entry::Write { .. }, Some((_, bytes))) = (entry, log.bytes(entry)?) {
            latest = latest.max(proves(&bytes).unwrap_or(0));
        }
    }
    said.push(latest);
    ensure!(latest > 0, "no record was found in the log of writes");
    Ok(said)
}

/// Cuts the power at random moments of the log, and lets `judge` look at the image and for what was acknowledged by then; its first
/// complaint. The image is as it was before the log.
///
/// # Errors
/// When the replay or the judge cannot do its work.
pub fn replay(
    log: &Log,
    said: &[u64],
    image: &Path,
    seed: u64,
    cuts: u64,
    mut judge: impl FnMut(&Path, u64) -> Result<Option<String>>,
) -> Result<Option<String>> {
    let disk = File::options().read(true).write(true).open(image)?;
    let mut replay = Replay::new(log, &disk);
    let mut chance = Chance::new(seed);
    let mut moments: Vec<usize> = Vec::new();
    for _ in 0..cuts {
        moments.push(usize::try_from(chance.below(said.len() as u64))?);
    }
    moments.sort_unstable();
    for (index, at) in moments.into_iter().enumerate() {
        let undo = replay.cut(at, &mut Chance::of(seed, index as u64))?;
        let acked = *said.get(at).context("a cut lies beyond the log")?;
        if let Some(complaint) = judge(image, acked)? {
            return Ok(Some(format!("cut {index} of {cuts}, after {at} requests (seed {seed}): {complaint}")));
        }
        undo.undo(&disk)?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domus_journal::write;
    use std::fs;
    use std::os::unix::fs::FileExt;
    use std::process::Command;

    use crate::command;

    /// A disk's log in which batches of records are written; a flush is left out after the batches in `unflushed`.
    fn logged(folder: &Path, seed: u64, batches: &[u64], unflushed: &[u64]) -> Log {
        let path = folder.join("log");
        let file = File::create(&path).unwrap();
        let mut at = 512;
        let mut entry = |offset: u64, flags: u64, data: &[u8]| {
            let head = [offset / 512, data.len() as u64 / 512, flags, 0].map(u64::to_le_bytes).concat();
            file.write_all_at(&head, at).unwrap();
            file.write_all_at(data, at + 512).unwrap();
            at += 512 + data.len() as u64;
            file.set_len(at).unwrap();
        };
        let mut next = 1;
        for &last in batches {
            for number in next..=last {
                let mut record = [0; RECORD_BYTES];
                write(&journal(seed), number, &mut record);
                entry(journal(seed).slot(number) * RECORD_BYTES as u64, 0, &record);
            }
            if !unflushed.contains(&last) {
                entry(0, 1, &[]);
            }
            next = last + 1;
        }
        let head = [0x6a_7366_7773_6872u64, 1, 0, 512].map(u64::to_le_bytes).concat();
        file.write_all_at(&head, 0).unwrap();
        Log::open(&path).unwrap()
    }

    fn verdict(unflushed: &[u64]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let batches: Vec<u64> = (1..40).map(|batch| batch * 5).collect();
        let log = logged(folder.path(), 9, &batches, unflushed);
        let said = said(&log, proves(journal(9), &batches)).unwrap();
        assert_eq!(said.last(), Some(&190), "the last batch's own acknowledgement is proved by nothing");
        let image = folder.path().join("image");
        Format::Raw.make(&image).unwrap();
        let verdict = replay(&log, &said, &image, 9, 100, |image, acked| Format::Raw.judge(image, &journal(9), acked)).unwrap();
        assert!(fs::metadata(&image).unwrap().len() == super::super::load::DISK);
        verdict
    }

    /// QEMU's own writer of qcow2 passes: so what does not pass is the writer's fault, not the judge's.
    #[test]
    fn an_image_that_qemu_writes_keeps_what_was_promised() {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(name).display().to_string();
        let (disk, log, record) = (name("disk"), name("log"), name("record"));
        Format::Qcow2Small.make(disk.as_ref()).unwrap();
        fs::write(&log, []).unwrap();
        crate::deps::programs(&["qemu-io"]).unwrap();
        let mut io = Command::new("qemu-io");
        io.args(["--image-opts", &format!("driver=qcow2,file.driver=blklogwrites,file.file.driver=file,file.file.filename={disk},file.log.driver=file,file.log.filename={log}")]);
        let acks: Vec<u64> = (1..30).map(|batch| batch * 3).collect();
        for number in 1..88 {
            let mut bytes = [0; RECORD_BYTES];
            write(&journal(4), number, &mut bytes);
            let record = format!("{record}{number}");
            fs::write(&record, bytes).unwrap();
            io.args(["-c", &format!("write -q -s {record} {} 4k", journal(4).slot(number) * RECORD_BYTES as u64)]);
            if acks.contains(&number) {
                io.args(["-c", "flush"]);
            }
        }
        command::output(&mut io).unwrap();
        let log = Log::open(log.as_ref()).unwrap();
        let said = said(&log, proves(journal(4), &acks)).unwrap();
        assert_eq!(said.last(), Some(&84));
        let image = folder.path().join("replayed");
        Format::Qcow2Small.make(&image).unwrap();
        let judge = |image: &Path, acked| Format::Qcow2Small.judge(image, &journal(4), acked);
        assert_eq!(replay(&log, &said, &image, 4, 30, judge).unwrap(), None);
    }

    #[test]
    fn flushes_keep_what_was_promised() {
        assert_eq!(verdict(&[]), None);
    }

    #[test]
    fn a_flush_that_was_only_pretended_is_found_out() {
        let complaint = verdict(&(1..40).map(|batch| batch * 5).filter(|last| last % 15 == 0).collect::<Vec<_>>()).unwrap();
        assert!(complaint.contains("are lost") && complaint.contains("seed 9"), "{complaint}");
    }
}
