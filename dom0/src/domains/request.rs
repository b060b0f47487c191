//! What may be asked of a domain that exists.

use abi::DomId;
use abi::control::{OP_DOMAIN_PAUSE, OP_DOMAIN_UNPAUSE};
use alloc::format;
use dom0_core::commands::DomainRef;
use dom0_core::toolstack::{Reason, Request, State, home};

use super::error::{Error, Result};
use super::table::{self, CHANGED};
use super::{end, xenstored};
use crate::blkback;
use crate::hal::control;

/// Ends a domain at once, without asking it.
pub async fn destroy(domain: &DomainRef) -> Result {
    let id = table::resolve_guest(domain)?;
    end::destroy(id)?;
    // Others can have its disks when this is over.
    blkback::ended(id).await;
    Ok(())
}

/// Stops a domain's vCPUs.
pub fn pause(domain: &DomainRef) -> Result {
    change(domain, Request::Pause, OP_DOMAIN_PAUSE, "pause the domain")
}

/// Lets them run again.
pub fn unpause(domain: &DomainRef) -> Result {
    change(domain, Request::Unpause, OP_DOMAIN_UNPAUSE, "unpause the domain")
}

fn change(domain: &DomainRef, request: Request, operation: u32, what: &str) -> Result {
    let id = table::resolve_guest(domain)?;
    let state = table::check(id, request)?;
    let mut argument = abi::control::Domain { domid: id.into(), ..Default::default() };
    control::op(operation, &mut argument).map_err(Error::refused(what))?;
    table::set_state(id, state);
    Ok(())
}

/// Asks a domain to power off; its number, to wait for.
pub fn shutdown(domain: &DomainRef) -> Result<DomId> {
    ask(domain, "poweroff")
}

/// The number of a domain that has been asked to end and has not yet.
pub fn stopping(domain: &DomainRef) -> Option<DomId> {
    let id = table::resolve_guest(domain).ok()?;
    table::with(|table| table.get(&id).filter(|domain| domain.state == State::Stopping).map(|_| id))
}

/// Asks a domain to restart.
pub fn reboot(domain: &DomainRef) -> Result<DomId> {
    ask(domain, "reboot")
}

fn ask(domain: &DomainRef, what: &str) -> Result<DomId> {
    let id = table::resolve_guest(domain)?;
    let state = table::check(id, Request::Stop)?;
    let path = format!("{}/control/shutdown", home(id));
    xenstored::with(|server| server.write(&path, what.as_bytes())).map_err(|error| Error::about("xenstore", error))?;
    table::set_state(id, state);
    Ok(id)
}

/// Waits until a domain is gone and another of its name runs in its place.
pub async fn wait_for_restart(id: DomId) -> Result {
    let name = table::name(id).ok_or_else(|| Error::new("the domain is gone"))?;
    wait_for_end(id).await;
    CHANGED
        .wait_for(|| {
            table::with(|table| match table.values().find(|domain| domain.config.name == name).map(|domain| domain.state) {
                None if table::returns(&name) => None,
                None => Some(Err(Error::about(&name, "it has ended and was not started again; `dom dmesg` may say why"))),
                Some(State::Building | State::Dying) => None,
                Some(_) => Some(Ok(())),
            })
        })
        .await
}

/// Waits until a domain is gone, or has ended and is kept; how it ended, if it is kept.
pub async fn wait_for_end(id: DomId) -> Option<Reason> {
    CHANGED
        .wait_for(|| {
            table::with(|table| match table.get(&id).map(|domain| domain.state) {
                None => Some(None),
                Some(State::Ended(reason)) => Some(Some(reason)),
                Some(_) => None,
            })
        })
        .await
}
