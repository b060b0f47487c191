//! Disks of domains, for the operator: `disk = [...]`, `dom block-attach` and its like.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi::DomId;
use dom0_core::commands::{Block, DomainRef};
use dom0_core::config::{DiskSpec, Vdev};
use dom0_core::render::{self, DiskRow};
use dom0_core::storage::claims;
use dom0_core::toolstack::State;
use embassy_futures::select::{Either3, select3};

use super::error::{Error, Result};
use super::table;
use crate::hal::timer;
use crate::storage::{self, Access};
use crate::{blkback, terminal};

/// How long `dom block-detach` waits for a guest to let go, in nanoseconds.
const PATIENCE: u64 = 10_000_000_000;

/// Carries out a command.
pub async fn run(command: Block) -> core::result::Result<(), String> {
    match command {
        Block::Attach { domain, disk } => attach_to(&domain, &disk).await?,
        Block::List { domain, json } => list(&domain, json)?,
        Block::Detach { domain, vdev, force } => detach(&domain, &vdev, force).await?,
        Block::Faults { domain, vdev, faults } => {
            blkback::set_faults(table::resolve_guest(&domain)?, &vdev, faults).map_err(|why| format!("{domain}: {why}"))?;
        }
    }
    Ok(())
}

async fn attach_to(domain: &DomainRef, disk: &DiskSpec) -> Result {
    let id = table::resolve_guest(domain)?;
    let name = table::name(id).unwrap_or_default();
    check_alive(id)?;
    attach(id, &name, disk).await
}

/// Gives a domain a disk.
pub async fn attach(domid: DomId, name: &str, disk: &DiskSpec) -> Result {
    blkback::check_free(domid, &disk.vdev).map_err(|why| Error::about(name, why))?;
    blkback::former_gone(domid, &disk.vdev).await;
    let access = if disk.read_only { Access::Read } else { Access::Write };
    let holder = claims::holder(name, &disk.vdev.name);
    let opened = storage::open(&disk.target, disk.format, access, &holder).await;
    let opened = opened.map_err(|why| Error::about(name, format!("disk {}: {why}", disk.vdev)))?;
    // Opening takes a while: the domain may be gone meanwhile.
    if let Err(error) = check_alive(domid) {
        opened.close().await;
        return Err(error);
    }
    blkback::attach(domid, name, disk, opened).await.map_err(|why| Error::about(name, why))
}

fn check_alive(domid: DomId) -> Result {
    table::with(|table| match table.get(&domid).map(|domain| domain.state) {
        None | Some(State::Dying) => Err(Error::new("the domain is gone; `dom list` shows those that exist")),
        Some(State::Ended(_)) => Err(Error::new("the domain has ended and is kept; `dom destroy` frees it")),
        Some(_) => Ok(()),
    })
}

fn list(domain: &DomainRef, json: bool) -> Result {
    let shown = blkback::list(table::resolve_guest(domain)?);
    let rows: Vec<DiskRow<'_>> = shown.iter().map(blkback::Shown::row).collect();
    terminal::print(&if json { render::disks_json(&rows) } else { render::disks(&rows) });
    Ok(())
}

async fn detach(domain: &DomainRef, vdev: &Vdev, force: bool) -> Result {
    let id = table::resolve_guest(domain)?;
    blkback::begin_detach(id, vdev, force).map_err(|why| Error::about(&format!("{domain}"), why))?;
    let late = || {
        Err(Error::about(
            &format!("{domain}"),
            format!("{vdev}: the domain has not let go of it yet; it goes when it does (unmount it there), or at once by --force"),
        ))
    };
    match select3(blkback::detached(id, vdev), timer::sleep(PATIENCE), terminal::interrupted()).await {
        Either3::First(()) => Ok(()),
        Either3::Second(()) | Either3::Third(()) => late(),
    }
}
