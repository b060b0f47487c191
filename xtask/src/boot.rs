//! Boots a bare ELF as first domain, without a person: on Domus and on Xen, for tests and benchmarks.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use domus_harness::machine::{Machine, Serial};
use domus_harness::supervise::{Input, Plan};
use domus_harness::{domus, xen};

use crate::workspace::Workspace;
use crate::{compile, debs, deps};

/// What booting needs, made once: both hypervisors and a place for logs.
#[derive(Debug)]
pub struct Hypervisors {
    domus: PathBuf,
    xen: PathBuf,
    logs: PathBuf,
}

/// How a boot is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Whether instructions are counted.
    pub icount: bool,
    /// How long the host waits.
    pub timeout: Duration,
    /// Devices for the machine, as arguments of QEMU.
    pub devices: &'static [&'static str],
}

impl Hypervisors {
    /// Builds Domus, fetches Xen and QEMU.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub fn prepare(workspace: &Workspace) -> Result<Self> {
        deps::qemu()?;
        Ok(Self { domus: compile::hypervisor(workspace)?, xen: debs::xen(workspace)?, logs: workspace.out()? })
    }

    /// Boots the ELF as first domain of Domus.
    ///
    /// # Errors
    /// When QEMU cannot be started.
    pub fn on_domus(&self, elf: &Path, setup: Setup) -> Result<domus::Report> {
        let log = tempfile::Builder::new().prefix("domus-").suffix(".log").tempfile_in(&self.logs)?;
        let mut machine = machine(&self.domus, elf, setup);
        machine.serial = vec![Serial::Stdio, Serial::File(log.path().to_owned())];
        let plan = Plan { terminal: false, input: Input::Nothing, log: Some(log.path().to_owned()), timeout: Some(setup.timeout) };
        domus::run(&machine, &plan, &mut io::sink(), &mut io::sink())
    }

    /// Boots the ELF as first domain of Xen.
    ///
    /// # Errors
    /// When QEMU cannot be started.
    pub fn on_xen(&self, elf: &Path, setup: Setup) -> Result<xen::Report> {
        let machine = crate::xen::on_xen(machine(&self.xen, elf, setup));
        xen::run(&machine, Some(setup.timeout))
    }
}

fn machine(kernel: &Path, elf: &Path, setup: Setup) -> Machine {
    Machine {
        kernel: kernel.to_owned(),
        module: Some(elf.to_owned()),
        cmdline: String::new(),
        memory_mib: setup.memory_mib,
        cpus: 1,
        icount: setup.icount,
        serial: Vec::new(),
        disks: Vec::new(),
        extra: setup.devices.iter().map(Into::into).collect(),
    }
}
