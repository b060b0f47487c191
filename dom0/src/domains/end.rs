//! The end of domains: by request, and by their own doing.

use abi::DomId;
use abi::control::{DomainInfo, FLAG_SHUTDOWN, OP_DOMAIN_DESTROY, OP_DOMAIN_INFO};
use abi::event::VIRQ_DOM_EXC;
use alloc::format;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use dom0_core::toolstack::{Action, Reason, Request, State, decide};
use pv_guest_sdk::{events, println, time};

use super::error::{Error, Result};
use super::table::{self, Returning};
use super::{consoles, create, notices, xenstored};
use crate::blkback;
use crate::hal::bell::Bell;
use crate::hal::{control, tasks};

/// A domain that crashes sooner than this after its start, in nanoseconds, is not started again: it would only crash again.
const TOO_SOON: u64 = 1_000_000_000;

static STATE_CHANGED: AtomicBool = AtomicBool::new(false);
static BELL: Bell = Bell::new();

/// Asks the hypervisor to tell when a domain changes state.
pub fn init() {
    let bound = events::bind_virq(VIRQ_DOM_EXC, |_| {
        STATE_CHANGED.store(true, Ordering::Release);
        BELL.ring();
    });
    if let Err(error) = bound {
        println!("dom0: the hypervisor does not tell of domains that end: {error}");
    }
}

/// Does what the configuration says about domains that have ended by themselves, for ever.
#[embassy_executor::task]
pub async fn run() {
    tasks::named("ends of domains", serve()).await;
}

async fn serve() {
    loop {
        BELL.wait_for(|| STATE_CHANGED.swap(false, Ordering::AcqRel).then_some(())).await;
        let mut known: Vec<DomId> = table::with(|table| table.keys().copied().collect());
        known.sort_unstable();
        for id in known {
            if let Some(reason) = ended(id) {
                settle(id, reason).await;
            }
        }
    }
}

/// What the hypervisor says about a domain.
pub fn info(id: DomId) -> Option<DomainInfo> {
    let mut info = DomainInfo { domid: id.into(), ..DomainInfo::default() };
    control::op(OP_DOMAIN_INFO, &mut info).ok()?;
    (info.domid == u32::from(id)).then_some(info)
}

/// Why a domain has ended, if it has and this is news.
fn ended(id: DomId) -> Option<Reason> {
    let info = info(id).filter(|info| info.flags & FLAG_SHUTDOWN != 0)?;
    let reason = Reason::from_number(info.shutdown_reason);
    let state = table::check(id, Request::End(reason)).ok()?;
    table::set_state(id, state);
    xenstored::with(|server| server.domain_shut_down(id));
    Some(reason)
}

/// Carries out `on_poweroff` and its like.
async fn settle(id: DomId, reason: Reason) {
    let Some((config, since)) = table::with(|table| table.get(&id).map(|domain| (domain.config.clone(), domain.since))) else {
        return;
    };
    let name = &config.name;
    let what = reason.describe();
    let crashed = matches!(reason, Reason::Crash | Reason::Watchdog);
    match decide(&config, reason) {
        Action::Restart if crashed && time::now() < since.saturating_add(TOO_SOON) => {
            notices::set(name, format!("{name} {what} right after its start and is kept; `dom destroy {name}` frees it"));
            consoles::end(name);
        }
        Action::Restart => {
            let returning = Returning::new(name);
            tear_down(id, true);
            // Its disks are wanted again.
            blkback::ended(id).await;
            if let Err(error) = create::again(config.clone(), returning).await {
                notices::set(name, format!("{name} {what} and could not be started again: {error}"));
                consoles::end(name);
            }
        }
        Action::Destroy => {
            notices::set(name, format!("{name} {what}"));
            tear_down(id, false);
        }
        Action::Preserve => {
            notices::set(name, format!("{name} {what} and is kept; `dom destroy {name}` frees it"));
            consoles::end(name);
        }
    }
}

/// Ends a domain at once.
pub fn destroy(id: DomId) -> Result {
    let state = table::check(id, Request::Destroy)?;
    let (name, was) = table::with(|table| table.get(&id).map(|domain| (domain.config.name.clone(), domain.state)))
        .ok_or_else(|| Error::new("the domain is gone"))?;
    if was == State::Building {
        return Err(Error::about(&name, "it is still being built; try again in a moment"));
    }
    table::set_state(id, state);
    notices::set(&name, format!("{name} was destroyed"));
    tear_down(id, false);
    Ok(())
}

/// Takes back everything that a domain has: services first, so that none of its frames is mapped when the hypervisor takes them. Only its
/// disks may take longer, see [`blkback::ended`]: frames that a device still writes go when that is done.
pub fn tear_down(id: DomId, begin_again: bool) {
    let Some(domain) = table::with(|table| {
        table.get_mut(&id).map(|domain| {
            domain.state = State::Dying;
            domain.uuid
        })
    }) else {
        return;
    };
    blkback::begin_end(id);
    consoles::detach(id, begin_again);
    xenstored::detach(id, &domain);
    let mut request = abi::control::Domain { domid: id.into(), ..Default::default() };
    if let Err(error) = control::op(OP_DOMAIN_DESTROY, &mut request) {
        println!("dom0: domain {id} cannot be destroyed: {error}");
    }
    table::remove(id);
}
