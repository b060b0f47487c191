//! Shows that the tests of the core can fail: one check of the validation is taken out, and a host test must notice.
//!
//! `tests/mutations.toml` lists the changes. Each is made in a copy of the sources, which must still compile: a change that the
//! compiler rejects has shown nothing about the tests. The first test that fails decides; the others are not waited for.

use std::collections::BTreeSet;
use std::fs;
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
    /// What stands there instead.
    replace: String,
    /// The package whose tests must notice.
    package: String,
    /// Which of its integration tests must notice; `lib` is its unit tests.
    test: String,
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
    suite.step("mutations/none", || unchanged(workspace, &mutations));
    for mutation in mutations {
        suite.step(&format!("mutations/{}", mutation.name), || try_out(workspace, &mutation));
    }
}

/// A test that fails anyhow shows nothing about a change.
fn unchanged(workspace: &Workspace, mutations: &[Mutation]) -> Result<Verdict> {
    let copy = fresh_copy(workspace)?;
    let packages: BTreeSet<_> = mutations.iter().map(|mutation| mutation.package.as_str()).collect();
    for package in packages {
        let tests: BTreeSet<_> =
            mutations.iter().filter(|mutation| mutation.package == package).map(|mutation| mutation.test.as_str()).collect();
        for test in build(workspace, &copy, package, &tests)? {
            if let Some(failure) = failure(&copy, &test)? {
                return Ok(Verdict::Failure(format!("{} fails without any change: {failure}", test.name)));
            }
        }
    }
    Ok(Verdict::Success)
}

fn try_out(workspace: &Workspace, mutation: &Mutation) -> Result<Verdict> {
    let source =
        fs::read_to_string(workspace.root.join(&mutation.file)).with_context(|| format!("cannot read {}", mutation.file.display()))?;
    let mutated = apply(&source, mutation)?;
    let copy = fresh_copy(workspace)?;
    fs::write(copy.join(&mutation.file), mutated)?;
    let tests = build(workspace, &copy, &mutation.package, &BTreeSet::from([mutation.test.as_str()])).context("with the change")?;
    for test in tests {
        if failure(&copy, &test)?.is_some() {
            return Ok(Verdict::Success);
        }
    }
    Ok(Verdict::Failure(format!("{} of {} does not notice it", mutation.test, mutation.package)))
}

fn fresh_copy(workspace: &Workspace) -> Result<PathBuf> {
    let copy = workspace.target.join("mutant");
    copy_sources(&workspace.root, &copy)?;
    Ok(copy)
}

/// Builds tests of a package. All changes share cargo's own target folder, so that what the host's tests are made of is not compiled again and
/// only the changed crate is compiled for each.
fn build(workspace: &Workspace, copy: &Path, package: &str, tests: &BTreeSet<&str>) -> Result<Vec<Program>> {
    let mut cargo = super::source::cargo(workspace);
    cargo.current_dir(copy).args(["test", "--quiet", "--no-run", "-p", package, "--target-dir"]).arg(&workspace.target);
    for test in tests {
        match *test {
            "lib" => cargo.arg("--lib"),
            test => cargo.args(["--test", test]),
        };
    }
    let programs = compile::executables(&mut cargo)?;
    ensure!(programs.len() == tests.len(), "cargo built {} programs for {} tests", programs.len(), tests.len());
    Ok(programs)
}

/// Runs a test program up to its first failure, and gives that; `None` if all passed.
fn failure(copy: &Path, test: &Program) -> Result<Option<String>> {
    let mut command = Command::new(&test.path);
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

fn apply(source: &str, mutation: &Mutation) -> Result<String> {
    match source.matches(&mutation.find).count() {
        1 => Ok(source.replacen(&mutation.find, &mutation.replace, 1)),
        found => bail!("{:?} stands {found} times in {}, not once", mutation.find, mutation.file.display()),
    }
}

/// Brings the copy up to date. A file that is the same keeps its time, so that cargo compiles only what differs.
fn copy_sources(root: &Path, copy: &Path) -> Result<()> {
    let ours = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() != 1 || (name != "target" && !(name.starts_with('.') && name != ".cargo"))
    };
    for entry in WalkDir::new(root).into_iter().filter_entry(ours) {
        let entry = entry?;
        let to = copy.join(entry.path().strip_prefix(root)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&to)?;
        } else if entry.file_type().is_file() {
            let bytes = fs::read(entry.path())?;
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

    fn mutation(find: &str) -> Mutation {
        let list = format!("[[mutation]]\nname = 'x'\nfile = 'a.rs'\nfind = '{find}'\nreplace = 'true'\npackage = 'p'\ntest = 'lib'\n");
        toml::from_str::<List>(&list).unwrap().mutation.remove(0)
    }

    #[test]
    fn a_change_must_be_unambiguous() {
        assert_eq!(apply("if a && b {}", &mutation("a && b")).unwrap(), "if true {}");
        assert!(apply("a a", &mutation("a")).is_err());
        assert!(apply("b", &mutation("a")).is_err());
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
            failure(folder.path(), &program("echo test a ... ok; echo 'test b - should panic ... FAILED'; exec sleep 60")).unwrap();
        assert_eq!(failed.as_deref(), Some("test b - should panic ... FAILED"));
        assert!(started.elapsed() < Duration::from_secs(30));
        assert_eq!(failure(folder.path(), &program("echo 'test a ... ok'; echo 'test result: ok. 1 passed; 0 failed'")).unwrap(), None);
        assert!(failure(folder.path(), &program("exit 101")).unwrap().is_some(), "an abort is a failure without a line");
    }

    #[test]
    fn only_what_changed_is_written() {
        let (root, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(root.path().join("target/x")).unwrap();
        fs::write(root.path().join("a"), "1").unwrap();
        fs::write(root.path().join("b"), "1").unwrap();
        copy_sources(root.path(), copy.path()).unwrap();
        assert!(!copy.path().join("target").exists());
        let before = fs::metadata(copy.path().join("a")).unwrap().modified().unwrap();
        fs::write(copy.path().join("b"), "mutated").unwrap();
        copy_sources(root.path(), copy.path()).unwrap();
        assert_eq!(fs::read_to_string(copy.path().join("b")).unwrap(), "1");
        assert_eq!(fs::metadata(copy.path().join("a")).unwrap().modified().unwrap(), before);
    }
}
