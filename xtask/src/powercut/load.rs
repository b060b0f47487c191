//! The machine whose power is cut: one guest that writes a journal to its disk and says what is durable (`domu-blk-journal`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use domus_harness::console::Newlines;
use domus_harness::disk::Disk;
use domus_harness::log::{Log as Verdict, Outcome};
use domus_harness::machine::{Machine, Serial};
use domus_harness::supervise::{Ended, Input, Plan, Watch, Watcher, supervise};
use domus_journal::Journal;

use super::format::Format;
use crate::archive::{Archive, exec_file};
use crate::progress::show;
use crate::workspace::{Workspace, write};
use crate::{compile, deps};

/// The kernel among the test kernels.
const KERNEL: &str = "domu-blk-journal";
/// The disk's size in bytes as the guest sees it. The journal uses its beginning.
pub const DISK: u64 = 64 << 20;
/// The part that the journal uses, in records of 4 KiB: so small that it is overwritten as well as filled.
const SLOTS: u64 = 2048;
/// Generous: a slow host must not fail a test.
const TIMEOUT: Duration = Duration::from_secs(300);

/// What the machine is made of.
#[derive(Debug)]
pub struct Load {
    hypervisor: PathBuf,
    dom0: PathBuf,
    kernel: PathBuf,
}

/// One run, up to its end.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Which journal.
    pub seed: u64,
    /// What earlier runs had acknowledged: the guest looks for that first, and goes on after it. 0 for none.
    pub acked: u64,
    /// The power is cut after so many acknowledgements,
    pub acks: usize,
    /// and this much later.
    pub later: Duration,
}

/// The journal that the guest writes.
pub fn journal(seed: u64) -> Journal {
    Journal { seed, slots: SLOTS }
}

impl Load {
    /// Compiles what is needed.
    ///
    /// # Errors
    /// When something does not compile.
    pub fn prepare(workspace: &Workspace) -> Result<Self> {
        deps::qemu()?;
        let kernel = compile::kernels(workspace)?.into_iter().find(|kernel| kernel.name == KERNEL);
        let kernel = kernel.with_context(|| format!("there is no test kernel {KERNEL}"))?.path;
        Ok(Self { hypervisor: compile::hypervisor(workspace)?, dom0: compile::dom0(workspace)?, kernel })
    }

    /// Boots with this disk and cuts the power; what the guest has acknowledged, in order.
    ///
    /// # Errors
    /// When the machine ends before its power is cut, or the guest has lost something.
    pub fn run(&self, folder: &Path, disk: Disk, format: Format, run: Run) -> Result<Vec<u64>> {
        let (module, log) = (folder.join("image.cpio"), folder.join("domus.log"));
        write(&module, &self.tree(format, run)?.pack()?)?;
        let machine = Machine {
            kernel: self.hypervisor.clone(),
            module: Some(module),
            cmdline: String::new(),
            memory_mib: 1024,
            cpus: 1,
            icount: false,
            serial: vec![Serial::Stdio, Serial::File(log.clone())],
            disks: vec![disk],
            extra: Vec::new(),
        };
        let plan = Plan { terminal: false, input: Input::Nothing, log: Some(log), timeout: Some(TIMEOUT) };
        let mut power =
            Power { run, newlines: Newlines::default(), console: String::new(), log: String::new(), verdict: Verdict::default() };
        let ended = supervise(machine.command(), &plan, &mut power)?;
        let acks = acknowledged(&power.console);
        if ended != Ended::Stopped || acks.len() < run.acks {
            show(&format!("--- console\n{}--- log\n{}---\n", power.console, power.log));
            bail!("the machine ended ({ended:?}) after {} acknowledgements, before its power was cut", acks.len());
        }
        Ok(acks)
    }

    fn tree(&self, format: Format, run: Run) -> Result<Archive> {
        let mut tree = Archive::default();
        tree.copy_stripped("boot/dom0", &self.dom0)?;
        tree.copy("guests/journal", &self.kernel)?;
        let Run { seed, acked, .. } = run;
        let configuration = format!(
            "name = \"journal\"\nkernel = \"/guests/journal\"\nmemory = 16\ndisk = [\"{}:/dev/vda,xvda,w\"]\n\
             cmdline = \"seed={seed} slots={SLOTS} check={acked} start={}\"\n",
            format.prefix(),
            acked + 1
        );
        tree.bytes("guests/journal.toml", configuration)?;
        let commands = ["dom create /guests/journal.toml", "dom console journal --until 'journal: failure'"];
        tree.bytes("etc/exec", exec_file(&commands.map(str::to_owned))?)?;
        Ok(tree)
    }
}

/// Holds the plug.
struct Power {
    run: Run,
    newlines: Newlines,
    console: String,
    log: String,
    verdict: Verdict,
}

impl Watcher for Power {
    fn console(&mut self, bytes: &[u8]) -> Result<Watch> {
        self.console.push_str(&String::from_utf8_lossy(&self.newlines.feed(bytes)));
        let enough = acknowledged(&self.console).len() >= self.run.acks;
        Ok(if enough { Watch::EndWithin(self.run.later) } else { Watch::Continue })
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
