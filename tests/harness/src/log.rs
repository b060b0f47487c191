//! Reads the hypervisor's log for the one thing that only it knows: how the run ended.
//!
//! The log's last line is `domus-exit: N`. *Last* is meant: a guest may get the hypervisor to log text of the guest's choosing, and a
//! line of that kind in the middle must not decide anything.

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
    /// The exit status of the run; [`crate::STATUS_UNKNOWN`] unless the hypervisor gave one.
    pub fn status(self) -> u8 {
        match self {
            Self::Exit(status) => status,
            Self::Panic | Self::Missing => crate::STATUS_UNKNOWN,
        }
    }
}

/// The prefix of the log's last line.
const EXIT: &str = "domus-exit:";

/// How the run ended, from the whole log.
pub fn outcome(log: &[u8]) -> Outcome {
    let log = String::from_utf8_lossy(log);
    if log.lines().any(is_panic) {
        return Outcome::Panic;
    }
    let last = log.lines().map(str::trim).rfind(|line| !line.is_empty());
    match last.and_then(exit_status) {
        Some(status) => Outcome::Exit(status),
        None => Outcome::Missing,
    }
}

/// Whether a line is the hypervisor's report of its own panic. `DOMUS PANIC` opens the line or follows the time stamp; text that
/// comes from a guest is always quoted behind a domain's name, so it is not at either place.
pub fn is_panic(line: &str) -> bool {
    let line = line.trim_start();
    let line = match line.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .map_or(rest, |(_, after)| after.trim_start()),
        None => line,
    };
    line.starts_with("DOMUS PANIC")
}

/// The status in a `domus-exit: N` line.
pub fn exit_status(line: &str) -> Option<u8> {
    line.trim().strip_prefix(EXIT)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_decides() {
        assert_eq!(outcome(b"[0.1] up\r\ndomus-exit: 3\r\n"), Outcome::Exit(3));
        assert_eq!(outcome(b"domus-exit: 0\n\n"), Outcome::Exit(0));
    }

    #[test]
    fn a_line_in_the_middle_does_not() {
        assert_eq!(
            outcome(b"domus-exit: 0\n[0.2] d1: more\n"),
            Outcome::Missing
        );
        assert_eq!(outcome(b"[0.1] d1 says domus-exit: 0\n"), Outcome::Missing);
    }

    #[test]
    fn nothing_is_not_success() {
        assert_eq!(outcome(b""), Outcome::Missing);
        assert_eq!(outcome(b"").status(), 125);
        assert_eq!(outcome(b"domus-exit: \n"), Outcome::Missing);
        assert_eq!(outcome(b"domus-exit: 300\n"), Outcome::Missing);
    }

    #[test]
    fn a_panic_wins_over_an_exit() {
        assert_eq!(
            outcome(b"[ 0.000123] DOMUS PANIC: oh\ndomus-exit: 0\n"),
            Outcome::Panic
        );
        assert_eq!(outcome(b"DOMUS PANIC at x.rs:3\n").status(), 125);
        assert_eq!(
            outcome(b"[0.1] d1: DOMUS PANIC\ndomus-exit: 0\n"),
            Outcome::Exit(0)
        );
    }
}
