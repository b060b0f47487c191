//! Tells the person at the terminal what takes so long, and passes on what the programs that we start have to say. Everything goes to
//! standard error; in a thread under [`captured`] all but our own announcements is kept instead, since two at once could not be told apart.

use std::cell::RefCell;
use std::fs::File;
use std::io::{IsTerminal, Read, Seek, Write};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

thread_local! {
    /// Where this thread's words are kept, if they are: a file, for programs write there too.
    static KEPT: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Says what is about to happen, at once.
pub fn say(what: &str) {
    eprintln!("xtask: {what}");
}

/// Shows what belongs to a result: a console, a log.
pub fn show(text: &str) {
    let shown = KEPT.with_borrow_mut(|kept| kept.as_mut().map(|file| file.write_all(text.as_bytes())));
    if !matches!(shown, Some(Ok(()))) {
        eprint!("{text}");
    }
}

/// Where a program's words go that are not its result.
pub fn words() -> Stdio {
    let kept = KEPT.with_borrow(|kept| kept.as_ref().and_then(|file| file.try_clone().ok()));
    kept.map_or_else(|| std::io::stderr().into(), Into::into)
}

/// Whether what is said in this thread is kept.
pub fn is_captured() -> bool {
    KEPT.with_borrow(Option::is_some)
}

/// Does it, and gives what was said meanwhile by this thread and the programs that it started.
pub fn captured<T>(work: impl FnOnce() -> T) -> (T, String) {
    let Ok(file) = tempfile::tempfile() else {
        return (work(), String::new());
    };
    KEPT.set(Some(file));
    let result = work();
    let mut said = Vec::new();
    if let Some(mut file) = KEPT.take()
        && file.rewind().and_then(|()| file.read_to_end(&mut said)).is_err()
    {
        say("what was said meanwhile cannot be read again");
    }
    (result, String::from_utf8_lossy(&said).into_owned())
}

/// Does something silent that may take long, under a spinner on a terminal, under a plain line elsewhere and beside others.
///
/// # Errors
/// Those of `work`.
pub fn during<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if !std::io::stderr().is_terminal() || is_captured() {
        say(what);
        return work();
    }
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("xtask: {msg} {spinner} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    let result = work();
    bar.finish_and_clear();
    say(&format!("{what}: {}", if result.is_ok() { "done" } else { "failed" }));
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command;
    use std::process::Command;

    #[test]
    fn programs_and_we_are_kept_in_order() {
        let ((), said) = captured(|| {
            show("one\n");
            command::run(Command::new("sh").args(["-c", "echo two; echo three >&2"])).unwrap();
            show("four\n");
        });
        assert_eq!(said, "one\ntwo\nthree\nfour\n");
        let ((), said) = captured(|| ());
        assert_eq!(said, "", "what was said before is gone");
    }

    #[test]
    fn each_thread_has_its_own() {
        let ((), said) = captured(|| {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| captured(|| show("theirs")).1).join().unwrap();
                assert_eq!(other, "theirs");
            });
            show("ours");
        });
        assert_eq!(said, "ours");
    }
}
