//! Boots Domus: at Dom0's prompt, with commands to run, or with another first domain.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use domus_harness::domus;
use domus_harness::machine::{Machine, Serial};
use domus_harness::supervise::{Input, Plan};

use crate::archive::{Archive, exec_file, parse_add};
use crate::progress::say;
use crate::workspace::{Workspace, write};
use crate::{cli, compile, deps, disk, guests};

/// `cargo xtask run`.
///
/// # Errors
/// When something is missing, does not compile or cannot be started.
pub fn run(workspace: &Workspace, options: &cli::Run) -> Result<u8> {
    deps::qemu()?;
    // What the user names is looked at first: it is what may be wrong, and compiling takes long.
    let console = Console::choose(options);
    let given = options.initial_domain.as_deref().map(checked_elf).transpose()?;
    let tree = user_tree(&options.tree, &options.exec)?;
    disk::check(&options.disk)?;
    let kernel = match &options.hypervisor {
        Some(elf) => checked_elf(elf)?,
        None => compile::hypervisor(workspace)?,
    };
    // Two runs at once must not take each other's log or archive, so they go with the run; unless somebody is to look at them.
    let (out, scratch) = (workspace.out()?, tempfile::Builder::new().prefix("run-").tempdir_in(workspace.out()?)?);
    let folder = if options.dry_run || console == Console::Terminal { &out } else { scratch.path() };
    let module = match given {
        Some(elf) => elf,
        None => write_image(workspace, tree, options.tree.generic_linux, folder.join("image.cpio"))?,
    };
    let log = folder.join("domus.log");
    let mut machine = machine(&options.machine, kernel, module);
    machine.disks = disk::prepare(&options.disk)?;
    machine.cmdline.clone_from(&options.append);
    machine.serial = vec![console.serial(), Serial::File(log.clone())];
    if options.dry_run {
        println!("{}", machine.command_line());
        return Ok(0);
    }
    boot(&machine, console, log, options.machine.timeout.map(Duration::from_secs))
}

/// `cargo xtask image`.
///
/// # Errors
/// When something is missing or does not compile.
pub fn image(workspace: &Workspace, options: &cli::Image) -> Result<u8> {
    let tree = user_tree(&options.tree, &[])?;
    let path = match &options.output {
        Some(path) => std::path::absolute(path)?,
        None => workspace.out()?.join("image.cpio"),
    };
    println!("{}", write_image(workspace, tree, options.tree.generic_linux, path)?.display());
    Ok(0)
}

fn boot(machine: &Machine, console: Console, log: PathBuf, timeout: Option<Duration>) -> Result<u8> {
    if console == Console::Terminal {
        say(&format!("Ctrl-A X leaves QEMU; the hypervisor's log is {}", log.display()));
    }
    let plan = Plan { terminal: console.is_terminal(), input: console.input(), log: Some(log), timeout };
    let mut sink: Box<dyn Write> = if console == Console::Terminal { Box::new(io::sink()) } else { Box::new(io::stderr()) };
    let report = domus::run(machine, &plan, &mut io::stdout(), &mut sink)?;
    if let Some(complaint) = report.complaint() {
        say(complaint);
    }
    Ok(report.status)
}

/// The machine that the options describe, without its serial ports.
pub fn machine(options: &cli::Machine, kernel: PathBuf, module: PathBuf) -> Machine {
    Machine {
        kernel,
        module: Some(module),
        cmdline: String::new(),
        memory_mib: options.memory,
        cpus: options.cpus,
        icount: options.icount,
        serial: Vec::new(),
        disks: Vec::new(),
        extra: options.qemu.clone(),
    }
}

/// The ELF, if it is one: the hypervisor would refuse anything else, but only after it was built and booted.
///
/// # Errors
/// When it cannot be read or is no ELF.
pub fn checked_elf(path: &Path) -> Result<PathBuf> {
    let bytes = fs::read(path).with_context(|| format!("cannot read the kernel {}", path.display()))?;
    if !bytes.starts_with(b"\x7fELF") {
        bail!("{} is no ELF: a first domain is a bare PV64 ELF, uncompressed", path.display());
    }
    Ok(path.to_owned())
}

/// What the user puts into Dom0's tree.
fn user_tree(options: &cli::Tree, exec: &[String]) -> Result<Archive> {
    let mut tree = Archive::default();
    for add in &options.add {
        let (source, target) = parse_add(add)?;
        tree.copy_tree(&target, &source)?;
    }
    if !exec.is_empty() {
        tree.bytes("etc/exec", exec_file(exec)?)?;
    }
    Ok(tree)
}

fn write_image(workspace: &Workspace, user: Archive, generic_linux: bool, path: PathBuf) -> Result<PathBuf> {
    let mut tree = Archive::default();
    tree.copy_stripped("boot/dom0", &compile::dom0(workspace)?)?;
    guests::add(workspace, &mut tree)?;
    if generic_linux {
        guests::add_generic(workspace, &mut tree)?;
    }
    tree.overlay(user)?;
    write(&path, &tree.pack()?)?;
    Ok(path)
}

/// Where the first domain's console goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Console {
    /// A person at Dom0's prompt. The log would scribble over it, so it goes to a file.
    Terminal,
    /// A person before a first domain of their own; the log is shown.
    TerminalWithLog,
    /// A script that types: input from a pipe or a file, output anywhere.
    Pipe,
    /// Commands that were named beforehand: output only.
    Output,
}

impl Console {
    fn choose(options: &cli::Run) -> Self {
        let person = io::stdin().is_terminal() && io::stdout().is_terminal();
        match (options.exec.is_empty(), person, &options.initial_domain) {
            (false, ..) => Self::Output,
            (true, false, _) => Self::Pipe,
            (true, true, None) => Self::Terminal,
            (true, true, Some(_)) => Self::TerminalWithLog,
        }
    }

    fn is_terminal(self) -> bool {
        matches!(self, Self::Terminal | Self::TerminalWithLog)
    }

    fn input(self) -> Input {
        if self == Self::Pipe { Input::Ours } else { Input::Nothing }
    }

    fn serial(self) -> Serial {
        if self.is_terminal() { Serial::Terminal } else { Serial::Stdio }
    }
}
