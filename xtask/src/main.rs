//! Build, run, test, bench: the one entry for people and for CI.
//!
//! A person needs two commands, `cargo xtask run` and `cargo xtask test`, and CI runs the same second one: what is checked cannot
//! differ from what can be tried at home. Everything that has to be installed is installed from here, and said.

#![forbid(unsafe_code)]

mod apt;
mod archive;
mod bench;
mod bench_disk;
mod boot;
mod cli;
mod command;
mod compile;
mod debian;
mod debs;
mod deps;
mod disk;
mod guests;
mod powercut;
mod progress;
mod qcow2;
mod ramdisk;
mod run;
mod size;
mod test;
mod workspace;
mod xen;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Task};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // `run` promises that 1..=124 is the status of what ran inside; a failure of ours is therefore 125 there.
    let on_failure = if matches!(cli.task, Task::Run(_)) { domus_harness::STATUS_UNKNOWN } else { 1 };
    match dispatch(cli.task) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(on_failure)
        }
    }
}

fn dispatch(task: Task) -> anyhow::Result<u8> {
    let workspace = workspace::Workspace::find()?;
    match task {
        Task::Run(options) => run::run(&workspace, &options),
        Task::Test(options) => test::run(&workspace, &options),
        Task::Bench(options) => bench::run(&workspace, &options),
        Task::BenchDisk(options) => bench_disk::run(&workspace, &options),
        Task::Build => compile::everything(&workspace),
        Task::Image(options) => run::image(&workspace, &options),
        Task::Xen(options) => xen::run(&workspace, &options),
        Task::Debian(options) => debian::run(&workspace, &options),
        Task::PowerCut(options) => powercut::run(&workspace, &options),
    }
}
