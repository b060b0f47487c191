//! The machine with the Debian guest, and what is typed at it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use domus_harness::disk::Disk;
use domus_harness::domus;
use domus_harness::machine::Machine;
use domus_harness::supervise::{Input, Plan};

use super::parcel;
use crate::archive::{Archive, exec_file};
use crate::disk::{self, DiskOption};
use crate::powercut::power::{self, Cut};
use crate::progress::show;
use crate::workspace::Workspace;
use crate::{command, compile, deps, guests};

/// What runs in the guest.
const LOAD: &str = include_str!("load.pl");
/// The machine's memory in MiB.
const MEMORY: u32 = 4096;
/// Generous: a slow host must not fail a test.
const TIMEOUT: Duration = Duration::from_secs(1500);

/// What the machine is made of.
#[derive(Debug)]
pub struct Guest {
    hypervisor: PathBuf,
    tree: Archive,
}

/// The machine's disks.
#[derive(Clone, Copy, Debug)]
pub struct Disks<'a> {
    /// Debian's root, which is only read.
    pub base: &'a Path,
    /// The guest's overlay.
    pub overlay: &'a Path,
    /// Where the log of the overlay's writes goes, if it is wanted.
    pub log: Option<&'a Path>,
    /// The load, as [`goods`] makes it.
    pub goods: &'a Path,
}

/// Makes an ext4 volume with the load and the packages for the guest.
///
/// # Errors
/// When it cannot be made.
pub fn goods(path: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("load.pl"), LOAD)?;
    parcel::build(folder.path())?;
    let mut make = Command::new("mke2fs");
    make.args(["-q", "-t", "ext4", "-d"]).arg(folder.path()).arg(path).arg("16M").env("PATH", command::path());
    command::output(&mut make).map(drop)
}

impl Guest {
    /// Compiles what is needed.
    ///
    /// # Errors
    /// When something does not compile or cannot be downloaded.
    pub fn prepare(workspace: &Workspace) -> Result<Self> {
        deps::qemu()?;
        let mut tree = Archive::default();
        tree.copy_stripped("boot/dom0", &compile::dom0(workspace)?)?;
        guests::add_debian(workspace, &mut tree)?;
        Ok(Self { hypervisor: compile::hypervisor(workspace)?, tree })
    }

    /// Boots the guest, lets it look for what `acked` steps leave, and go on with its load until the power is cut after `acks` more; the last
    /// step that it acknowledged.
    ///
    /// # Errors
    /// When the guest does not get so far, be it that it has lost something.
    pub fn load(&self, folder: &Path, disks: Disks<'_>, seed: u32, acked: u64, acks: usize) -> Result<u64> {
        let load = format!("{}; perl /mnt/load.pl {seed} run", check(seed, acked));
        let (machine, log) = self.machine(folder, disks, &[send(&load, "journal: failure")])?;
        let (acks, console) = power::cut(&machine, log, Cut { acks, later: Duration::ZERO, timeout: TIMEOUT })?;
        sound(&console)?;
        acks.last().copied().context("the guest acknowledged nothing")
    }

    /// Boots the guest, lets it look for what `acked` steps leave, install version `parcel` of the package and look at itself, and shuts it
    /// down.
    ///
    /// # Errors
    /// When something is not as it should be: the console shows it.
    pub fn finish(&self, folder: &Path, disks: Disks<'_>, seed: u32, acked: u64, parcel: u64) -> Result<()> {
        let install = format!("dpkg -i /mnt/parcel_{parcel}.deb && echo installed $((6*111))");
        let audit = format!("echo faults $( (dpkg --audit; dpkg --verify {}) | wc -l) of $((7*111))", parcel::NAME);
        let commands = [
            send(&check(seed, acked), "journal: end"),
            send(&install, "installed 666"),
            send(&audit, "faults 0 of 777"),
            send("echo system $(systemctl is-system-running --wait)", "system running"),
            "dom shutdown -w debian".to_owned(),
        ];
        let (machine, log) = self.machine(folder, disks, &commands)?;
        let plan = Plan { terminal: false, input: Input::Nothing, log: Some(log), timeout: Some(TIMEOUT) };
        let report = domus::run(&machine, &plan, &mut io::sink(), &mut io::sink())?;
        let verdict = sound(&report.console).and_then(|()| {
            ensure!(report.status == 0, "status {} ({})", report.status, report.complaint().unwrap_or("a command failed"));
            Ok(())
        });
        verdict.inspect_err(|_| show(&format!("--- console\n{}--- log\n{}---\n", report.console, report.log)))
    }

    fn machine(&self, folder: &Path, disks: Disks<'_>, commands: &[String]) -> Result<(Machine, PathBuf)> {
        let login = [
            "dom create /guests/debian.toml disk=\"['qcow2:/dev/vdb,xvda,w', 'phy:/dev/vdc,xvdb,r']\"".to_owned(),
            "dom console debian --until 'debian login:' --timeout 500".to_owned(),
            send("root", "root@debian:~#"),
        ];
        let mut tree = self.tree.clone();
        tree.bytes("etc/exec", exec_file(&[&login[..], commands].concat())?)?;
        power::machine(folder, &self.hypervisor, &tree, MEMORY, disks.prepare()?)
    }
}

impl Disks<'_> {
    /// The disks in order; the overlay's file is made long enough to grow, and the log's file empty.
    ///
    /// # Errors
    /// When a file is missing or cannot be written.
    pub fn prepare(self) -> Result<Vec<Disk>> {
        let options = [DiskOption::read_only(self.base), DiskOption::writable(self.overlay), DiskOption::read_only(self.goods)];
        disk::check(&options)?;
        let mut disks = disk::prepare(&options)?;
        if let (Some(log), Some(overlay)) = (self.log, disks.get_mut(1)) {
            fs::File::create(log)?;
            overlay.log = Some(log.to_owned());
        }
        Ok(disks)
    }
}

/// What a person types after a power cut: dpkg wants to finish what it had begun.
fn check(seed: u32, acked: u64) -> String {
    format!("mount -o ro /dev/xvdb /mnt; dpkg --configure -a; perl /mnt/load.pl {seed} check {acked}")
}

/// Types a line at the guest and waits for what must come of it.
fn send(line: &str, until: &str) -> String {
    format!("dom console debian --send '{line}' --until '{until}' --timeout 600")
}

/// That the guest itself found its journal sound.
fn sound(console: &str) -> Result<()> {
    ensure!(console.contains("journal: sound up to "), "the guest did not find its journal sound");
    Ok(())
}
