//! The table of all commands: what a row is. The rows are in [`shell`] and [`dom`].

mod disk;
mod dom;
mod shell;

use alloc::string::String;

use super::{build, matches::Matches, types::Command};

pub use disk::DISK;
pub use dom::{DOM, XENSTORE};
pub use shell::SHELL;

/// One command.
#[derive(Debug)]
pub struct Spec {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Options, `--help` aside.
    pub options: &'static [OptionSpec],
    /// Arguments, in order.
    pub arguments: &'static [Argument],
    /// A line that works.
    pub example: &'static str,
    /// Commands below this one; then it has neither options nor arguments.
    pub subcommands: &'static [Spec],
    /// Makes the typed command.
    pub build: fn(&Matches) -> Result<Command, String>,
}

/// One option.
#[derive(Debug)]
pub struct OptionSpec {
    /// The letter after one hyphen.
    pub short: Option<char>,
    /// The name with its two hyphens.
    pub long: &'static str,
    /// What its value is called; `None` for a switch.
    pub value: Option<&'static str>,
    /// Whether it may be given more than once.
    pub repeated: bool,
    /// What it does.
    pub about: &'static str,
}

/// One argument.
#[derive(Debug)]
pub struct Argument {
    /// What it is called.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Whether there may be several; only for the last.
    pub repeated: bool,
    /// What it is.
    pub about: &'static str,
}

pub(super) const fn switch(short: Option<char>, long: &'static str, about: &'static str) -> OptionSpec {
    OptionSpec { short, long, value: None, repeated: false, about }
}

pub(super) const fn value(long: &'static str, value: &'static str, about: &'static str) -> OptionSpec {
    OptionSpec { short: None, long, value: Some(value), repeated: false, about }
}

pub(super) const fn required(name: &'static str, about: &'static str) -> Argument {
    Argument { name, required: true, repeated: false, about }
}

pub(super) const fn optional(name: &'static str, about: &'static str) -> Argument {
    Argument { name, required: false, repeated: false, about }
}

pub(super) const fn many(name: &'static str, required: bool, about: &'static str) -> Argument {
    Argument { name, required, repeated: true, about }
}

pub(super) const PLAIN: Spec =
    Spec { name: "", about: "", options: &[], arguments: &[], example: "", subcommands: &[], build: build::nothing };
