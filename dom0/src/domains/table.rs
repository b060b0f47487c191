//! The domains that Dom0 has made, and where each is in its life. The hypervisor knows numbers; names, configurations and policies are here.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

use abi::DomId;
use dom0_core::commands::DomainRef;
use dom0_core::config::DomainConfig;
use dom0_core::map::Map;
use dom0_core::toolstack::{Request, State};
use pv_guest_sdk::sync::IrqMutex;

use super::error::{Error, Result};
use crate::hal::bell::Bell;

/// The name of the control domain.
pub const DOM0_NAME: &str = "dom0";

/// A domain.
pub struct Domain {
    /// What it was made from, and is made from again.
    pub config: DomainConfig,
    /// Its UUID.
    pub uuid: [u8; 16],
    /// Where it is in its life.
    pub state: State,
    /// When it was made, in nanoseconds since boot.
    pub since: u64,
}

static TABLE: IrqMutex<Option<Map<DomId, Box<Domain>>>> = IrqMutex::new(None);
/// The numbers of the names.
static NAMES: IrqMutex<Option<Map<String, DomId>>> = IrqMutex::new(None);

/// Names of domains that have ended and are about to begin again.
static RETURNING: IrqMutex<BTreeSet<String>> = IrqMutex::new(BTreeSet::new());

/// Rung when a domain changes its state.
pub static CHANGED: Bell = Bell::new();

/// Looks at the table, or changes it. Not to be nested.
pub fn with<T>(act: impl FnOnce(&mut Map<DomId, Box<Domain>>) -> T) -> T {
    act(TABLE.lock().get_or_insert_default())
}

fn names<T>(act: impl FnOnce(&mut Map<String, DomId>) -> T) -> T {
    act(NAMES.lock().get_or_insert_default())
}

/// Takes a domain into the table, or from it.
pub fn insert(id: DomId, domain: Domain) {
    names(|names| names.insert(domain.config.name.clone(), id));
    with(|table| table.insert(id, Box::new(domain)));
    CHANGED.ring();
}

/// See [`insert`].
pub fn remove(id: DomId) -> Option<Box<Domain>> {
    let removed = with(|table| table.remove(&id));
    if let Some(domain) = &removed {
        names(|names| names.remove(&domain.config.name));
    }
    CHANGED.ring();
    removed
}

/// Keeps a name while its domain is between its end and its next beginning, which take time: disks end their work, files are read.
pub struct Returning(String);

impl Returning {
    /// From now on nobody else gets the name.
    pub fn new(name: &str) -> Self {
        RETURNING.lock().insert(name.into());
        Self(name.into())
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        RETURNING.lock().remove(&self.0);
        CHANGED.ring();
    }
}

/// Whether a domain of this name is about to begin again.
pub fn returns(name: &str) -> bool {
    RETURNING.lock().contains(name)
}

/// The name of a domain; none for one that Dom0 has not made.
pub fn name(id: DomId) -> Option<String> {
    match id {
        dom0_core::xenstore::DOM0 => Some(DOM0_NAME.into()),
        _ => with(|table| table.get(&id).map(|domain| domain.config.name.clone())),
    }
}

/// The number of the domain of a name.
pub fn by_name(name: &str) -> Option<DomId> {
    match name {
        DOM0_NAME => Some(dom0_core::xenstore::DOM0),
        _ => names(|names| names.get(name).copied()),
    }
}

/// The number of the domain that a user has named.
pub fn resolve(wanted: &DomainRef) -> Result<DomId> {
    let found = match wanted {
        DomainRef::Id(id) => (*id == dom0_core::xenstore::DOM0 || with(|table| table.contains_key(id))).then_some(*id),
        DomainRef::Name(name) => by_name(name),
    };
    found.ok_or_else(|| Error::new(format!("{wanted}: no such domain; `dom list` shows those that exist")))
}

/// The same, without the control domain, which can be listed but not handled.
pub fn resolve_guest(wanted: &DomainRef) -> Result<DomId> {
    match resolve(wanted)? {
        dom0_core::xenstore::DOM0 => Err(Error::new("dom0 runs the others and cannot be handled like them; `poweroff` ends it")),
        id => Ok(id),
    }
}

/// The state that a request leads to, if it makes sense now. Nothing changes yet.
pub fn check(id: DomId, request: Request) -> Result<State> {
    with(|table| {
        let domain = table.get(&id).ok_or_else(|| gone(id))?;
        domain.state.after(request).map_err(|refusal| Error::about(&domain.config.name, refusal))
    })
}

/// Moves a domain to the state that a request leads to, if it makes sense now.
pub fn advance(id: DomId, request: Request) -> Result {
    with(|table| {
        let domain = table.get_mut(&id).ok_or_else(|| gone(id))?;
        domain.state = domain.state.after(request).map_err(|refusal| Error::about(&domain.config.name, refusal))?;
        Ok(())
    })?;
    CHANGED.ring();
    Ok(())
}

/// Moves a domain to a state.
pub fn set_state(id: DomId, state: State) {
    with(|table| {
        if let Some(domain) = table.get_mut(&id) {
            domain.state = state;
        }
    });
    CHANGED.ring();
}

fn gone(id: DomId) -> Error {
    Error::new(format!("domain {id} is gone; `dom list` shows those that exist"))
}
