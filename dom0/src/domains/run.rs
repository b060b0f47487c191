//! The subcommands of `dom`: from a parsed command to calls of the service, and what they print.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use dom0_core::commands::{Dom, DomainRef, Xenstore};
use dom0_core::config;
use dom0_core::fs::normalise;
use dom0_core::render::{self, DomainRow, HostInfo};

use super::create::{Loaded, create_from};
use super::{attach, disks, list, machine, request, store, view};
use crate::hal::control;
use crate::{storage, terminal};

/// What a command that failed says.
type Result = core::result::Result<(), String>;

/// Carries out a subcommand of `dom`.
pub async fn run(command: Dom) -> Result {
    match command {
        Dom::Create { console, paused, file, overrides } => make(console, paused, &file, &overrides).await,
        Dom::Destroy(domain) => Ok(request::destroy(&domain).await?),
        Dom::Block(command) => disks::run(command).await,
        Dom::Pause(domain) => Ok(request::pause(&domain)?),
        Dom::Unpause(domain) => Ok(request::unpause(&domain)?),
        Dom::Reboot { domain, wait } => restart(&domain, wait).await,
        Dom::Shutdown { domain, wait } => shut_down(&domain, wait).await,
        Dom::List { json } => {
            print_list(json);
            Ok(())
        }
        Dom::Info { domain: Some(domain), json } => print_domain(&domain, json),
        Dom::Info { domain: None, json } => print_host(json),
        Dom::Console { domain, send, until, timeout } => attach::console(&domain, &send, until.as_deref(), timeout).await,
        Dom::Dmesg => dmesg(),
        Dom::Disk(command) => storage::disk(command).await,
        Dom::Xenstore(command) => xenstore(command),
    }
}

async fn make(console: bool, paused: bool, file: &str, overrides: &[(String, String)]) -> Result {
    let path = normalise("/", file);
    let bytes = storage::read(&path).await?;
    let text = core::str::from_utf8(&bytes).map_err(|_| format!("{path}: not a configuration: it is not UTF-8 text"))?;
    let parsed = config::parse(text, overrides).map_err(|message| format!("{path}: {message}"))?;
    for warning in &parsed.warnings {
        terminal::print(&format!("{path}: warning: {warning}\n"));
    }
    let files = Loaded::new(&parsed.config).await;
    let files = files.map_err(|missing| format!("{path}: {}", parsed.about(missing.key, missing.why)))?;
    let name = parsed.config.name.clone();
    create_from(parsed.config, files, paused).await?;
    if console { attach::interactively(&DomainRef::Name(name)).await } else { Ok(()) }
}

async fn shut_down(domain: &DomainRef, wait: bool) -> Result {
    // Whom somebody has asked already can still be waited for.
    let asked = if wait { request::stopping(domain) } else { None };
    let id = asked.map_or_else(|| request::shutdown(domain), Ok)?;
    if wait { attach::wait_for_end(id).await } else { Ok(()) }
}

async fn restart(domain: &DomainRef, wait: bool) -> Result {
    let id = request::reboot(domain)?;
    if wait {
        request::wait_for_restart(id).await?;
    }
    Ok(())
}

fn print_list(json: bool) {
    let views = list();
    let rows: Vec<DomainRow<'_>> = views.iter().map(|view| view.row()).collect();
    terminal::print(&if json { render::list_json(&rows) } else { render::list(&rows) });
}

fn print_domain(domain: &DomainRef, json: bool) -> Result {
    let view = view::info(domain)?;
    terminal::print(&if json { render::domain_info_json(&view.row()) } else { render::domain_info(&view.row()) });
    Ok(())
}

fn print_host(json: bool) -> Result {
    let (machine, version) = (machine()?, control::hypervisor_version());
    let host = HostInfo { machine: &machine, version: &version };
    terminal::print(&if json { render::host_info_json(&host) } else { render::host_info(&host) });
    Ok(())
}

fn dmesg() -> Result {
    let mut sequence = 0;
    let mut chunk = [0; 1024];
    loop {
        let read = control::read_log(sequence, &mut chunk);
        let (count, next) = read.map_err(|error| format!("the hypervisor does not show its log: {error}"))?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        terminal::print(&String::from_utf8_lossy(bytes));
        sequence = next;
    }
}

fn xenstore(command: Xenstore) -> Result {
    match command {
        Xenstore::Ls(path) => terminal::print(&store::ls(&path)?),
        Xenstore::Read(path) => terminal::print(&format!("{}\n", store::read(&path)?)),
        Xenstore::Write(path, value) => store::write(&path, &value)?,
    }
    Ok(())
}
