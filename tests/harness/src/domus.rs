//! A run of Domus: the first domain's console comes from COM1, the verdict from the log on COM2.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::STATUS_UNKNOWN;
use crate::capture::Capture;
use crate::console::Newlines;
use crate::log::{Log, Outcome};
use crate::machine::Machine;
use crate::supervise::{Ended, Plan, Watch, Watcher, supervise};

/// After a panic: long enough for the rest of the report.
const AFTER_PANIC: Duration = Duration::from_secs(3);
/// After `domus-exit`: long enough to switch the machine off, on a slow host too.
const AFTER_EXIT: Duration = Duration::from_secs(30);

/// How a run of Domus went.
#[derive(Debug)]
pub struct Report {
    /// What to exit with.
    pub status: u8,
    /// Why the process ended.
    pub ended: Ended,
    /// What the log said.
    pub outcome: Outcome,
    /// The first domain's console, lines ended by LF. Empty if the console was the terminal.
    pub console: String,
    /// The hypervisor's log, lines ended by LF.
    pub log: String,
}

/// Boots `machine` under `plan` and passes the console to `console` and the log to `log` as they come.
///
/// # Errors
/// When QEMU cannot be started or the sinks cannot be written.
pub fn run(machine: &Machine, plan: &Plan, console: &mut dyn Write, log: &mut dyn Write) -> Result<Report> {
    let mut watcher = Domus { console: Stream::new(console), log: Stream::new(log), verdict: Log::default() };
    let ended = supervise(machine.command(), plan, &mut watcher)?;
    watcher.console.finish()?;
    watcher.log.finish()?;
    let outcome = watcher.verdict.outcome();
    let status = if ended == Ended::ByItself { outcome.status() } else { STATUS_UNKNOWN };
    Ok(Report { status, ended, outcome, console: watcher.console.capture.text(), log: watcher.log.capture.text() })
}

impl Report {
    /// Why there is no status, for the person at the terminal; `None` if the hypervisor gave one and switched the machine off.
    pub fn complaint(&self) -> Option<&'static str> {
        Some(match (self.ended, self.outcome) {
            (Ended::ByItself, Outcome::Exit(_)) => return None,
            (Ended::TimedOut, _) => "the timeout passed, and the machine was ended",
            (Ended::Failed, _) => "QEMU failed; its own message stands above",
            (Ended::Interrupted, _) => "interrupted, and the machine was ended",
            (_, Outcome::Panic) => "the hypervisor panicked",
            (Ended::ByItself, Outcome::Missing) => {
                "the machine stopped without a `domus-exit` line as the log's last (a triple fault, or QEMU was left)"
            }
            (Ended::Stopped, _) => "the hypervisor wrote `domus-exit` but did not switch the machine off",
        })
    }
}

struct Domus<'a> {
    console: Stream<'a>,
    log: Stream<'a>,
    verdict: Log,
}

impl Watcher for Domus<'_> {
    fn console(&mut self, bytes: &[u8]) -> Result<Watch> {
        self.console.push(bytes).context("cannot pass on the console")?;
        Ok(Watch::Continue)
    }

    fn log(&mut self, bytes: &[u8]) -> Result<Watch> {
        self.verdict.feed(bytes);
        self.log.push(bytes).context("cannot pass on the log")?;
        Ok(match self.verdict.outcome() {
            Outcome::Panic => Watch::EndWithin(AFTER_PANIC),
            Outcome::Exit(_) => Watch::EndWithin(AFTER_EXIT),
            Outcome::Missing => Watch::Continue,
        })
    }
}

struct Stream<'a> {
    newlines: Newlines,
    capture: Capture,
    sink: &'a mut dyn Write,
}

impl<'a> Stream<'a> {
    fn new(sink: &'a mut dyn Write) -> Self {
        Self { newlines: Newlines::default(), capture: Capture::default(), sink }
    }

    fn push(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let bytes = self.newlines.feed(bytes);
        self.capture.push(&bytes);
        self.sink.write_all(&bytes)?;
        self.sink.flush()
    }

    fn finish(&mut self) -> std::io::Result<()> {
        let rest = self.newlines.finish();
        self.capture.push(rest);
        self.sink.write_all(rest)?;
        self.sink.flush()
    }
}
