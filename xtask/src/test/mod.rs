//! `cargo xtask test`: everything that CI checks, as a list of named steps.
//!
//! A step succeeds, fails, or is skipped for a reason that it names; a step that cannot tell is a failure. The last line is
//! `N passed, N failed, N skipped`, alone on its line, for people and programs alike.

mod compare;
mod disks;
mod docs;
mod kernels;
mod miri;
mod mutations;
mod sessions;
mod source;
mod suite;

use anyhow::Result;

use crate::cli;
use crate::workspace::Workspace;
use suite::Suite;

/// Runs all steps, or those whose names contain one of the filters.
///
/// # Errors
/// Only when the list itself cannot be made: a step's own trouble is a failed step.
pub fn run(workspace: &Workspace, options: &cli::Test) -> Result<u8> {
    let mut suite = Suite::new(options);
    source::steps(workspace, &mut suite);
    docs::steps(workspace, &mut suite);
    kernels::steps(workspace, &mut suite);
    compare::steps(workspace, &mut suite);
    sessions::steps(workspace, &mut suite);
    disks::steps(workspace, &mut suite);
    mutations::steps(workspace, &mut suite);
    miri::steps(workspace, &mut suite);
    Ok(suite.finish())
}
