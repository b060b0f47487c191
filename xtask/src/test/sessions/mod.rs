//! Sessions at Dom0's prompt, as data: each file in `tests/sessions` says what is typed and what must come of it.
//!
//! A session is what a person would try, so it reads like one, and whoever adds a command or finds a bug adds a file and no code.

mod judge;
mod session;
mod shell;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use domus_harness::domus::{self, Report};
use domus_harness::machine::{Machine, Serial};
use domus_harness::supervise::{Input, Plan};
use domus_harness::verdict::Verdict;

use self::session::Session;
use super::suite::Suite;
use crate::archive::{Archive, exec_file, parse_add};
use crate::compile::{self, Program};
use crate::disk::DiskOption;
use crate::progress::show;
use crate::workspace::{Workspace, temporary};
use crate::{debian, deps, disk, guests};

/// The folder, below the root.
const FOLDER: &str = "tests/sessions";

/// Adds a step for each session.
pub fn steps(workspace: &Workspace, suite: &mut Suite<'_>) {
    let folder = workspace.root.join(FOLDER);
    if !suite.wants("sessions") || !folder.exists() {
        return;
    }
    let Some(sessions) = suite.prepare("sessions", || read(&folder)) else {
        return;
    };
    if suite.lists() {
        return sessions.iter().for_each(|(name, _)| suite.name(&format!("sessions/{name}")));
    }
    let wanted: Vec<_> = sessions.iter().filter(|(name, _)| suite.wants(&format!("sessions/{name}"))).map(|(_, session)| session).collect();
    let Some(stage) = suite.prepare("sessions", || Stage::set(workspace, &wanted)) else {
        return;
    };
    for (name, session) in &sessions {
        suite.step(&format!("sessions/{name}"), || stage.play(workspace, session));
    }
}

fn read(folder: &Path) -> Result<Vec<(String, Session)>> {
    let mut sessions = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else {
            continue;
        };
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = fs::read_to_string(&path)?;
            let session: Session = toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
            ensure!(session.exec.is_empty() != session.typed.is_empty(), "{} needs `exec` or `typed`", path.display());
            sessions.push((name.to_owned(), session));
        }
    }
    ensure!(!sessions.is_empty(), "{FOLDER} has no session");
    sessions.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(sessions)
}

/// What all sessions share.
struct Stage {
    hypervisor: PathBuf,
    dom0: PathBuf,
    base: Archive,
    kernels: Vec<Program>,
    debian: Option<PathBuf>,
}

impl Stage {
    /// Makes what the sessions need.
    fn set(workspace: &Workspace, sessions: &[&Session]) -> Result<Self> {
        deps::qemu()?;
        let mut base = Archive::default();
        guests::add(workspace, &mut base)?;
        let needed = |need: fn(&Session) -> bool| sessions.iter().any(|session| need(session));
        let kernels = if needed(|session| !session.kernels.is_empty()) { compile::kernels(workspace)? } else { Vec::new() };
        let debian = needed(|session| session.debian).then(|| debian::image(workspace)).transpose()?;
        Ok(Self { hypervisor: compile::hypervisor(workspace)?, dom0: compile::dom0(workspace)?, base, kernels, debian })
    }

    fn play(&self, workspace: &Workspace, session: &Session) -> Result<Verdict> {
        let out = workspace.out()?;
        let scratch = temporary().prefix("session-").tempdir_in(&out)?;
        let debian = self.debian.as_deref().filter(|_| session.debian);
        if let Some(failure) = shell::run(&session.before, scratch.path(), debian)? {
            return Ok(Verdict::Error(failure));
        }
        let report = self.run(workspace, session, scratch.path(), debian)?;
        let mut verdict = judge::judge(session, &report)?;
        if verdict == Verdict::Success {
            verdict = shell::run(&session.after, scratch.path(), debian)?.map_or(Verdict::Success, Verdict::Failure);
        }
        if verdict != Verdict::Success {
            show(&format!("--- console\n{}--- log\n{}---\n", report.console, report.log));
        }
        Ok(verdict)
    }

    fn run(&self, workspace: &Workspace, session: &Session, scratch: &Path, debian: Option<&Path>) -> Result<Report> {
        // Names that no disk of a session should have.
        let (image, log, typed) = (scratch.join(".image.cpio"), scratch.join(".log"), scratch.join(".typed"));
        fs::write(&image, self.tree(workspace, session)?.pack()?)?;
        fs::write(&typed, session.typed.iter().map(|line| line.clone() + "\r").collect::<String>())?;
        let own = session.disks.iter().map(|disk| disk.within(scratch));
        let disks: Vec<_> = debian.map(DiskOption::read_only).into_iter().chain(own).collect();
        disk::check(&disks)?;
        let machine = Machine {
            kernel: self.hypervisor.clone(),
            module: Some(image),
            cmdline: String::new(),
            memory_mib: session.memory,
            cpus: 1,
            icount: session.icount,
            serial: vec![Serial::Stdio, Serial::File(log.clone())],
            disks: disk::prepare(&disks)?,
            extra: session.qemu.iter().map(|word| word.replace("{scratch}", &scratch.display().to_string()).into()).collect(),
        };
        let input = Input::File(typed);
        let plan = Plan { terminal: false, input, log: Some(log), timeout: Some(Duration::from_secs(session.timeout)) };
        domus::run(&machine, &plan, &mut io::sink(), &mut io::sink())
    }

    fn tree(&self, workspace: &Workspace, session: &Session) -> Result<Archive> {
        let mut tree = self.base.clone();
        if !session.without_dom0 {
            tree.copy_stripped("boot/dom0", &self.dom0)?;
        }
        if session.generic_linux {
            guests::add_generic(workspace, &mut tree)?;
        }
        for name in &session.kernels {
            let kernel =
                self.kernels.iter().find(|kernel| kernel.name == *name).with_context(|| format!("there is no test kernel {name}"))?;
            tree.copy(&format!("guests/{name}"), &kernel.path)?;
            tree.bytes(&format!("guests/{name}.toml"), guests::example_toml(name, name, ""))?;
        }
        let folder = workspace.root.join(FOLDER);
        for add in &session.add {
            let (source, target) = parse_add(&folder.join(add).display().to_string())?;
            tree.copy_tree(&target, &source)?;
        }
        for (path, content) in &session.files {
            tree.bytes(path, content.as_bytes())?;
        }
        for (path, pieces) in &session.bytes {
            tree.bytes(path, from_hex(&pieces.concat()).with_context(|| format!("{path}: no bytes in hexadecimal digits"))?)?;
        }
        if session.typed.is_empty() {
            tree.bytes("etc/exec", exec_file(&session.exec)?)?;
        }
        Ok(tree)
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read() {
        assert_eq!(from_hex("7f45 4c 46"), Some(b"\x7fELF".to_vec()));
        assert_eq!(from_hex("7f4"), None);
        assert_eq!(from_hex("0x"), None);
    }
}
