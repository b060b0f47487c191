//! Runs one process to its end or to ours, whichever comes first: the deadline, a signal to us, or a line that says that there is
//! nothing more to wait for. QEMU never outlives the run.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How often the log file and the process are looked at while the console is silent. It bounds how late a line of the log appears.
const PERIOD: Duration = Duration::from_millis(20);
/// How long a process may take to obey SIGTERM before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the watcher has seen enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Go on.
    Continue,
    /// Give the machine this long to end by itself, then end it.
    EndWithin(Duration),
}

/// Takes what the machine writes, as it comes.
pub trait Watcher {
    /// Bytes from the process's standard output.
    fn console(&mut self, bytes: &[u8]) -> Result<Watch>;
    /// Bytes appended to the log file.
    fn log(&mut self, bytes: &[u8]) -> Result<Watch>;
}

/// Why the run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The process ended by itself, and well.
    ByItself,
    /// The process ended by itself with a failure: QEMU did not like its arguments, or crashed.
    Failed,
    /// A watcher had seen enough, and the process was ended.
    Stopped,
    /// The deadline passed, and the process was ended.
    TimedOut,
    /// We were interrupted (SIGINT, SIGTERM, SIGHUP), and the process was ended.
    Interrupted,
}

/// What the process reads from its standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// Nothing: it ends at once.
    #[default]
    Nothing,
    /// Whatever we are given.
    Ours,
    /// A file.
    File(PathBuf),
}

impl Input {
    fn stdio(&self) -> Result<Stdio> {
        Ok(match self {
            Self::Nothing => Stdio::null(),
            Self::Ours => Stdio::inherit(),
            Self::File(path) => File::open(path).with_context(|| format!("cannot read {}", path.display()))?.into(),
        })
    }
}

/// How to run it.
#[derive(Debug, Default)]
pub struct Plan {
    /// Pass our own terminal to the process, and do not watch its output.
    pub terminal: bool,
    /// Its standard input, if it does not have our terminal.
    pub input: Input,
    /// The file that the process writes its log to.
    pub log: Option<PathBuf>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// Runs `command` under `plan`.
///
/// # Errors
/// When the process cannot be started, or the watcher fails (a closed standard output, for example): the process is ended then too.
pub fn supervise(mut command: Command, plan: &Plan, watcher: &mut dyn Watcher) -> Result<Ended> {
    if let Some(log) = &plan.log {
        // The process empties it too, but only once it gets there: an old log must not be taken for the new one.
        File::create(log).with_context(|| format!("cannot write the log {}", log.display()))?;
    }
    if plan.terminal {
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit());
    } else {
        command.stdin(plan.input.stdio()?).stdout(Stdio::piped());
    }
    heed_signals()?;
    let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let mut child = Guard(child);
    let chunks = read_in_background(&mut child.0);
    let mut run = Run { tail: plan.log.as_deref().map(Tail::new), chunks, watcher, stop_at: None };
    let deadline = plan.timeout.map(|timeout| Instant::now() + timeout);
    let ended = loop {
        run.step(PERIOD)?;
        if let Some(status) = child.0.try_wait()? {
            break if status.success() { Ended::ByItself } else { Ended::Failed };
        }
        let now = Instant::now();
        if interrupted() {
            break Ended::Interrupted;
        } else if run.stop_at.is_some_and(|at| now >= at) {
            break Ended::Stopped;
        } else if deadline.is_some_and(|at| now >= at) {
            break Ended::TimedOut;
        }
    };
    if ended == Ended::Stopped && !plan.terminal {
        // It has said its last word: nothing is lost, and QEMU need not announce the signal.
        let _ = child.0.kill();
    }
    child.end();
    run.drain()?;
    Ok(ended)
}

/// Set by the signals that would otherwise end us and leave machines running, of which there may be several.
static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Whether such a signal came since the first process was started here. It stays so: nothing more is worth starting.
pub fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

fn heed_signals() -> Result<()> {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    // A handler for each process that we start: they are few, and all set the one flag.
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag))?;
    }
    Ok(())
}

struct Run<'a> {
    tail: Option<Tail>,
    chunks: Option<Receiver<Vec<u8>>>,
    watcher: &'a mut dyn Watcher,
    stop_at: Option<Instant>,
}

impl Run<'_> {
    /// Waits up to `period` for console output, then looks at the log.
    fn step(&mut self, period: Duration) -> Result<()> {
        match self.chunks.as_ref().map(|chunks| chunks.recv_timeout(period)) {
            Some(Ok(bytes)) => {
                let watch = self.watcher.console(&bytes)?;
                self.note(watch);
            }
            Some(Err(RecvTimeoutError::Timeout)) => {}
            Some(Err(RecvTimeoutError::Disconnected)) => self.chunks = None,
            None => thread::sleep(period),
        }
        self.look_at_log()
    }

    /// Takes what is left once the process has ended.
    fn drain(&mut self) -> Result<()> {
        if let Some(chunks) = self.chunks.take() {
            for bytes in chunks {
                self.watcher.console(&bytes)?;
            }
        }
        self.look_at_log()
    }

    fn look_at_log(&mut self) -> Result<()> {
        let Some(tail) = &mut self.tail else {
            return Ok(());
        };
        let bytes = tail.read()?;
        if !bytes.is_empty() {
            let watch = self.watcher.log(&bytes)?;
            self.note(watch);
        }
        Ok(())
    }

    fn note(&mut self, watch: Watch) {
        if let (Watch::EndWithin(grace), None) = (watch, self.stop_at) {
            self.stop_at = Some(Instant::now() + grace);
        }
    }
}

fn read_in_background(child: &mut Child) -> Option<Receiver<Vec<u8>>> {
    let mut stdout = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    Some(receiver)
}

/// A file that another process appends to.
struct Tail {
    path: PathBuf,
    file: Option<File>,
}

impl Tail {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None }
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        if self.file.is_none() {
            self.file = Some(File::open(&self.path)?);
        }
        let mut bytes = Vec::new();
        if let Some(file) = &mut self.file {
            file.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }
}

/// Ends the process when dropped, so that no error path leaves it running.
struct Guard(Child);

impl Guard {
    /// SIGTERM first: QEMU restores the terminal on it.
    fn end(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let give_up = Instant::now() + PATIENCE;
        while matches!(self.0.try_wait(), Ok(None)) {
            if Instant::now() >= give_up {
                let _ = self.0.kill();
                let _ = self.0.wait();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Keep {
        console: Vec<u8>,
        log: Vec<u8>,
    }

    impl Watcher for Keep {
        fn console(&mut self, bytes: &[u8]) -> Result<Watch> {
            self.console.extend(bytes);
            Ok(if self.console.ends_with(b"enough\n") { Watch::EndWithin(Duration::ZERO) } else { Watch::Continue })
        }

        fn log(&mut self, bytes: &[u8]) -> Result<Watch> {
            self.log.extend(bytes);
            Ok(Watch::Continue)
        }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn everything_is_read_before_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = format!("echo one; echo two >> '{}'; echo three", log.display());
        let plan = Plan { log: Some(log), ..Plan::default() };
        let mut keep = Keep::default();
        assert_eq!(supervise(shell(&script), &plan, &mut keep).unwrap(), Ended::ByItself);
        assert_eq!(keep.console, b"one\nthree\n");
        assert_eq!(keep.log, b"two\n");
    }

    #[test]
    fn a_file_can_be_its_input() {
        let dir = tempfile::tempdir().unwrap();
        let typed = dir.path().join("typed");
        std::fs::write(&typed, "one\ntwo\n").unwrap();
        let mut keep = Keep::default();
        supervise(shell("cat"), &Plan { input: Input::File(typed), ..Plan::default() }, &mut keep).unwrap();
        assert_eq!(keep.console, b"one\ntwo\n");
        let missing = Plan { input: Input::File(dir.path().join("no-such-file")), ..Plan::default() };
        let error = supervise(shell("cat"), &missing, &mut keep).unwrap_err();
        assert!(format!("{error:#}").contains("no-such-file"));
    }

    #[test]
    fn an_old_log_is_not_taken_for_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(&log, "domus-exit: 0\n").unwrap();
        let plan = Plan { log: Some(log), ..Plan::default() };
        let mut keep = Keep::default();
        supervise(shell("true"), &plan, &mut keep).unwrap();
        assert_eq!(keep.log, b"");
    }

    #[test]
    fn the_deadline_ends_it() {
        let plan = Plan { timeout: Some(Duration::from_millis(50)), ..Plan::default() };
        let started = Instant::now();
        assert_eq!(supervise(shell("exec sleep 60"), &plan, &mut Keep::default()).unwrap(), Ended::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn its_failure_is_not_its_end() {
        assert_eq!(supervise(shell("exit 1"), &Plan::default(), &mut Keep::default()).unwrap(), Ended::Failed);
    }

    #[test]
    fn a_watcher_ends_it() {
        let plan = Plan::default();
        let mut keep = Keep::default();
        assert_eq!(supervise(shell("echo enough; exec sleep 60"), &plan, &mut keep).unwrap(), Ended::Stopped);
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let error = supervise(Command::new("/no/such/qemu"), &Plan::default(), &mut Keep::default()).unwrap_err();
        assert!(format!("{error:#}").contains("/no/such/qemu"));
    }
}
