//! Cuts a machine's power at random moments, and looks for what its guest had been promised.
//!
//! The guest writes a journal ([`domus_journal`]) and flushes; once a flush is acknowledged, the records before it must survive. Two ways to cut:
//! [`cuts`] replays the log of what the disk was told to any moment, with what was not flushed lost at random; [`kills`] kills QEMU itself.
//! [`debian`] does both to a Debian guest with a file system, programs that sync, and dpkg.

mod chance;
mod cuts;
mod debian;
mod format;
mod kills;
mod load;
mod log;
mod power;
mod replay;
mod subject;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

pub use debian::Debian;
pub use format::Format;
pub use load::Load;
pub use subject::Subject;

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

/// Boots from cuts of a Debian guest's disk.
const BOOTS: u64 = 3;

/// `cargo xtask powercut`.
///
/// # Errors
/// When the machine cannot be run.
pub fn run(workspace: &Workspace, options: &cli::PowerCut) -> Result<u8> {
    let subjects = if options.format.is_empty() { <Subject as clap::ValueEnum>::value_variants() } else { &options.format };
    let load = subjects.iter().any(|&subject| subject != Subject::Debian).then(|| Load::prepare(workspace)).transpose()?;
    let debian = subjects.contains(&Subject::Debian).then(|| Debian::prepare(workspace)).transpose()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let seed = options.seed.unwrap_or(now);
    let mut failed = false;
    for &subject in subjects {
        for (way, what, times) in [(Way::Cuts, "cuts", options.cuts), (Way::Kills, "kills", options.kills)] {
            if times == 0 {
                continue;
            }
            let lost = match (subject, &load, &debian) {
                (Subject::Journal(format), Some(load), _) => attempt(workspace, load, way, format, seed, times),
                (_, _, Some(debian)) => attempt_debian(workspace, debian, way, seed, times, BOOTS),
                _ => continue,
            };
            let lost = lost?;
            println!("{}, {times} {what}, seed {seed}: {}", subject.name(), lost.as_deref().unwrap_or("nothing was lost"));
            failed |= lost.is_some();
        }
    }
    Ok(u8::from(failed))
}

/// Cuts the power of the journal's guest so many times, and says what was lost, if something was. Works in a folder that stays then.
///
/// # Errors
/// When the machine cannot be run.
pub fn attempt(workspace: &Workspace, load: &Load, way: Way, format: Format, seed: u64, times: u64) -> Result<Option<String>> {
    in_folder(workspace, |folder| match way {
        Way::Cuts => cuts::run(load, folder, format, seed, times),
        Way::Kills => kills::run(load, folder, format, seed, times),
    })
}

/// The same with a Debian guest. It is booted from `boots` of the cuts.
///
/// # Errors
/// When the machine cannot be run, or the guest itself finds something wrong.
pub fn attempt_debian(workspace: &Workspace, debian: &Debian, way: Way, seed: u64, times: u64, boots: u64) -> Result<Option<String>> {
    in_folder(workspace, |folder| match way {
        Way::Cuts => debian.cuts(folder, seed, times, boots),
        Way::Kills => debian.kills(folder, seed, times),
    })
}

fn in_folder(workspace: &Workspace, work: impl FnOnce(&Path) -> Result<Option<String>>) -> Result<Option<String>> {
    let scratch = temporary().prefix("powercut-").tempdir_in(workspace.out()?)?;
    let lost = work(scratch.path());
    if !matches!(lost, Ok(None)) {
        say(&format!("the disk and its log are kept in {}", scratch.keep().display()));
    }
    lost
}
