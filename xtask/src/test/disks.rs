//! Disks under trouble: power cuts and kills, each image a step.

use anyhow::Result;
use domus_harness::verdict::Verdict;

use super::suite::Suite;
use crate::powercut::{self, Format, Load, Way};
use crate::workspace::Workspace;

/// A fixed seed: what fails here fails again at home.
const SEED: u64 = 3;
/// Power cuts of each image. They cost little.
const CUTS: u64 = 200;
/// Kills of each image. Each boots the machine.
const KILLS: u64 = 3;

/// Adds the steps.
pub fn steps(workspace: &Workspace, suite: &mut Suite<'_>) {
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
