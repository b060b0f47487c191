//! `dom block-attach` and its like: a guest's disks at run time.

use alloc::{format, string::String};

use super::build::domain;
use super::matches::Matches;
use super::types::{Command, Dom, DomainRef};
use crate::blkback::faults::{DELAY_MAX, Faults};
use crate::config::{DiskSpec, Vdev};

/// A command about disks of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// Give the domain a disk.
    Attach {
        /// The domain.
        domain: DomainRef,
        /// The disk.
        disk: DiskSpec,
    },
    /// Show its disks.
    List {
        /// The domain.
        domain: DomainRef,
        /// As JSON.
        json: bool,
    },
    /// Take a disk away.
    Detach {
        /// The domain.
        domain: DomainRef,
        /// The disk, as the guest knows it.
        vdev: Vdev,
        /// Without asking the guest.
        force: bool,
    },
    /// Make a disk fail on purpose, or stop that.
    Faults {
        /// The domain.
        domain: DomainRef,
        /// The disk, as the guest knows it.
        vdev: Vdev,
        /// What is to happen.
        faults: Faults,
    },
}

type Built = Result<Command, String>;

fn made(block: Block) -> Built {
    Ok(Command::Dom(Dom::Block(block)))
}

pub fn attach(m: &Matches) -> Built {
    let disk = DiskSpec::parse(m.argument(1).unwrap_or_default()).map_err(|error| format!("disk {error}"))?;
    made(Block::Attach { domain: domain(m)?, disk })
}

pub fn list(m: &Matches) -> Built {
    made(Block::List { domain: domain(m)?, json: m.has("--json") })
}

pub fn detach(m: &Matches) -> Built {
    made(Block::Detach { domain: domain(m)?, vdev: vdev(m)?, force: m.has("--force") })
}

pub fn faults(m: &Matches) -> Built {
    let faults = Faults {
        errors: number(m, "--errors", 1..=u32::MAX)?,
        short: number(m, "--short", 1..=u32::MAX)?,
        delay_ms: number(m, "--delay", 1..=DELAY_MAX)?,
    };
    made(Block::Faults { domain: domain(m)?, vdev: vdev(m)?, faults })
}

fn vdev(m: &Matches) -> Result<Vdev, String> {
    Vdev::parse(m.argument(1).unwrap_or_default())
}

/// The value of an option; 0 if it is not given.
fn number(m: &Matches, option: &str, range: core::ops::RangeInclusive<u32>) -> Result<u32, String> {
    let Some(word) = m.values(option).next() else { return Ok(0) };
    match word.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("{option} {word}: give a whole number from {} to {}", range.start(), range.end())),
    }
}
