//! `journal`: looks on the host for what a guest has said is durable, and can play the guest on a file.
#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::process::ExitCode;

use domus_journal::{Check, Found, Journal, RECORD_BYTES, check, write};

const USAGE: &str = "\
usage: journal check FILE ACKED [--seed N] [--slots N]
       journal write FILE FIRST LAST [--seed N] [--slots N]

check: every record from 1 to ACKED must be in FILE, the raw bytes of the disk that domu-blk-journal has written. A qcow2 file is made raw first:
    qemu-img convert -O raw disk.qcow2 disk.raw && journal check disk.raw 1234
The status is 0 if all are there, 1 if one is lost, 2 if FILE cannot be read.

write: writes the records FIRST to LAST to FILE, as the guest does.

--seed N     the guest's seed= (1)
--slots N    the guest's slots=, if the disk has grown since (all of FILE)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = parse(&arguments).and_then(|command| command.run().map_err(|error| format!("{}: {error}", command.file)));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("journal: {message}");
            ExitCode::from(2)
        }
    }
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
struct Command {
    file: String,
    action: Action,
    seed: u64,
    slots: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Action {
    Check { acked: u64 },
    Write { first: u64, last: u64 },
}

fn parse(arguments: &[String]) -> Result<Command, String> {
    let (mut words, mut seed, mut slots) = (Vec::new(), 1, None);
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        match word {
            "--help" | "-h" => return Err(USAGE.into()),
            "--seed" => seed = number(word, rest.next())?,
            "--slots" => slots = Some(number(word, rest.next())?).filter(|&slots| slots > 0),
            _ => words.push(word),
        }
    }
    let (file, action) = match words[..] {
        ["check", file, acked] => (file, Action::Check { acked: number("ACKED", Some(acked))? }),
        ["write", file, first, last] => {
            (file, Action::Write { first: number("FIRST", Some(first))?.max(1), last: number("LAST", Some(last))? })
        }
        _ => return Err(USAGE.into()),
    };
    Ok(Command { file: file.into(), action, seed, slots })
}

fn number(what: &str, text: Option<&str>) -> Result<u64, String> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| format!("{what}: a number is needed, not {:?}", text.unwrap_or("nothing")))
}

impl Command {
    /// Whether nothing is lost.
    fn run(&self) -> io::Result<bool> {
        let writes = matches!(self.action, Action::Write { .. });
        let mut file = OpenOptions::new().read(true).write(writes).open(&self.file)?;
        let journal = self.journal(file.seek(SeekFrom::End(0))?)?;
        match self.action {
            Action::Check { acked } => {
                let result = check(&journal, acked, |slot, record| {
                    at(&mut file, slot)?;
                    file.read_exact(record)
                })?;
                println!("{}", describe(&result, acked));
                Ok(result.lost == 0)
            }
            Action::Write { first, last } => {
                for number in first..=last {
                    let mut record = [0; RECORD_BYTES];
                    write(&journal, number, &mut record);
                    at(&mut file, journal.slot(number))?;
                    file.write_all(&record)?;
                }
                Ok(true)
            }
        }
    }

    fn journal(&self, bytes: u64) -> io::Result<Journal> {
        let whole = Journal::new(self.seed, bytes).ok_or_else(|| io::Error::other("not even one record of 4 KiB fits"))?;
        let slots = self.slots.unwrap_or(whole.slots);
        if slots > whole.slots {
            return Err(io::Error::other(format!("{slots} slots do not fit: it has {}", whole.slots)));
        }
        Ok(Journal { slots, ..whole })
    }
}

fn at(file: &mut File, slot: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(slot * RECORD_BYTES as u64)).map(|_| ())
}

fn describe(result: &Check, acked: u64) -> String {
    let Check { there, overwritten, torn, lost, first_lost } = result;
    let mut text =
        format!("{acked} acknowledged: {there} there, {overwritten} overwritten later, {torn} in the middle of that, {lost} lost");
    if let Some((number, found)) = first_lost {
        let found = match found {
            Found::Nothing => "nothing".into(),
            Found::Damaged => "a damaged record".into(),
            Found::Record(other) => format!("record {other}"),
        };
        text += &format!("; the first is {number}, in its place is {found}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn commands_are_understood() {
        let check = parsed("check a.raw 17 --seed 5").unwrap();
        assert_eq!(check, Command { file: "a.raw".into(), action: Action::Check { acked: 17 }, seed: 5, slots: None });
        assert_eq!(parsed("write --slots 9 a.raw 1 2").unwrap().slots, Some(9));
        for wrong in ["", "check", "check a.raw", "check a.raw x", "check a.raw 1 2 3", "check a.raw 1 --seed", "--help"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_is_written_and_checked() {
        let path = std::env::temp_dir().join(format!("domus-journal-{}", std::process::id()));
        std::fs::write(&path, vec![0; 64 * RECORD_BYTES]).unwrap();
        let file = path.to_str().unwrap();
        assert!(parsed(&format!("write {file} 1 50")).unwrap().run().unwrap());
        assert!(parsed(&format!("check {file} 50")).unwrap().run().unwrap());
        assert!(!parsed(&format!("check {file} 51")).unwrap().run().unwrap());
        assert!(parsed(&format!("check {file} 50 --slots 65")).unwrap().run().is_err());
        std::fs::remove_file(path).unwrap();
    }
}
