//! Runs steps, times them, and keeps count.

use std::time::{Duration, Instant};

use anyhow::Result;
use domus_harness::verdict::Verdict;

use crate::cli;

/// The steps so far.
pub struct Suite<'a> {
    options: &'a cli::Test,
    started: Instant,
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
}

impl<'a> Suite<'a> {
    /// No steps yet.
    pub fn new(options: &'a cli::Test) -> Self {
        Self { options, started: Instant::now(), passed: 0, failed: Vec::new(), skipped: 0 }
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
        let started = Instant::now();
        let verdict = work().unwrap_or_else(|error| Verdict::Error(format!("{error:#}")));
        self.count(name, &verdict, started.elapsed());
    }

    /// Prints a step's name, if it is asked for.
    pub fn name(&self, name: &str) {
        if self.wants(name) {
            println!("{name}");
        }
    }

    /// What steps share, made once. If it cannot be made, that is one failed step of the group's name, and the steps do not run.
    pub fn prepare<T>(&mut self, group: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        match work() {
            Ok(prepared) => Some(prepared),
            Err(error) => {
                self.count(group, &Verdict::Error(format!("{error:#}")), Duration::ZERO);
                None
            }
        }
    }

    fn count(&mut self, name: &str, verdict: &Verdict, took: Duration) {
        let took = took.as_secs_f64();
        match verdict {
            Verdict::Success => {
                self.passed += 1;
                println!("ok       {name} ({took:.1} s)");
            }
            Verdict::Skip(reason) => {
                self.skipped += 1;
                println!("skipped  {name}: {reason}");
            }
            Verdict::Error(_) | Verdict::Failure(_) => {
                self.failed.push(name.to_owned());
                println!("FAILED   {name} ({took:.1} s): {verdict}");
            }
        }
    }

    /// Prints the summary and gives the exit status. A run in which nothing passed has tested nothing.
    pub fn finish(self) -> u8 {
        if self.options.list && self.failed.is_empty() {
            return 0;
        }
        println!("\nin {:.0} s", self.started.elapsed().as_secs_f64());
        for name in &self.failed {
            println!("failed: {name}");
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped);
        u8::from(!self.failed.is_empty() || self.passed == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(filter: &[&str]) -> cli::Test {
        cli::Test { filter: filter.iter().map(|&filter| filter.to_owned()).collect(), list: false }
    }

    #[test]
    fn the_worst_decides_and_errors_count_as_failures() {
        let options = options(&[]);
        let mut suite = Suite::new(&options);
        suite.step("a", || Ok(Verdict::Success));
        suite.step("b", || Ok(Verdict::Skip("why".into())));
        suite.step("c", || anyhow::bail!("broken"));
        assert_eq!((suite.passed, suite.failed.len(), suite.skipped), (1, 1, 1));
        assert_eq!(suite.finish(), 1);
    }

    #[test]
    fn a_filter_chooses() {
        let options = options(&["kernels/pin"]);
        let mut suite = Suite::new(&options);
        assert!(suite.wants("kernels"), "the group of a wanted step");
        assert!(!suite.wants("lint"));
        suite.step("kernels/other", || unreachable!());
        suite.step("kernels/pin", || Ok(Verdict::Success));
        assert_eq!(suite.finish(), 0);
    }

    #[test]
    fn nothing_passed_is_no_success() {
        let options = options(&["no such step"]);
        let mut suite = Suite::new(&options);
        suite.step("a", || Ok(Verdict::Success));
        assert_eq!(suite.finish(), 1);
    }
}
