//! What has come of the steps: printed as they end, each in one piece, and counted.

use std::fs;
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
        state.summary(took, processor_time()).unwrap_or_else(|error| gone(&error));
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

/// Seconds that the processors worked for this program and for all that it started and that has ended: what of a run's length is its own, and not
/// its neighbours' on the machine.
fn processor_time() -> Option<f64> {
    parse_stat(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 14 to 17 of `/proc/PID/stat` (proc(5)): time in user mode and in the kernel, then the same of children, in ticks, of which Linux counts 100
/// in a second.
fn parse_stat(stat: &str) -> Option<f64> {
    // The second field, a name in parentheses, may have blanks; what follows begins with the third.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|ticks| ticks.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(ticks as f64 / 100.0)
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

    fn summary(&mut self, took: f64, processor: Option<f64>) -> io::Result<()> {
        let processor = processor.map_or_else(String::new, |seconds| format!(", of which processors worked {seconds:.0} s"));
        writeln!(self.out, "\nin {took:.0} s{processor}")?;
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
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_that_of_all_processes() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194304 9 9 0 0 100 20 3000 400 20 0 1 0 5 6 7";
        assert_eq!(parse_stat(stat), Some(35.2));
        assert_eq!(parse_stat("7 (a) S 1"), None);
        assert!(processor_time().is_some());
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
