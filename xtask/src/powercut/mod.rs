//! Cuts a machine's power at random moments, and looks for what its guest had been promised.
//!
//! The guest writes a journal ([`domus_journal`]) and flushes; once a flush is acknowledged, the records before it must survive. Two ways to cut:
//! [`cuts`] replays the log of what the disk was told to any moment, with what was not flushed lost at random; [`kills`] kills QEMU itself.

mod chance;
mod cuts;
mod format;
mod kills;
mod load;
mod log;
mod replay;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

pub use format::Format;
pub use load::Load;

use crate::cli;
use crate::progress::say;
use crate::workspace::{Workspace, temporary};

/// How the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Replayed from a log.
    Cuts,
    /// By killing QEMU.
    Kills,
}

/// `cargo xtask powercut`.
///
/// # Errors
/// When the machine cannot be run.
pub fn run(workspace: &Workspace, options: &cli::PowerCut) -> Result<u8> {
    let load = Load::prepare(workspace)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let seed = options.seed.unwrap_or(now);
    let formats = if options.format.is_empty() { Format::ALL.to_vec() } else { options.format.clone() };
    let mut failed = false;
    for format in formats {
        for (way, what, times) in [(Way::Cuts, "cuts", options.cuts), (Way::Kills, "kills", options.kills)] {
            if times > 0 {
                let lost = attempt(workspace, &load, way, format, seed, times)?;
                println!("{}, {times} {what}, seed {seed}: {}", format.name(), lost.as_deref().unwrap_or("nothing was lost"));
                failed |= lost.is_some();
            }
        }
    }
    Ok(u8::from(failed))
}

/// Cuts the power so many times, and says what was lost, if something was. Works in a folder that stays then.
///
/// # Errors
/// When the machine cannot be run.
pub fn attempt(workspace: &Workspace, load: &Load, way: Way, format: Format, seed: u64, times: u64) -> Result<Option<String>> {
    let work: fn(&Load, &Path, Format, u64, u64) -> Result<Option<String>> = match way {
        Way::Cuts => cuts::run,
        Way::Kills => kills::run,
    };
    let scratch = temporary().prefix("powercut-").tempdir_in(workspace.out()?)?;
    let lost = work(load, scratch.path(), format, seed, times)?;
    if lost.is_some() {
        say(&format!("the disk and its log are kept in {}", scratch.keep().display()));
    }
    Ok(lost)
}
