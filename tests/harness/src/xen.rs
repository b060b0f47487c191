//! A run of the same guest on a real Xen. Its serial line carries two voices: Xen's own lines, opened by `(XEN) `, and the first
//! domain's console, which is passed through as it is. Its text also says how the run ended: after a power-off Xen halts and QEMU
//! would stay for ever.

use std::time::Duration;

use anyhow::Result;

use crate::capture::Capture;
use crate::console::Newlines;
use crate::machine::Machine;
use crate::supervise::{Ended, Plan, Watch, Watcher, supervise};

/// How a run on Xen ended, as Xen tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The first domain powered off (`Hardware Dom0 halted`).
    PowerOff,
    /// It asked for a reboot (`Hardware Dom0 shutdown: rebooting machine`).
    Reboot,
    /// It crashed, or Xen crashed it.
    Crash,
    /// Xen itself panicked or refused to start the domain.
    XenFailed,
}

/// How a run on Xen went.
#[derive(Debug)]
pub struct Report {
    /// How the first domain ended; `None` if Xen did not say.
    pub ending: Option<Ending>,
    /// Why QEMU ended.
    pub ended: Ended,
    /// The first domain's console, lines ended by LF.
    pub console: String,
    /// The whole serial line, Xen's lines included.
    pub serial: String,
}

/// Boots `machine`, whose COM1 must be its standard output, until Xen says how the first domain ended.
///
/// # Errors
/// When QEMU cannot be started.
pub fn run(machine: &Machine, timeout: Option<Duration>) -> Result<Report> {
    let mut watcher = Serial::default();
    let plan = Plan { timeout, ..Plan::default() };
    let ended = supervise(machine.command(), &plan, &mut watcher)?;
    watcher.capture.push(watcher.newlines.finish());
    let serial = watcher.capture.text();
    Ok(Report { ending: ending(&serial), ended, console: guest_console(&serial), serial })
}

/// Xen's last line is at most this long; more need not be looked at for each piece of output.
const TAIL: usize = 4096;

#[derive(Default)]
struct Serial {
    newlines: Newlines,
    capture: Capture,
}

impl Watcher for Serial {
    fn console(&mut self, bytes: &[u8]) -> Result<Watch> {
        self.capture.push(&self.newlines.feed(bytes));
        let tail = self.capture.tail(TAIL + bytes.len());
        let over = ending(&String::from_utf8_lossy(tail)).is_some();
        // A reboot ends QEMU by itself, a halt never does.
        Ok(if over { Watch::EndWithin(Duration::from_secs(1)) } else { Watch::Continue })
    }

    fn log(&mut self, _: &[u8]) -> Result<Watch> {
        Ok(Watch::Continue)
    }
}

const PREFIX: &str = "(XEN) ";

/// Whether Xen has said how the first domain ended, in what its serial line carried so far. Only Xen's own lines count.
pub fn ending(serial: &str) -> Option<Ending> {
    serial.lines().filter_map(xen_part).find_map(|line| {
        // The words are those of Xen's `hwdom_shutdown`, and of its `panic`, which frames its message in stars.
        if line.contains("Hardware Dom0 halted") {
            Some(Ending::PowerOff)
        } else if line.contains("Hardware Dom0 shutdown: rebooting") {
            Some(Ending::Reboot)
        } else if line.contains("Hardware Dom0 crashed") {
            Some(Ending::Crash)
        } else if line.starts_with("Panic on CPU") {
            Some(Ending::XenFailed)
        } else {
            None
        }
    })
}

/// What the first domain printed, without Xen's lines. Xen may break into a line that the domain has not ended yet; what follows
/// Xen's line then continues the domain's.
pub fn guest_console(serial: &str) -> String {
    let mut guest = String::with_capacity(serial.len());
    for line in serial.split_inclusive('\n') {
        match line.find(PREFIX) {
            Some(start) => guest.push_str(&line[..start]),
            None => guest.push_str(line),
        }
    }
    guest
}

fn xen_part(line: &str) -> Option<&str> {
    line.find(PREFIX).map(|start| line[start + PREFIX.len()..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIAL: &str =
        "(XEN) Xen version 4.17\nhello\nhalf (XEN) d0v0 unhandled\n and half\n(XEN) Hardware Dom0 halted: halting machine\n";

    #[test]
    fn the_guest_is_what_xen_did_not_say() {
        assert_eq!(guest_console(SERIAL), "hello\nhalf  and half\n");
    }

    #[test]
    fn the_end_is_what_xen_says() {
        assert_eq!(ending(SERIAL), Some(Ending::PowerOff));
        assert_eq!(ending("Hardware Dom0 halted\n"), None, "a guest cannot fake it");
        assert_eq!(ending("(XEN) Hardware Dom0 crashed: rebooting machine in 5 seconds.\n"), Some(Ending::Crash));
        assert_eq!(ending("(XEN) Panic on CPU 0:\n(XEN) Could not construct domain 0\n"), Some(Ending::XenFailed));
        assert_eq!(ending("(XEN) booting\n"), None);
    }
}
