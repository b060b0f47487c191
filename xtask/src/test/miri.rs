//! Miri: some tests again, interpreted, so that an access outside an object, a misaligned one or a broken rule of aliasing shows even where the
//! processor does not mind.
//!
//! The SDK's rings come first: unsafe code on pages that a hostile end writes to. Of the pure crates it runs what is quick. Miri needs a nightly
//! compiler; where that cannot be had, the step is skipped and says so.

use std::process::Command;

use anyhow::Result;
use domus_harness::verdict::Verdict;

use super::suite::Suite;
use crate::progress::say;
use crate::workspace::Workspace;
use crate::{command, deps};

/// Seconds for one run, building the standard library for Miri included. A minute is usual; the rest is for slow machines.
const PATIENCE: u32 = 600;

/// What is run: the arguments of `cargo miri test`.
const RUNS: [(&str, &[&str]); 4] = [
    // What is unsafe in the block front end is pages and buffers; the rest of its tests is long, and the host runs it.
    (
        "miri/block",
        &[
            "-p",
            "pv-guest-sdk",
            "--no-default-features",
            "--features",
            "block",
            "--test",
            "block",
            "--",
            "hostile",
            "own_buffers",
            "whoever_drops",
        ],
    ),
    ("miri/sdk", &["-p", "pv-guest-sdk", "--no-default-features", "--test", "rings"]),
    ("miri/abi", &["-p", "domus-abi", "--tests"]),
    // Its other tests take Miri minutes: they clear the memory of a whole machine, or run random operations by the thousand.
    ("miri/core", &["-p", "domus-hv-core", "--lib", "--", "frames::clock", "console", "context", "firmware"]),
];

/// Adds the steps.
pub fn steps(workspace: &Workspace, suite: &mut Suite<'_>) {
    for (name, arguments) in RUNS {
        suite.step(name, || {
            if let Err(error) = available() {
                return Ok(Verdict::Skip(format!("no Miri here: {error:#}")));
            }
            run(workspace, arguments)
        });
    }
}

/// Installs Miri if it is missing. rustup brings a nightly compiler for it, beside the one that builds Domus.
fn available() -> Result<()> {
    let there = || command::output(nightly().args(["cargo", "miri", "--version"])).is_ok();
    deps::ensure(there, || {
        say("adding a nightly compiler with Miri");
        let install = ["toolchain", "install", "nightly", "--profile", "minimal", "--component", "miri", "--component", "rust-src"];
        command::run(Command::new("rustup").args(install))
    })
}

fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly"]);
    command
}

fn run(workspace: &Workspace, arguments: &[&str]) -> Result<Verdict> {
    let mut miri = Command::new("timeout");
    miri.arg(PATIENCE.to_string()).args(["rustup", "run", "nightly", "cargo", "miri", "test", "--quiet", "--target-dir"]);
    miri.arg(workspace.build("miri")).args(arguments).current_dir(&workspace.root);
    // The machine on the host lives as long as the process: what it leaks is no fault.
    miri.env("MIRIFLAGS", "-Zmiri-ignore-leaks");
    Ok(match command::run(&mut miri) {
        Ok(()) => Verdict::Success,
        Err(error) => Verdict::Failure(format!("{error:#}")),
    })
}
