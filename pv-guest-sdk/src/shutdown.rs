//! Ending the domain, and hearing that somebody wants it to end.

use abi::sched;

use crate::hypercall::{self, Result};
use crate::xenstore::{self, Transaction};

/// What the toolstack asks for through `control/shutdown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `poweroff`.
    Poweroff,
    /// `halt`: to be treated like poweroff.
    Halt,
    /// `reboot`.
    Reboot,
    /// `suspend`.
    Suspend,
    /// `crash`.
    Crash,
    /// Something else.
    Unknown,
}

impl Request {
    fn parse(text: &str) -> Option<Request> {
        Some(match text {
            "" => return None,
            "poweroff" => Request::Poweroff,
            "halt" => Request::Halt,
            "reboot" => Request::Reboot,
            "suspend" => Request::Suspend,
            "crash" => Request::Crash,
            _ => Request::Unknown,
        })
    }
}

/// Ends the domain for the given reason, one of `abi::sched::SHUTDOWN_*`.
pub fn end(reason: u32) -> ! {
    crate::events::mask_upcalls();
    loop {
        let _ = hypercall::sched_op(sched::OP_SHUTDOWN, &mut sched::Shutdown { reason });
    }
}

/// Ends the domain in an orderly way.
pub fn exit() -> ! {
    end(sched::SHUTDOWN_POWEROFF)
}

/// Ends the domain and asks for a new start.
pub fn reboot() -> ! {
    end(sched::SHUTDOWN_REBOOT)
}

/// Ends the domain as crashed.
pub fn crash() -> ! {
    end(sched::SHUTDOWN_CRASH)
}

const PATH: &str = "control/shutdown";

/// Waits until somebody asks for the domain's end through xenstore, and acknowledges it.
///
/// Other watch events that arrive meanwhile are dropped.
///
/// # Errors
/// -ENODEV if there is no xenstore; what xenstore answers otherwise.
pub fn wait_for_request() -> Result<Request> {
    announce();
    xenstore::watch(PATH, "shutdown")?;
    let request = loop {
        if let Some(request) = take_request()? {
            break request;
        }
        let mut buffer = [0; 256];
        xenstore::wait_watch_event(&mut buffer)?;
    };
    xenstore::unwatch(PATH, "shutdown")?;
    Ok(request)
}

/// The pending request, if there is one, acknowledged by emptying its node.
///
/// # Errors
/// As for [`wait_for_request`].
pub fn take_request() -> Result<Option<Request>> {
    let mut buffer = [0; 32];
    let request = match xenstore::read(Transaction::NONE, PATH, &mut buffer) {
        Ok(text) => Request::parse(text),
        Err(abi::Errno::NOENT) => None,
        Err(error) => return Err(error),
    };
    if request.is_some() {
        xenstore::write(Transaction::NONE, PATH, "")?;
    }
    Ok(request)
}

/// Tells the toolstack which requests are honoured; one that does not care may forbid it.
fn announce() {
    for feature in ["poweroff", "reboot"] {
        let path = if feature == "poweroff" { "control/feature-poweroff" } else { "control/feature-reboot" };
        let _ = xenstore::write(Transaction::NONE, path, "1");
    }
}

/// Does what a request asks for. Suspending is not possible yet, so such a request is ignored like an unknown one.
pub fn obey(request: Request) {
    match request {
        Request::Poweroff | Request::Halt => exit(),
        Request::Reboot => reboot(),
        Request::Crash => crash(),
        Request::Suspend | Request::Unknown => {}
    }
}
