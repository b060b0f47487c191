//! What can be typed at Dom0's prompt: one table, from which the parser, `--help`, `help` and completion are made, and from which the
//! host's `dom` makes its own.
//!
//! [`parse`] turns a line into a [`Command`]; carrying it out is the kernel's.

mod block;
mod build;
mod build_disk;
mod disk;
mod help;
mod matches;
mod table;
mod types;

#[cfg(test)]
mod tests;

use alloc::{format, string::String, vec::Vec};
use core::fmt;

pub use block::Block;
pub use disk::{DiskCommand, NewSize, SnapshotAction};
pub use help::{help, overview};
pub use table::{Argument, DISK, DOM, OptionSpec, SHELL, Spec, XENSTORE};
pub use types::{Command, Dom, DomainRef, Invocation, Mount, Xenstore};

use crate::nearest::nearest;

/// A line that is no command: what is wrong, and how it is done right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    /// What is wrong.
    pub message: String,
    /// The usage line of the command, or where to look.
    pub hint: String,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.message, self.hint)
    }
}

impl core::error::Error for UsageError {}

/// Splits a line into words with POSIX quoting; nothing is expanded.
pub fn split(line: &str) -> Result<Vec<String>, UsageError> {
    shlex::split(line).ok_or_else(|| UsageError {
        message: String::from("a quote is not closed, or the line ends with a backslash"),
        hint: String::from("close it, or put a backslash before a quote that is meant as it stands"),
    })
}

/// Parses a line of Dom0's shell. `None` for a line without words.
pub fn parse(line: &str) -> Result<Option<Invocation>, UsageError> {
    let words = split(line)?;
    if words.is_empty() { Ok(None) } else { parse_words(SHELL, "", &words).map(Some) }
}

/// Parses words against one of the tables; `prefix` is what stood before, such as `dom `.
pub fn parse_words(table: &'static [Spec], prefix: &str, words: &[String]) -> Result<Invocation, UsageError> {
    let Some((name, rest)) = words.split_first() else {
        return Ok(Invocation::Help(overview(table, prefix)));
    };
    if matches!(name.as_str(), "--help" | "-h") {
        return Ok(Invocation::Help(overview(table, prefix)));
    }
    let spec = table.iter().find(|s| s.name == name).ok_or_else(|| unknown(table, prefix, name))?;
    if spec.name == "help" && !rest.first().is_some_and(|word| word.starts_with('-')) {
        return explain(table, prefix, rest).map(Invocation::Help);
    }
    if !spec.subcommands.is_empty() {
        return parse_words(spec.subcommands, &format!("{prefix}{name} "), rest);
    }
    let usage_error = |message| UsageError { message, hint: format!("usage: {}", help::usage(spec, prefix)) };
    let matches = matches::scan(spec, rest).map_err(usage_error)?;
    if matches.help {
        return Ok(Invocation::Help(help(spec, prefix)));
    }
    (spec.build)(&matches).map(Invocation::Run).map_err(usage_error)
}

/// What `help WORDS...` prints.
fn explain(table: &'static [Spec], prefix: &str, words: &[String]) -> Result<String, UsageError> {
    let Some((name, rest)) = words.split_first() else {
        return Ok(overview(table, prefix));
    };
    let spec = table.iter().find(|s| s.name == name).ok_or_else(|| unknown(table, prefix, name))?;
    if spec.subcommands.is_empty() || rest.is_empty() {
        return Ok(help(spec, prefix));
    }
    explain(spec.subcommands, &format!("{prefix}{name} "), rest)
}

/// What may follow an unfinished word: names of commands, subcommands and options.
pub fn complete(line: &str) -> Vec<&'static str> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let unfinished = if line.ends_with(char::is_whitespace) { "" } else { words.pop().unwrap_or("") };
    let (mut table, mut options): (&[Spec], &[OptionSpec]) = (SHELL, &[]);
    for word in words {
        let Some(spec) = table.iter().find(|s| s.name == word) else {
            continue;
        };
        (table, options) = (spec.subcommands, spec.options);
    }
    let names = table.iter().map(|s| s.name).chain(options.iter().map(|o| o.long));
    names.filter(|name| name.starts_with(unfinished)).collect()
}

fn unknown(table: &'static [Spec], prefix: &str, name: &str) -> UsageError {
    let hint = match nearest(name, table.iter().map(|s| s.name)) {
        Some(near) => format!("did you mean `{prefix}{near}`? `{prefix}help` lists all commands"),
        None => format!("`{prefix}help` lists all commands"),
    };
    UsageError { message: format!("{prefix}{name}: no such command"), hint }
}
