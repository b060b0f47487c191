//! Disks under trouble: power cuts and kills, each image a step.

use anyhow::Result;
use domus_harness::verdict::Verdict;

use super::suite::Suite;
use crate::powercut::{self, Debian, Format, Load, Way};
use crate::workspace::Workspace;

/// A fixed seed: what fails here fails again at home.
const SEED: u64 = 3;
/// Power cuts of each image. They cost little.
const CUTS: u64 = 200;
/// Kills of each image. Each boots the machine.
const KILLS: u64 = 3;

/// Power cuts of a Debian guest, which cost more each, and how many of them it is booted from.
const DEBIAN_CUTS: u64 = 40;
const DEBIAN_BOOTS: u64 = 1;

/// Adds the steps.
pub fn steps(workspace: &Workspace, suite: &mut Suite<'_>) {
    journal_steps(workspace, suite);
    suite.step("disks/power-cuts/debian", || {
        let debian = Debian::prepare(workspace)?;
        verdict(powercut::attempt_debian(workspace, &debian, Way::Cuts, SEED, DEBIAN_CUTS, DEBIAN_BOOTS))
    });
}

fn journal_steps(workspace: &Workspace, suite: &mut Suite<'_>) {
    let ways = [("power-cuts", Way::Cuts, CUTS), ("kills", Way::Kills, KILLS)];
    let steps = ways
        .iter()
        .flat_map(|&(name, way, times)| Format::ALL.map(|format| (format!("disks/{name}/{}", format.name()), way, format, times)));
    let steps: Vec<_> = steps.filter(|(name, ..)| suite.wants(name)).collect();
    if suite.lists() {
        return steps.iter().for_each(|(name, ..)| suite.name(name));
    }
    if steps.is_empty() {
        return;
    }
    let Some(load) = suite.prepare("disks", || Load::prepare(workspace)) else {
        return;
    };
    for (name, way, format, times) in steps {
        suite.step(&name, || verdict(powercut::attempt(workspace, &load, way, format, SEED, times)));
    }
}

fn verdict(lost: Result<Option<String>>) -> Result<Verdict> {
    Ok(lost?.map_or(Verdict::Success, Verdict::Failure))
}
