//! The machine whose power is cut: one guest that writes a journal to its disk and says what is durable (`domu-blk-journal`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use domus_harness::disk::Disk;
use domus_journal::Journal;

use super::format::Format;
use super::power::{self, Cut};
use crate::archive::{Archive, exec_file};
use crate::workspace::Workspace;
use crate::{compile, deps};

/// The kernel among the test kernels.
const KERNEL: &str = "domu-blk-journal";
/// The disk's size in bytes as the guest sees it. The journal uses its beginning.
pub const DISK: u64 = 64 << 20;
/// The part that the journal uses, in records of 4 KiB: so small that it is overwritten as well as filled.
const SLOTS: u64 = 2048;
/// The machine's memory in MiB.
const MEMORY: u32 = 1024;
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
        let (machine, log) = power::machine(folder, &self.hypervisor, &self.tree(format, run)?, MEMORY, vec![disk])?;
        Ok(power::cut(&machine, log, Cut { acks: run.acks, later: run.later, timeout: TIMEOUT })?.0)
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
