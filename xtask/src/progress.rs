//! Tells the person at the terminal what takes so long. Everything goes to standard error.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Says what is about to happen.
pub fn say(what: &str) {
    eprintln!("xtask: {what}");
}

/// Does something silent that may take long, under a spinner on a terminal, under a plain line elsewhere.
///
/// # Errors
/// Those of `work`.
pub fn during<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if !std::io::stderr().is_terminal() {
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
