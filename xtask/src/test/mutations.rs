//! Shows that the tests of the core can fail: one check of the validation is taken out, and a host test must notice.
//!
//! `tests/mutations.toml` lists the changes. All of them are made in one copy of the sources, each behind a switch of its own, and the tests are
//! compiled once. Without a switch they must pass; then each change is switched on alone. The first test that fails decides; the others are not
//! waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use domus_harness::supervise::{Ended, Plan, Watch, Watcher, supervise};
use domus_harness::verdict::Verdict;
use serde::Deserialize;
use walkdir::WalkDir;

use super::suite::Suite;
use crate::compile::{self, Program};
use crate::workspace::Workspace;

/// The list, below the root.
const LIST: &str = "tests/mutations.toml";
/// What stands for a change's switch in its text: true while that change is tried.
const SWITCH: &str = "MUTANT";
/// The variable that tells a test program which change is tried, by its number in the list.
const CHOICE: &str = "DOMUS_MUTANT";
/// How long the tests of one change may take. Without a check, a loop may never end; a test that hangs has noticed too.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Deserialize)]
struct List {
    #[serde(default)]
    mutation: Vec<Mutation>,
}

/// One change that a test must notice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutation {
    /// What is taken out, in a word or two with dashes; the name of the step.
    name: String,
    /// The source file, below the root.
    file: PathBuf,
    /// What stands there, exactly once.
    find: String,
    /// What stands there instead, with [`SWITCH`] in it: without the switch it means what it replaces.
    replace: String,
    /// Which integration test must notice.
    test: String,
}

impl Mutation {
    fn step(&self) -> String {
        format!("mutations/{}", self.name)
    }
}

/// Adds a step for each change, and one first that shows that the same tests pass without any.
pub fn steps(workspace: &Workspace, suite: &mut Suite<'_>) {
    let path = workspace.root.join(LIST);
    if !suite.wants("mutations") || !path.exists() {
        return;
    }
    let list = suite.prepare("mutations", || {
        let text = fs::read_to_string(&path)?;
        toml::from_str::<List>(&text).with_context(|| format!("cannot read {LIST}"))
    });
    let mutations = list.map(|list| list.mutation).unwrap_or_default();
    if suite.lists() {
        suite.name("mutations/none");
        return mutations.iter().for_each(|mutation| suite.name(&mutation.step()));
    }
    let Some(mutants) = suite.prepare("mutations", || Mutants::build(workspace, &mutations)) else {
        return;
    };
    suite.step("mutations/none", || mutants.unchanged());
    for (number, mutation) in mutations.iter().enumerate() {
        suite.step(&mutation.step(), || mutants.try_out(number, mutation));
    }
}

/// The copy of the sources with all changes in it, and the tests made of it.
struct Mutants {
    copy: PathBuf,
    tests: BTreeMap<String, Program>,
}

impl Mutants {
    /// The tests share cargo's own target folder, and as many packages are asked of cargo as for the host's tests: so what those are made of is not
    /// compiled again, but for the changed crate.
    fn build(workspace: &Workspace, mutations: &[Mutation]) -> Result<Self> {
        let copy = workspace.target.join("mutant");
        copy_sources(&workspace.root, &copy, &changed(&workspace.root, mutations)?)?;
        let names: BTreeSet<_> = mutations.iter().map(|mutation| mutation.test.as_str()).collect();
        let mut cargo = super::source::cargo(workspace);
        cargo.current_dir(&copy).args(["test", "--quiet", "--no-run", "--target-dir"]).arg(&workspace.target);
        cargo.args(names.iter().flat_map(|name| ["--test", name]));
        let programs = compile::executables(&mut cargo).context("with all changes, none of them switched on")?;
        ensure!(programs.len() == names.len(), "cargo built {} programs for {} tests", programs.len(), names.len());
        Ok(Self { copy, tests: programs.into_iter().map(|program| (program.name.clone(), program)).collect() })
    }

    /// A test that fails anyhow shows nothing about a change.
    fn unchanged(&self) -> Result<Verdict> {
        for (name, test) in &self.tests {
            if let Some(failure) = failure(&self.copy, test, None)? {
                return Ok(Verdict::Failure(format!("{name} fails without any change: {failure}")));
            }
        }
        Ok(Verdict::Success)
    }

    fn try_out(&self, number: usize, mutation: &Mutation) -> Result<Verdict> {
        let test = self.tests.get(&mutation.test).with_context(|| format!("cargo built no {}", mutation.test))?;
        Ok(match failure(&self.copy, test, Some(number))? {
            Some(_) => Verdict::Success,
            None => Verdict::Failure(format!("{} does not notice it", mutation.test)),
        })
    }
}

/// The files that change, below the root, with all their changes; each crate that has one gets the switches in its root.
fn changed(root: &Path, mutations: &[Mutation]) -> Result<BTreeMap<PathBuf, String>> {
    let read = |file: &Path| fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {}", file.display()));
    let mut changes: BTreeMap<&Path, Vec<(usize, &Mutation)>> = BTreeMap::new();
    for (number, mutation) in mutations.iter().enumerate() {
        changes.entry(&mutation.file).or_default().push((number, mutation));
    }
    let mut files = BTreeMap::new();
    for (file, changes) in changes {
        files.insert(file.to_owned(), apply(&read(file)?, &changes)?);
        let source = file.ancestors().find(|folder| folder.ends_with("src")).with_context(|| format!("{} is no source", file.display()))?;
        let library = source.join("lib.rs");
        files.entry(library.clone()).or_insert(read(&library)? + &switches());
    }
    Ok(files)
}

/// Makes all changes of one file.
fn apply(source: &str, changes: &[(usize, &Mutation)]) -> Result<String> {
    let mut places: Vec<(Range<usize>, String)> = Vec::new();
    for &(number, mutation) in changes {
        let at: Vec<_> = source.match_indices(&mutation.find).map(|(at, _)| at).collect();
        let [at] = at[..] else {
            bail!("{}: {:?} stands {} times in {}, not once", mutation.name, mutation.find, at.len(), mutation.file.display());
        };
        ensure!(mutation.replace.contains(SWITCH), "{}: there is no {SWITCH} in what replaces it", mutation.name);
        places.push((at..at + mutation.find.len(), mutation.replace.replace(SWITCH, &format!("crate::mutant({number})"))));
    }
    places.sort_by_key(|(place, _)| place.start);
    ensure!(places.is_sorted_by(|(a, _), (b, _)| a.end <= b.start), "two changes of {} overlap", changes[0].1.file.display());
    let (mut text, mut done) = (String::new(), 0);
    for (place, replacement) in places {
        text += &source[done..place.start];
        text += &replacement;
        done = place.end;
    }
    Ok(text + &source[done..])
}

/// What tells a changed crate whether a change is switched on.
fn switches() -> String {
    format!(
        "
/// Whether this change is tried.
pub fn mutant(number: usize) -> bool {{
    extern crate std;
    static TRIED: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();
    *TRIED.get_or_init(|| std::env::var(\"{CHOICE}\").ok().map(|number| number.parse().expect(\"a number\"))) == Some(number)
}}
"
    )
}

/// Runs a test program, with a change if one is chosen, up to its first failure, and gives that; `None` if all passed.
fn failure(copy: &Path, test: &Program, choice: Option<usize>) -> Result<Option<String>> {
    let mut command = Command::new(&test.path);
    command.env_remove(CHOICE).envs(choice.map(|number| (CHOICE, number.to_string())));
    // That it fails is enough; the smallest case in which it does is not looked for.
    command.current_dir(copy).env("PROPTEST_MAX_SHRINK_ITERS", "0").stderr(Stdio::null());
    let mut first = FirstFailure::default();
    let ended = supervise(command, &Plan { timeout: Some(PATIENCE), ..Plan::default() }, &mut first)?;
    Ok(match (ended, first.found) {
        (Ended::Interrupted, _) => bail!("interrupted"),
        (_, Some(line)) => Some(line),
        (Ended::ByItself, None) => None,
        (ended, None) => Some(format!("{ended:?} after {:?}", first.line)),
    })
}

/// Waits for the line of a test that failed.
#[derive(Default)]
struct FirstFailure {
    line: String,
    found: Option<String>,
}

impl Watcher for FirstFailure {
    fn console(&mut self, bytes: &[u8]) -> Result<Watch> {
        for c in String::from_utf8_lossy(bytes).chars() {
            if c != '\n' {
                self.line.push(c);
            } else if self.line.starts_with("test ") && self.line.ends_with("... FAILED") {
                self.found = Some(std::mem::take(&mut self.line));
                return Ok(Watch::EndWithin(Duration::ZERO));
            } else {
                self.line.clear();
            }
        }
        Ok(Watch::Continue)
    }

    fn log(&mut self, _: &[u8]) -> Result<Watch> {
        Ok(Watch::Continue)
    }
}

/// Brings the copy up to date. A file that is the same keeps its time, so that cargo compiles only what differs.
fn copy_sources(root: &Path, copy: &Path, changed: &BTreeMap<PathBuf, String>) -> Result<()> {
    let ours = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() != 1 || (name != "target" && !(name.starts_with('.') && name != ".cargo"))
    };
    for entry in WalkDir::new(root).into_iter().filter_entry(ours) {
        let entry = entry?;
        let file = entry.path().strip_prefix(root)?;
        let to = copy.join(file);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&to)?;
        } else if entry.file_type().is_file() {
            let bytes = changed.get(file).map_or_else(|| fs::read(entry.path()), |text| Ok(text.clone().into_bytes()))?;
            if fs::read(&to).ok().as_deref() != Some(bytes.as_slice()) {
                fs::write(&to, bytes)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes of one file, each by what it finds; without the switch they are as before.
    fn applied(source: &str, find: &[&str]) -> Result<String> {
        let mutation = |find: &&str| -> Mutation {
            toml::from_str(&format!("name = 'x'\nfile = 'a.rs'\nfind = '{find}'\nreplace = '({find} || MUTANT)'\ntest = 't'\n")).unwrap()
        };
        let mutations: Vec<_> = find.iter().map(mutation).collect();
        apply(source, &mutations.iter().enumerate().collect::<Vec<_>>())
    }

    #[test]
    fn a_change_must_be_unambiguous() {
        let both = applied("if a && b {}", &["b", "a"]).unwrap();
        assert_eq!(both, "if (a || crate::mutant(1)) && (b || crate::mutant(0)) {}", "each has its own number, in the list's order");
        assert!(applied("a a", &["a"]).is_err());
        assert!(applied("b", &["a"]).is_err());
        assert!(applied("a && b", &["a &&", "&& b"]).is_err(), "they overlap");
    }

    #[test]
    fn a_change_without_a_switch_is_refused() {
        let mutation = toml::from_str("name = 'x'\nfile = 'a.rs'\nfind = 'a'\nreplace = 'false'\ntest = 't'\n").unwrap();
        assert!(apply("a", &[(0, &mutation)]).is_err());
    }

    /// A test that would go on for a minute after its first failure.
    #[test]
    fn nobody_waits_for_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let program = |text: &str| {
            let path = folder.path().join("test");
            crate::workspace::write(&path, format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            Program { name: "test".into(), path }
        };
        let started = std::time::Instant::now();
        let failed =
            failure(folder.path(), &program("echo test a ... ok; echo 'test b - should panic ... FAILED'; exec sleep 60"), None).unwrap();
        assert_eq!(failed.as_deref(), Some("test b - should panic ... FAILED"));
        assert!(started.elapsed() < Duration::from_secs(30));
        assert_eq!(
            failure(folder.path(), &program("echo 'test a ... ok'; echo 'test result: ok. 1 passed; 0 failed'"), None).unwrap(),
            None
        );
        assert!(failure(folder.path(), &program("exit 101"), None).unwrap().is_some(), "an abort is a failure without a line");
    }

    #[test]
    fn only_what_changed_is_written() {
        let (root, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(root.path().join("target/x")).unwrap();
        fs::write(root.path().join("a"), "1").unwrap();
        fs::write(root.path().join("b"), "1").unwrap();
        copy_sources(root.path(), copy.path(), &BTreeMap::from([("b".into(), "mutated".into())])).unwrap();
        assert_eq!(fs::read_to_string(copy.path().join("b")).unwrap(), "mutated");
        assert!(!copy.path().join("target").exists());
        let before = fs::metadata(copy.path().join("a")).unwrap().modified().unwrap();
        copy_sources(root.path(), copy.path(), &BTreeMap::new()).unwrap();
        assert_eq!(fs::read_to_string(copy.path().join("b")).unwrap(), "1");
        assert_eq!(fs::metadata(copy.path().join("a")).unwrap().modified().unwrap(), before);
    }
}
