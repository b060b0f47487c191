//! The machine whose power is cut, and who holds the plug: its guest says `acked N`, and after enough of that QEMU is killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use domus_harness::console::Newlines;
use domus_harness::disk::Disk;
use domus_harness::log::{Log as Verdict, Outcome};
use domus_harness::machine::{Machine, Serial};
use domus_harness::supervise::{Ended, Input, Plan, Watch, Watcher, supervise};

use crate::archive::Archive;
use crate::progress::show;
use crate::workspace::write;

/// When the power is cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// After so many acknowledgements,
    pub acks: usize,
    /// and this much later.
    pub later: Duration,
    /// The machine may take so long. Be generous: a slow host must not fail a test.
    pub timeout: Duration,
}

/// A machine of one CPU with Dom0 from this tree and these disks. Its files go into `folder`; the second one is the hypervisor's log.
///
/// # Errors
/// When the archive cannot be written.
pub fn machine(folder: &Path, hypervisor: &Path, tree: &Archive, memory_mib: u32, disks: Vec<Disk>) -> Result<(Machine, PathBuf)> {
    let (module, log) = (folder.join("image.cpio"), folder.join("domus.log"));
    write(&module, &tree.pack()?)?;
    let machine = Machine {
        kernel: hypervisor.to_owned(),
        module: Some(module),
        cmdline: String::new(),
        memory_mib,
        cpus: 1,
        icount: false,
        serial: vec![Serial::Stdio, Serial::File(log.clone())],
        disks,
        extra: Vec::new(),
    };
    Ok((machine, log))
}

/// Boots and cuts the power; what the guest has acknowledged, in order, and all that the console said.
///
/// # Errors
/// When the machine ends before its power is cut.
pub fn cut(machine: &Machine, log: PathBuf, cut: Cut) -> Result<(Vec<u64>, String)> {
    let plan = Plan { terminal: false, input: Input::Nothing, log: Some(log), timeout: Some(cut.timeout) };
    let mut plug = Plug { cut, newlines: Newlines::default(), console: String::new(), log: String::new(), verdict: Verdict::default() };
    let ended = supervise(machine.command(), &plan, &mut plug)?;
    let acks = acknowledged(&plug.console);
    if ended != Ended::Stopped || acks.len() < cut.acks {
        show(&format!("--- console\n{}--- log\n{}---\n", plug.console, plug.log));
        bail!("the machine ended ({ended:?}) after {} acknowledgements, before its power was cut", acks.len());
    }
    Ok((acks, plug.console))
}

/// Holds the plug.
struct Plug {
    cut: Cut,
    newlines: Newlines,
    console: String,
    log: String,
    verdict: Verdict,
}

impl Watcher for Plug {
    fn console(&mut self, bytes: &[u8]) -> Result<Watch> {
        self.console.push_str(&String::from_utf8_lossy(&self.newlines.feed(bytes)));
        let enough = acknowledged(&self.console).len() >= self.cut.acks;
        Ok(if enough { Watch::EndWithin(self.cut.later) } else { Watch::Continue })
    }

    fn log(&mut self, bytes: &[u8]) -> Result<Watch> {
        self.verdict.feed(bytes);
        self.log.push_str(&String::from_utf8_lossy(bytes));
        Ok(if self.verdict.outcome() == Outcome::Panic { Watch::EndWithin(Duration::from_secs(3)) } else { Watch::Continue })
    }
}

/// The numbers in the whole lines `acked N`.
fn acknowledged(console: &str) -> Vec<u64> {
    let whole = console.rfind('\n').map_or("", |end| &console[..end]);
    whole.lines().filter_map(|line| line.trim().strip_prefix("acked ")?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_count() {
        assert_eq!(acknowledged("journal: 2048 slots\nacked 3\nacked 10\nacked 1"), [3, 10]);
        assert!(acknowledged("").is_empty());
    }
}
