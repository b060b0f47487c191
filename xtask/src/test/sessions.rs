//! Sessions at Dom0's prompt, as data: each file in `tests/sessions` says what is typed and what must come of it.
//!
//! A session is what a person would try, so it reads like one, and whoever adds a command or finds a bug adds a file and no code.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use domus_harness::domus::{self, Report};
use domus_harness::machine::{Machine, Serial};
use domus_harness::supervise::Plan;
use domus_harness::verdict::Verdict;
use regex::Regex;
use serde::Deserialize;

use super::suite::Suite;
use crate::archive::{Archive, exec_file, parse_add};
use crate::compile::{self, Program};
use crate::workspace::{Workspace, temporary};
use crate::{deps, guests};

/// The folder, below the root.
const FOLDER: &str = "tests/sessions";

/// One session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Session {
    /// The commands.
    exec: Vec<String>,
    /// Files for Dom0's tree, as for `--add`, relative to the session's own folder.
    #[serde(default)]
    add: Vec<String>,
    /// Small files for Dom0's tree: path and content.
    #[serde(default)]
    files: std::collections::BTreeMap<String, String>,
    /// The same for what is no text: path and bytes, in hexadecimal digits, in as many strings as make it readable.
    #[serde(default)]
    bytes: std::collections::BTreeMap<String, Vec<String>>,
    /// The exit status.
    #[serde(default)]
    status: u8,
    /// Regular expressions that must match somewhere in what the commands print, each after the one before.
    #[serde(default)]
    expect: Vec<String>,
    /// Regular expressions that must match nowhere.
    #[serde(default)]
    never: Vec<String>,
    /// Regular expressions with a group: each must match at least twice, and the group must be the same everywhere.
    #[serde(default)]
    same: Vec<String>,
    /// Figures with limits.
    #[serde(default)]
    limits: Vec<Limit>,
    /// Regular expressions that must match somewhere in the hypervisor's log.
    #[serde(default)]
    log: Vec<String>,
    /// Test kernels that it needs: each is put into `/guests`, with a configuration of 16 MiB.
    #[serde(default)]
    kernels: Vec<String>,
    /// Memory in MiB.
    #[serde(default = "default_memory")]
    memory: u32,
    /// Whether instructions are counted.
    #[serde(default)]
    icount: bool,
    /// Whether the archive lacks Dom0, so that nothing runs.
    #[serde(default)]
    without_dom0: bool,
    /// Whether Debian's generic kernel is needed.
    #[serde(default)]
    generic_linux: bool,
    /// How long the host waits, in seconds.
    #[serde(default = "default_timeout")]
    timeout: u64,
}

/// A limit of how much a number may grow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Limit {
    /// What is limited.
    what: String,
    /// A regular expression whose group is the number.
    number: String,
    /// From which match to which, counted from 0.
    between: [usize; 2],
    /// The number may differ by this much.
    at_most: u64,
}

impl Limit {
    /// What is wrong, if something is.
    fn complaint(&self, console: &str) -> Result<Option<String>> {
        let number = regex(&self.number)?;
        let numbers: Vec<u64> = number.captures_iter(console).filter_map(|c| c.get(1)?.as_str().parse().ok()).collect();
        let [Some(first), Some(second)] = self.between.map(|at| numbers.get(at)) else {
            return Ok(Some(format!("{}: {:?} has {} matches", self.what, self.number, numbers.len())));
        };
        let difference = second.abs_diff(*first);
        Ok((difference > self.at_most).then(|| format!("{}: {difference}, and {} at most", self.what, self.at_most)))
    }
}

fn default_memory() -> u32 {
    4096
}

fn default_timeout() -> u64 {
    300
}

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
    let kernels = sessions.iter().any(|(name, session)| suite.wants(&format!("sessions/{name}")) && !session.kernels.is_empty());
    let Some(stage) = suite.prepare("sessions", || Stage::set(workspace, kernels)) else {
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
            let session = toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
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
}

impl Stage {
    fn set(workspace: &Workspace, kernels: bool) -> Result<Self> {
        deps::qemu()?;
        let mut base = Archive::default();
        guests::add(workspace, &mut base)?;
        let kernels = if kernels { compile::kernels(workspace)? } else { Vec::new() };
        Ok(Self { hypervisor: compile::hypervisor(workspace)?, dom0: compile::dom0(workspace)?, base, kernels })
    }

    fn play(&self, workspace: &Workspace, session: &Session) -> Result<Verdict> {
        let out = workspace.out()?;
        let scratch = temporary().prefix("session-").tempdir_in(&out)?;
        let image = scratch.path().join("image.cpio");
        fs::write(&image, self.tree(workspace, session)?.pack()?)?;
        let log = scratch.path().join("log");
        let machine = Machine {
            kernel: self.hypervisor.clone(),
            module: Some(image),
            cmdline: String::new(),
            memory_mib: session.memory,
            cpus: 1,
            icount: session.icount,
            serial: vec![Serial::Stdio, Serial::File(log.clone())],
            disks: Vec::new(),
            extra: Vec::new(),
        };
        let plan = Plan { terminal: false, input: false, log: Some(log), timeout: Some(Duration::from_secs(session.timeout)) };
        let report = domus::run(&machine, &plan, &mut io::sink(), &mut io::sink())?;
        let verdict = judge(session, &report)?;
        if verdict != Verdict::Success {
            eprintln!("--- console\n{}--- log\n{}---", report.console, report.log);
        }
        Ok(verdict)
    }

    fn tree(&self, workspace: &Workspace, session: &Session) -> Result<Archive> {
        let mut tree = self.base.clone();
        if !session.without_dom0 {
            tree.copy("boot/dom0", &self.dom0)?;
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
        tree.bytes("etc/exec", exec_file(&session.exec)?)?;
        Ok(tree)
    }
}

fn judge(session: &Session, report: &Report) -> Result<Verdict> {
    if let Some(complaint) = report.complaint() {
        return Ok(Verdict::Failure(complaint.into()));
    }
    if report.status != session.status {
        return Ok(Verdict::Failure(format!("status {} instead of {}", report.status, session.status)));
    }
    let mut rest = report.console.as_str();
    for pattern in &session.expect {
        match regex(pattern)?.find(rest) {
            Some(found) => rest = &rest[found.end()..],
            None => {
                return Ok(Verdict::Failure(format!("expected {pattern:?}, after what was expected before")));
            }
        }
    }
    for pattern in &session.never {
        if let Some(found) = regex(pattern)?.find(&report.console) {
            return Ok(Verdict::Failure(format!("{:?} should not be there", found.as_str())));
        }
    }
    for pattern in &session.same {
        let found: Vec<&str> = regex(pattern)?.captures_iter(&report.console).filter_map(|c| Some(c.get(1)?.as_str())).collect();
        if found.len() < 2 || found.iter().any(|&value| value != found[0]) {
            return Ok(Verdict::Failure(format!("{pattern:?} should be the same everywhere: {found:?}")));
        }
    }
    for limit in &session.limits {
        if let Some(complaint) = limit.complaint(&report.console)? {
            return Ok(Verdict::Failure(complaint));
        }
    }
    for pattern in &session.log {
        if !regex(pattern)?.is_match(&report.log) {
            return Ok(Verdict::Failure(format!("the log does not have {pattern:?}")));
        }
    }
    Ok(Verdict::Success)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// `^` and `$` are those of a line.
fn regex(pattern: &str) -> Result<Regex> {
    regex::RegexBuilder::new(pattern).multi_line(true).build().with_context(|| format!("{pattern:?} is no regular expression"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domus_harness::log::Outcome;
    use domus_harness::supervise::Ended;

    fn report(status: u8, console: &str) -> Report {
        let outcome = Outcome::Exit(status);
        Report { status, ended: Ended::ByItself, outcome, console: console.into(), log: "[0.1] d1 crashed\n".into() }
    }

    fn judge(session: &str, report: &Report) -> Verdict {
        super::judge(&toml::from_str(session).unwrap(), report).unwrap()
    }

    #[test]
    fn the_order_matters() {
        let both = report(0, "one\ntwo\n");
        assert_eq!(judge("exec = ['x']\nexpect = ['^one$', '^two$']", &both), Verdict::Success);
        assert!(matches!(judge("exec = ['x']\nexpect = ['two', 'one']", &both), Verdict::Failure(_)));
    }

    #[test]
    fn status_absence_and_log_count() {
        assert!(matches!(judge("exec = ['x']", &report(1, "")), Verdict::Failure(_)));
        assert_eq!(judge("exec = ['x']\nstatus = 1\nlog = ['crashed']", &report(1, "")), Verdict::Success);
        assert!(matches!(judge("exec = ['x']\nnever = ['oops']", &report(0, "oops")), Verdict::Failure(_)));
        assert!(matches!(judge("exec = ['x']\nlog = ['fine']", &report(0, "")), Verdict::Failure(_)));
    }

    #[test]
    fn limits_hold() {
        let session = |most| format!("exec = ['x']\n[[limits]]\nwhat = 'time'\nnumber = 't=(.*)'\nbetween = [0, 1]\nat-most = {most}");
        assert_eq!(judge(&session(5), &report(0, "t=10\nt=15\n")), Verdict::Success);
        assert!(matches!(judge(&session(4), &report(0, "t=10\nt=15\n")), Verdict::Failure(_)));
        assert!(matches!(judge(&session(9), &report(0, "t=10\n")), Verdict::Failure(_)));
    }

    #[test]
    fn bytes_are_read() {
        assert_eq!(from_hex("7f45 4c 46"), Some(b"\x7fELF".to_vec()));
        assert_eq!(from_hex("7f4"), None);
        assert_eq!(from_hex("0x"), None);
    }

    #[test]
    fn what_must_stay_the_same_is_compared() {
        let session = "exec = ['x']\nsame = ['free: (.*)']";
        assert_eq!(judge(session, &report(0, "free: 5\nfree: 5\n")), Verdict::Success);
        assert!(matches!(judge(session, &report(0, "free: 5\nfree: 4\n")), Verdict::Failure(_)));
        assert!(matches!(judge(session, &report(0, "free: 5\n")), Verdict::Failure(_)));
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(toml::from_str::<Session>("exec = ['x']\nexpects = []").is_err());
    }
}
