//! QEMU killed in the middle, again and again, over one image: what the guest was told is durable is there, and the next boot goes on with it.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::chance::Chance;
use super::format::Format;
use super::load::{Load, Run, journal};
use crate::progress::say;

/// Acknowledgements that a run gets at most, and the milliseconds after the last of them.
const MOST_ACKS: u64 = 60;
const MOST_LATER: u64 = 30;

/// Boots and kills `kills` times; what was lost, if something was.
///
/// # Errors
/// When a run cannot be done.
pub fn run(load: &Load, folder: &Path, format: Format, seed: u64, kills: u64) -> Result<Option<String>> {
    let disk = folder.join("disk");
    let made = format.make(&disk)?;
    let mut chance = Chance::new(seed);
    let mut acked = 0;
    for kill in 0..kills {
        let acks = usize::try_from(1 + chance.below(MOST_ACKS))?;
        let later = Duration::from_millis(chance.below(MOST_LATER));
        let acks = load.run(folder, made.clone(), format, Run { seed, acked, acks, later })?;
        acked = acks.last().copied().unwrap_or(acked);
        say(&format!("{}: kill {kill} of {kills}, {acked} records acknowledged, seed {seed}", format.name()));
        if let Some(complaint) = format.judge(&disk, &journal(seed), acked)? {
            return Ok(Some(format!("kill {kill} of {kills} (seed {seed}): {complaint}")));
        }
    }
    Ok(None)
}
