//! One lane's view of the test run: which steps are wanted, and how each is run and reported.

use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use anyhow::Result;
use domus_harness::supervise::interrupted;
use domus_harness::verdict::Verdict;

use super::report::Report;
use crate::cli;
use crate::progress::captured;

/// Runs steps, one after the other.
pub struct Suite<'a> {
    options: &'a cli::Test,
    report: &'a Report,
    /// Whether other lanes run meanwhile. What is said during a step is then kept for its verdict, and shown only if it failed.
    beside_others: bool,
}

impl<'a> Suite<'a> {
    /// A lane that reports there.
    pub fn new(options: &'a cli::Test, report: &'a Report, beside_others: bool) -> Self {
        Self { options, report, beside_others }
    }

    /// Whether a step of this name is asked for. A group asks before it prepares what its steps share.
    pub fn wants(&self, name: &str) -> bool {
        let filters = &self.options.filter;
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter) || filter.starts_with(&format!("{name}/")))
    }

    /// Whether the steps are only named.
    pub fn lists(&self) -> bool {
        self.options.list
    }

    /// Runs one step, if it is asked for.
    pub fn step(&mut self, name: &str, work: impl FnOnce() -> Result<Verdict>) {
        if !self.wants(name) {
            return;
        }
        if self.options.list {
            return self.name(name);
        }
        if interrupted() {
            return self.report.left_out();
        }
        let started = Instant::now();
        let (verdict, said) = self.run(work);
        let verdict = verdict.unwrap_or_else(|error| Verdict::Error(format!("{error:#}")));
        self.report.count(name, &verdict, started.elapsed(), &said);
    }

    /// Prints a step's name, if it is asked for.
    pub fn name(&self, name: &str) {
        if self.wants(name) {
            println!("{name}");
        }
    }

    /// What steps share, made once. If it cannot be made, that is one failed step of the group's name, and the steps do not run.
    pub fn prepare<T>(&mut self, group: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        if interrupted() {
            self.report.left_out();
            return None;
        }
        match self.run(work) {
            (Ok(prepared), _) => Some(prepared),
            (Err(error), said) => {
                self.report.count(group, &Verdict::Error(format!("{error:#}")), Duration::ZERO, &said);
                None
            }
        }
    }

    /// Runs a group of steps. One that breaks off between its steps is a failed step of the group's name.
    pub fn group(&mut self, name: &str, steps: impl FnOnce(&mut Self)) {
        let steps = || {
            steps(self);
            Ok(())
        };
        if let Err(error) = caught(steps) {
            self.report.count(name, &Verdict::Error(format!("{error:#}")), Duration::ZERO, "");
        }
    }

    fn run<T>(&self, work: impl FnOnce() -> Result<T>) -> (Result<T>, String) {
        if self.beside_others { captured(|| caught(work)) } else { (caught(work), String::new()) }
    }
}

/// A panic is an error of whoever panicked, and ends no other step.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // What panicked is not looked at again: a step owns what it works with, and the report is locked only around its own few lines.
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Err(anyhow::anyhow!("it panicked: {}", text.unwrap_or("without a word")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(filter: &[&str]) -> cli::Test {
        cli::Test { filter: filter.iter().map(|&filter| filter.to_owned()).collect(), list: false, jobs: None }
    }

    /// The exit status, and what was printed before the time that it took.
    fn run(filter: &[&str], work: impl FnOnce(&mut Suite<'_>)) -> (u8, String) {
        let (report, printed) = Report::for_tests();
        let options = options(filter);
        work(&mut Suite::new(&options, &report, true));
        (report.finish(), printed.text())
    }

    #[test]
    fn the_worst_decides_and_errors_count_as_failures() {
        let (status, printed) = run(&[], |suite| {
            suite.step("a", || Ok(Verdict::Success));
            suite.step("b", || Ok(Verdict::Skip("why".into())));
            suite.step("c", || anyhow::bail!("broken"));
        });
        assert_eq!(status, 1);
        assert!(printed.ends_with("\nfailed: c\n1 passed, 1 failed, 1 skipped\n"), "{printed}");
    }

    #[test]
    fn a_filter_chooses() {
        let (status, printed) = run(&["kernels/pin"], |suite| {
            assert!(suite.wants("kernels"), "the group of a wanted step");
            assert!(!suite.wants("lint"));
            suite.step("kernels/other", || unreachable!());
            suite.step("kernels/pin", || Ok(Verdict::Success));
        });
        assert_eq!(status, 0);
        assert!(printed.ends_with("\n1 passed, 0 failed, 0 skipped\n"), "{printed}");
    }

    #[test]
    fn nothing_passed_is_no_success() {
        assert_eq!(run(&["no such step"], |suite| suite.step("a", || Ok(Verdict::Success))).0, 1);
    }

    #[test]
    fn a_panic_is_a_failure_and_the_next_step_runs() {
        let (status, printed) = run(&[], |suite| {
            suite.step("a", || panic!("number {}", 5));
            suite.group("group", |suite| {
                suite.step("b", || Ok(Verdict::Success));
                panic!("between");
            });
            assert_eq!(suite.prepare("c", || -> Result<()> { panic!("early") }), None);
            suite.step("d", || Ok(Verdict::Success));
        });
        assert_eq!(status, 1);
        for line in
            ["it panicked: number 5\n", "it panicked: between\n", "it panicked: early\n", "ok       d", "2 passed, 3 failed, 0 skipped\n"]
        {
            assert!(printed.contains(line), "{line}: {printed}");
        }
    }

    #[test]
    fn a_failure_comes_with_what_was_said_and_a_success_without() {
        let (_, printed) = run(&[], |suite| {
            for verdict in [Verdict::Success, Verdict::Failure("no".into())] {
                suite.step("a", || {
                    crate::progress::show(&format!("words of {verdict:?}\n"));
                    Ok(verdict)
                });
            }
        });
        assert!(!printed.contains("words of Success"), "{printed}");
        assert!(printed.contains("words of Failure(\"no\")\nFAILED   a"), "{printed}");
    }
}
