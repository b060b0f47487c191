//! What has come of the steps: printed as they end, each in one piece, and counted.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domus_harness::verdict::Verdict;

/// The steps so far, of all lanes.
pub struct Report {
    started: Instant,
    state: Mutex<State>,
}

struct State {
    /// For verdicts.
    out: Box<dyn Write + Send>,
    /// For what was said before them.
    err: Box<dyn Write + Send>,
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
    left_out: usize,
}

impl Default for Report {
    fn default() -> Self {
        Self::new(Box::new(io::stdout()), Box::new(io::stderr()))
    }
}

impl Report {
    fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        let state = State { out, err, passed: 0, failed: Vec::new(), skipped: 0, left_out: 0 };
        Self { started: Instant::now(), state: Mutex::new(state) }
    }

    /// Prints and counts one step. `said` is shown if it failed.
    pub fn count(&self, name: &str, verdict: &Verdict, took: Duration, said: &str) {
        self.state().count(name, verdict, took.as_secs_f64(), said).unwrap_or_else(|error| gone(&error));
    }

    /// Counts what was not begun, since we were interrupted.
    pub fn left_out(&self) {
        self.state().left_out += 1;
    }

    /// Prints the summary and gives the exit status. A run in which nothing passed has tested nothing.
    pub fn finish(self) -> u8 {
        let took = self.started.elapsed().as_secs_f64();
        let mut state = self.state();
        state.summary(took).unwrap_or_else(|error| gone(&error));
        u8::from(!state.failed.is_empty() || state.passed == 0 || state.left_out > 0)
    }

    /// Whether a step has failed.
    pub fn has_failures(&self) -> bool {
        !self.state().failed.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without a reader the tests are of no use: as `println!` does it.
fn gone(error: &io::Error) -> ! {
    panic!("cannot print the results: {error}")
}

impl State {
    fn count(&mut self, name: &str, verdict: &Verdict, took: f64, said: &str) -> io::Result<()> {
        match verdict {
            Verdict::Success => {
                self.passed += 1;
                writeln!(self.out, "ok       {name} ({took:.1} s)")
            }
            Verdict::Skip(reason) => {
                self.skipped += 1;
                writeln!(self.out, "skipped  {name}: {reason}")
            }
            Verdict::Error(_) | Verdict::Failure(_) => {
                self.failed.push(name.to_owned());
                self.err.write_all(said.as_bytes())?;
                writeln!(self.out, "FAILED   {name} ({took:.1} s): {verdict}")
            }
        }
    }

    fn summary(&mut self, took: f64) -> io::Result<()> {
        writeln!(self.out, "\nin {took:.0} s")?;
        for name in &self.failed {
            writeln!(self.out, "failed: {name}")?;
        }
        if self.left_out > 0 {
            writeln!(self.out, "interrupted: steps that had not begun did not run")?;
        }
        writeln!(self.out, "{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped)
    }
}

#[cfg(test)]
mod printed {
    use super::*;
    use std::sync::Arc;

    /// What a report printed, both streams as they came.
    #[derive(Clone, Default)]
    pub struct Printed(Arc<Mutex<Vec<u8>>>);

    impl Printed {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Printed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Report {
        pub fn for_tests() -> (Self, Printed) {
            let printed = Printed::default();
            (Self::new(Box::new(printed.clone()), Box::new(printed.clone())), printed)
        }
    }
}
