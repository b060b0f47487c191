//! The nodes of devices in xenstore.

use alloc::format;
use alloc::string::{String, ToString};

use abi::DomId;
use abi::xenbus::{CLOSED, UNKNOWN};
use dom0_core::blkback::connect::{self, Connection};
use dom0_core::blkback::features::Node;
use dom0_core::config::DiskSpec;
use dom0_core::toolstack::{backend, backends, disk_nodes, frontend};
use dom0_core::xenstore::Server;
use embassy_futures::select::select;

use super::connection::GRACE;
use crate::domains::xenstored;
use crate::hal::timer;

/// Makes both ends' nodes.
///
/// # Errors
/// What xenstore says.
pub fn add(domid: DomId, spec: &DiskSpec) -> Result<(), String> {
    xenstored::with(|server| server.plant(disk_nodes(domid, spec))).map_err(|error| format!("xenstore: {error}"))
}

/// Removes both ends' nodes, and the folder of the domain's disks with the last.
pub fn remove(domid: DomId, number: u32) {
    xenstored::with(|server| {
        let front = frontend(domid, number);
        if server.read(&front).is_some() {
            let closed = state(server, &front) == CLOSED;
            server.remove(&front);
            server.note_gone(domid, &front, closed);
        }
        server.remove(&backend(domid, number));
        if server.list(&backends(domid)).is_some_and(|left| left.is_empty()) {
            server.remove(&backends(domid));
        }
    });
}

/// Waits until the domain has noticed that a former disk of this number is gone, for as long as a guest may take that runs at all: not every front
/// end looks.
pub async fn former_gone(domid: DomId, number: u32) {
    let front = frontend(domid, number);
    select(xenstored::noticed(domid, &front), timer::sleep(GRACE)).await;
    xenstored::with(|server| server.forget_gone(domid, &front));
}

/// The front end's state; unknown if it says none.
pub fn their_state(domid: DomId, number: u32) -> u32 {
    xenstored::with(|server| state(server, &frontend(domid, number)))
}

fn state(server: &Server, front: &str) -> u32 {
    let said = server.read(&format!("{front}/state")).and_then(|value| str::from_utf8(value).ok());
    said.and_then(|value| value.trim_end_matches('\0').trim().parse().ok()).unwrap_or(UNKNOWN)
}

/// What the front end says of its rings.
///
/// # Errors
/// What is wrong with it.
pub fn their_connection(domid: DomId, number: u32) -> Result<Connection, String> {
    let front = frontend(domid, number);
    // All of it at one time.
    xenstored::with(|server| {
        connect::read(|node| {
            let value = server.read(&format!("{front}/{node}"))?;
            Some(String::from_utf8_lossy(value).trim_end_matches('\0').into())
        })
    })
}

/// Writes nodes of the back end's. They are Dom0's, so nothing is in the way.
pub fn write(domid: DomId, number: u32, nodes: &[Node]) {
    let back = backend(domid, number);
    xenstored::with(|server| {
        for (name, value) in nodes {
            let _ = server.write(&format!("{back}/{name}"), value.as_bytes());
        }
    });
}

/// Writes the back end's state. Who watches it is told, even if it is the same as before.
pub fn write_state(domid: DomId, number: u32, state: u32) {
    write(domid, number, &[("state", state.to_string())]);
}
