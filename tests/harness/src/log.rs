//! Reads the hypervisor's log for the one thing that only it knows: how the run ended.
//!
//! The log's last line is `domus-exit: N`. *Last* is meant: a guest may get the hypervisor to log text of the guest's choosing, and a
//! line of that kind in the middle must not decide anything.

use crate::STATUS_UNKNOWN;

/// What the log says about the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The last line is `domus-exit: N`.
    Exit(u8),
    /// The hypervisor panicked.
    Panic,
    /// The log ends without a word.
    Missing,
}

impl Outcome {
    /// The exit status of the run; [`STATUS_UNKNOWN`] unless the hypervisor gave one.
    pub fn status(self) -> u8 {
        match self {
            Self::Exit(status) => status,
            Self::Panic | Self::Missing => STATUS_UNKNOWN,
        }
    }
}

/// The prefix of the log's last line.
const EXIT: &str = "domus-exit:";
/// Bytes kept of one line: a guest that never ends its line must not fill our memory.
const LONGEST_LINE: usize = 4096;

/// The log so far, reduced to what decides.
#[derive(Debug, Default)]
pub struct Log {
    line: Vec<u8>,
    last: String,
    panic: bool,
}

impl Log {
    /// Takes the next bytes, however they are cut.
    pub fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else if self.line.len() < LONGEST_LINE {
                self.line.push(byte);
            }
        }
    }

    /// How the run ended if no more bytes come. A line that was not ended counts for nothing: it may have been cut.
    pub fn outcome(&self) -> Outcome {
        if self.panic {
            return Outcome::Panic;
        }
        exit_status(&self.last).map_or(Outcome::Missing, Outcome::Exit)
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).trim().to_owned();
        self.line.clear();
        self.panic |= is_panic(&line);
        if !line.is_empty() {
            self.last = line;
        }
    }
}

/// Whether a line is the hypervisor's report of its own panic. `hypervisor panic:` opens the line or follows the time stamp; text that
/// comes from a guest is always quoted behind a domain's name, so it is not at either place.
pub fn is_panic(line: &str) -> bool {
    let line = line.trim_start();
    let line = match line.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(_, after)| after.trim_start()),
        None => line,
    };
    line.starts_with("hypervisor panic:")
}

/// The status in a `domus-exit: N` line.
fn exit_status(line: &str) -> Option<u8> {
    line.strip_prefix(EXIT)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> Outcome {
        let mut log = Log::default();
        for piece in text.as_bytes().chunks(3) {
            log.feed(piece);
        }
        log.outcome()
    }

    #[test]
    fn the_last_line_decides() {
        assert_eq!(outcome("[0.1] up\r\ndomus-exit: 3\r\n"), Outcome::Exit(3));
        assert_eq!(outcome("domus-exit: 0\n\n"), Outcome::Exit(0));
    }

    #[test]
    fn a_line_in_the_middle_does_not() {
        assert_eq!(outcome("domus-exit: 0\n[0.2] d1: more\n"), Outcome::Missing);
        assert_eq!(outcome("[0.1] d1 says domus-exit: 0\n"), Outcome::Missing);
        assert_eq!(outcome("(d1) domus-exit: 0\n"), Outcome::Missing);
        assert_eq!(outcome("(d1) hypervisor panic: no\ndomus-exit: 0\n"), Outcome::Exit(0));
    }

    #[test]
    fn nothing_is_not_success() {
        assert_eq!(outcome(""), Outcome::Missing);
        assert_eq!(outcome("").status(), 125);
        assert_eq!(outcome("domus-exit: \n"), Outcome::Missing);
        assert_eq!(outcome("domus-exit: 300\n"), Outcome::Missing);
        assert_eq!(outcome("domus-exit: 1"), Outcome::Missing, "cut: it may have been 12");
    }

    #[test]
    fn a_panic_wins_over_an_exit() {
        assert_eq!(outcome("[ 0.000123] hypervisor panic: oh\ndomus-exit: 0\n"), Outcome::Panic);
        assert_eq!(outcome("hypervisor panic: x.rs:3\n").status(), 125);
        assert_eq!(outcome("[0.1] d1: hypervisor panic:\ndomus-exit: 0\n"), Outcome::Exit(0));
    }

    #[test]
    fn an_endless_line_is_bounded() {
        let mut log = Log::default();
        for _ in 0..100 {
            log.feed(&[b'x'; 1000]);
        }
        assert!(log.line.len() <= LONGEST_LINE);
    }
}
