//! `cargo xtask test`: everything that CI checks, as a list of named steps.
//!
//! A step succeeds, fails, or is skipped for a reason that it names; a step that cannot tell is a failure. The last line is
//! `N passed, N failed, N skipped`, alone on its line, for people and programs alike. Where there are two processors, two lanes of steps run.

mod compare;
mod disks;
mod docs;
mod kernels;
mod lanes;
mod miri;
mod mutations;
mod report;
mod sessions;
mod source;
mod suite;

use std::thread::available_parallelism;

use anyhow::Result;

use crate::cli;
use crate::workspace::Workspace;
use lanes::{Group, Place};
use report::Report;
use suite::Suite;

/// Runs all steps, or those whose names contain one of the filters.
///
/// # Errors
/// Only when the list itself cannot be made: a step's own trouble is a failed step.
pub fn run(workspace: &Workspace, options: &cli::Test) -> Result<u8> {
    let report = Report::default();
    let jobs = options.jobs.or_else(|| available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let jobs = if options.list { 1 } else { jobs };
    lanes::run(groups(workspace), jobs, || Suite::new(options, &report, jobs > 1));
    if options.list && !report.has_failures() {
        return Ok(0);
    }
    Ok(report.finish())
}

/// All steps. What takes long comes first in its place, what is short last ([`lanes::run`] says why).
fn groups(workspace: &Workspace) -> Vec<Group<'_>> {
    let group = |name, place, steps: fn(&Workspace, &mut Suite<'_>)| Group::new(name, place, move |suite| steps(workspace, suite));
    vec![
        group("source", Place::Host, source::steps),
        group("docs", Place::Host, docs::steps),
        group("kernels", Place::Machine, kernels::steps),
        group("examples", Place::Machine, compare::steps),
        group("sessions", Place::Machine, sessions::steps),
        group("disks", Place::Machine, disks::steps),
        group("mutations", Place::Host, mutations::steps),
        group("miri", Place::Host, miri::steps),
    ]
}
