//! What a test kernel says about itself.
//!
//! A test kernel prints lines `domus-test: success`, `domus-test: skip REASON`, `domus-test: error REASON` or
//! `domus-test: failure REASON`. The worst one wins, and a kernel that prints none did not test anything: that is an error.

use std::fmt;

/// The result of one test kernel, from best to worst (the order matters: the worst wins).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It checked what it came for.
    Success,
    /// It could not check here, for a reason that is nobody's fault.
    Skip(String),
    /// The test itself went wrong: nothing is known about its subject.
    Error(String),
    /// Its subject did something wrong.
    Failure(String),
}

const PREFIX: &str = "domus-test:";

/// The verdict of a kernel, from what it printed.
pub fn verdict(console: &str) -> Verdict {
    console.lines().filter_map(line).max().unwrap_or_else(|| Verdict::Error("the kernel gave no verdict".into()))
}

fn line(line: &str) -> Option<Verdict> {
    let rest = line.trim().strip_prefix(PREFIX)?.trim();
    let (word, reason) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let reason = reason.trim().to_owned();
    Some(match word {
        "success" => Verdict::Success,
        "skip" => Verdict::Skip(reason),
        "error" => Verdict::Error(reason),
        "failure" => Verdict::Failure(reason),
        _ => Verdict::Error(format!("unknown verdict in {line:?}")),
    })
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, reason) = match self {
            Self::Success => ("success", ""),
            Self::Skip(reason) => ("skip", reason.as_str()),
            Self::Error(reason) => ("error", reason.as_str()),
            Self::Failure(reason) => ("failure", reason.as_str()),
        };
        if reason.is_empty() { f.write_str(word) } else { write!(f, "{word}: {reason}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_wins() {
        let console = "domus-test: success\ndomus-test: failure 2 is not 3\r\ndomus-test: skip later\n";
        assert_eq!(verdict(console), Verdict::Failure("2 is not 3".into()));
        assert_eq!(verdict("domus-test: skip no xenstore\ndomus-test: success"), Verdict::Skip("no xenstore".into()));
    }

    #[test]
    fn silence_is_an_error() {
        assert!(matches!(verdict("hello\n"), Verdict::Error(_)));
    }

    #[test]
    fn a_word_nobody_knows_is_an_error() {
        assert!(matches!(verdict("domus-test: succes\ndomus-test: success"), Verdict::Error(_)));
    }
}
