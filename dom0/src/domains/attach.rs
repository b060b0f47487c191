//! `dom console`: a person at a guest's console, or a script that sends lines and waits for a text.

use abi::DomId;
use alloc::format;
use alloc::string::String;
use core::future::pending;

use dom0_core::commands::DomainRef;
use dom0_core::console::Follower;
use embassy_futures::select::{Either, Either3, select, select3};

use super::handle::{self, ConsoleHandle, Output};
use super::request;
use crate::hal::timer;
use crate::terminal;

/// Ctrl-] leaves the console.
const LEAVE: u8 = 0x1d;
/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// What a command says that Ctrl-C has ended.
const INTERRUPTED: &str = "interrupted";

type Result = core::result::Result<(), String>;

/// Attaches, or sends lines, or waits for a text, as the options say.
pub async fn console(domain: &DomainRef, lines: &[String], until: Option<&str>, timeout: Option<u64>) -> Result {
    let mut handle = handle::open(domain)?;
    // What is looked for in the answer must not be found in what was there before.
    let follower = until.map(|text| if lines.is_empty() { Follower::from_first(text) } else { handle.follow_from_now(text) });
    for line in lines {
        handle.send(format!("{line}\n").as_bytes())?;
    }
    let Some(text) = until else {
        return if lines.is_empty() { interactively(domain).await } else { Ok(()) };
    };
    let late = || Err(format!("{}: `{text}` did not appear in {} s", domain, timeout.unwrap_or(0)));
    within(timeout, follow(&mut handle, follower, text), late).await
}

/// Gives up after so many seconds, if any, or when Ctrl-C is typed.
async fn within(seconds: Option<u64>, work: impl Future<Output = Result>, late: impl FnOnce() -> Result) -> Result {
    let patience = async {
        match seconds {
            Some(seconds) => timer::sleep(seconds.saturating_mul(SECOND)).await,
            None => pending().await,
        }
    };
    match select3(work, patience, terminal::interrupted()).await {
        Either3::First(result) => result,
        Either3::Second(()) => late(),
        Either3::Third(()) => Err(INTERRUPTED.into()),
    }
}

/// Waits for a domain's end, unless Ctrl-C is typed.
pub async fn wait_for_end(id: DomId) -> Result {
    match select(request::wait_for_end(id), terminal::interrupted()).await {
        Either::First(_) => Ok(()),
        Either::Second(()) => Err(INTERRUPTED.into()),
    }
}

/// Prints what the domain prints until the text has appeared.
async fn follow(handle: &mut ConsoleHandle, follower: Option<Follower>, text: &str) -> Result {
    let Some(mut follower) = follower else { return Ok(()) };
    while let Some(seen) = handle.follow(&mut follower, text).await {
        tell_lost(seen.lost);
        terminal::write_raw(&seen.bytes);
        if seen.found {
            terminal::print("\n");
            return Ok(());
        }
    }
    terminal::print("\n");
    Err(format!("{}: `{text}` did not appear before the domain ended", handle.name()))
}

/// Connects the terminal and the domain until Ctrl-] is typed or the domain has ended.
pub async fn interactively(domain: &DomainRef) -> Result {
    let mut handle = handle::open(domain)?;
    let mut typed = [0; 64];
    loop {
        // What is typed comes first: a domain that floods its console can be left all the same.
        match select(terminal::read(&mut typed), handle.read()).await {
            Either::First(count) => {
                let bytes = typed.get(..count).unwrap_or_default();
                let leave = bytes.iter().position(|&byte| byte == LEAVE);
                let bytes = bytes.get(..leave.unwrap_or(count)).unwrap_or_default();
                if !bytes.is_empty() {
                    handle.send(bytes)?;
                }
                if leave.is_some() {
                    terminal::print("\n");
                    return Ok(());
                }
            }
            Either::Second(Output::Bytes(bytes)) => terminal::write_raw(&bytes),
            Either::Second(Output::Lost(count)) => tell_lost(count),
            Either::Second(Output::Ended(how)) => {
                terminal::print(&format!("\n{how}\n"));
                return Ok(());
            }
        }
    }
}

fn tell_lost(bytes: u64) {
    if bytes > 0 {
        terminal::print(&format!("\n[{bytes} bytes of output are lost]\n"));
    }
}
