//! Xenstore's service: moves bytes between the rings of domains and [`dom0_core::xenstore::Server`], which decides everything.
//!
//! Each turn looks once at every ring that was rung or has bytes left, and serves one request, so that who was answered can ask again before
//! one that floods is served again. After a few turns other tasks run. A guest can only spoil its own connection.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use abi::DomId;
use abi::xenstore::{ERROR_PROTO, RING_SIZE};
use dom0_core::map::Map;
use dom0_core::xenstore::{ConnId, Server};
use embassy_futures::yield_now;
use pv_guest_sdk::events::{self, Port};
use pv_guest_sdk::sync::IrqMutex;
use pv_guest_sdk::time;

use super::error::{Error, Result};
use super::store_ring::{BadIndex, StoreRing};
use crate::hal::bell::Bell;
use crate::hal::ports::ReadyPorts;
use crate::hal::tasks;

/// Turns before other tasks get one.
const TURNS: usize = 8;

/// A domain's connection.
struct Link {
    ring: StoreRing,
    port: Port,
    conn: ConnId,
    /// It has violated the protocol and is not listened to any more.
    broken: bool,
    /// It has been sent something and has not been told yet.
    owed: bool,
    /// Bytes were taken from it and it has not been told yet.
    taken: bool,
}

struct Service {
    server: Server,
    links: Map<DomId, Link>,
    by_port: Map<Port, DomId>,
    by_conn: Map<ConnId, DomId>,
    /// Whose rings may hold bytes that are not taken yet.
    hungry: BTreeSet<DomId>,
    /// Who is to be told of what they were sent: at the end of the turn.
    owed: Vec<DomId>,
    /// Who has room again for requests. They are told with the answer, or after a few turns: each event makes its domain run.
    taken: Vec<DomId>,
}

static SERVICE: IrqMutex<Option<Service>> = IrqMutex::new(None);
static READY: ReadyPorts = ReadyPorts::new();

/// Rung when a watch of Dom0's own has fired, or a domain has noticed that a node is gone.
static FIRED: Bell = Bell::new();

fn with_service<T>(act: impl FnOnce(&mut Service) -> T) -> T {
    let mut service = SERVICE.lock();
    let service = service.get_or_insert_with(Service::new);
    let result = act(service);
    service.tell();
    result
}

/// Serves for ever.
#[embassy_executor::task]
pub async fn run() {
    tasks::named("xenstored", serve()).await;
}

async fn serve() {
    loop {
        READY.bell.wait_for(|| READY.any().then_some(())).await;
        while (1..=TURNS).all(|turn| with_service(|service| service.turn(turn == TURNS))) {
            yield_now().await;
        }
    }
}

/// Reads or changes the store for Dom0 itself. Events that this causes are sent at once.
pub fn with<T>(act: impl FnOnce(&mut Server) -> T) -> T {
    with_service(|service| {
        let result = act(&mut service.server);
        service.send_all();
        result
    })
}

/// A watch of Dom0's own. Dropping it ends it.
pub struct Watch(ConnId);

impl Watch {
    /// Watches a path and what is below it. It counts as changed at first.
    pub fn new(path: &str) -> Self {
        Self(with(|server| {
            let conn = server.connect(dom0_core::xenstore::DOM0);
            // Dom0 has no quota, and the connection no other watch.
            let _ = server.watch(conn, path, b"");
            conn
        }))
    }

    /// Waits until something there changes, or has changed since this was last asked.
    pub async fn changed(&self) {
        FIRED.wait_for(|| with(|server| self.take(server).then_some(()))).await;
    }

    /// Takes all events; whether there were any.
    fn take(&self, server: &mut Server) -> bool {
        let first = server.next_event(self.0).is_some();
        while server.next_event(self.0).is_some() {}
        first
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        with(|server| server.disconnect(self.0));
    }
}

/// Waits until a domain has noticed that a node of its own has gone.
pub async fn noticed(domid: DomId, path: &str) {
    FIRED.wait_for(|| with(|server| (!server.is_unnoticed(domid, path)).then_some(()))).await;
}

/// Begins to serve a new domain: its ring's frame, and its port, which waits for us.
pub fn attach(domid: DomId, frame: u64, remote_port: Port) -> Result {
    let ring = StoreRing::map(domid, frame)?;
    let port = events::bind_interdomain(domid, remote_port, |port| READY.add(port)).map_err(Error::refused("bind the xenstore channel"))?;
    with_service(|service| {
        let conn = service.server.introduce(domid);
        service.links.insert(domid, Link { ring, port, conn, broken: false, owed: false, taken: false });
        service.by_port.insert(port, domid);
        service.by_conn.insert(conn, domid);
        service.send_all();
    });
    Ok(())
}

/// Forgets a domain: its connection, its nodes, its watches.
pub fn detach(domid: DomId, uuid: &[u8; 16]) {
    with_service(|service| {
        service.server.depopulate(domid, uuid);
        service.hungry.remove(&domid);
        if let Some(link) = service.links.remove(&domid) {
            service.by_port.remove(&link.port);
            service.by_conn.remove(&link.conn);
            // It is our port; that it might be closed already is no error.
            let _ = events::close(link.port);
        }
        service.send_all();
    });
}

impl Service {
    fn new() -> Self {
        // To the nanosecond: no guest knows when Dom0 came to this.
        let (seconds, nanoseconds) = time::wall_clock();
        Self {
            server: Server::new(seconds << 30 ^ u64::from(nanoseconds) ^ time::now().rotate_left(32)),
            links: Map::default(),
            by_port: Map::default(),
            by_conn: Map::default(),
            hungry: BTreeSet::new(),
            owed: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// One turn, the `last` before other tasks run; whether there may be more to do at once.
    fn turn(&mut self, last: bool) -> bool {
        let rung = READY.take().filter_map(|port| self.by_port.get(&port));
        self.hungry.extend(rung);
        let mut moved = false;
        for domid in core::mem::take(&mut self.hungry) {
            moved |= self.send(domid);
            moved |= self.receive(domid);
        }
        moved |= self.serve();
        self.send_all();
        if last || !moved {
            self.owe_room();
        }
        // Bytes that wait behind an answer that its client does not read are looked at again when it rings.
        moved
    }

    /// Serves a request; whether there was one. Ends the connection of a client that turns out not to keep to the protocol.
    fn serve(&mut self) -> bool {
        let Some(conn) = self.server.step_by(time::now) else { return false };
        if self.server.take_noticed() {
            FIRED.ring();
        }
        if self.server.is_broken(conn)
            && let Some(domid) = self.by_conn.get(&conn).copied()
            && self.links.get(&domid).is_some_and(|link| !link.broken)
        {
            self.give_up(domid, ERROR_PROTO);
        }
        true
    }

    /// Takes what a ring holds, as far as the server has room for it.
    fn receive(&mut self, domid: DomId) -> bool {
        let Some(link) = self.links.get_mut(&domid).filter(|link| !link.broken) else { return false };
        let Ok(ready) = link.ring.ready() else {
            self.give_up(domid, BadIndex::CODE);
            return false;
        };
        let mut bytes = [0; RING_SIZE];
        let count = ready.min(self.server.room(link.conn)).min(bytes.len());
        if count > 0 {
            let bytes = &mut bytes[..count];
            link.ring.peek(bytes);
            link.ring.take(self.server.input(link.conn, bytes));
            if !core::mem::replace(&mut link.taken, true) {
                self.taken.push(domid);
            }
        }
        if count < ready {
            self.hungry.insert(domid);
        }
        count > 0
    }

    /// Sends what waits for a domain, as far as its ring has room.
    fn send(&mut self, domid: DomId) -> bool {
        let Some(link) = self.links.get_mut(&domid).filter(|link| !link.broken) else { return false };
        let mut moved = false;
        loop {
            let Ok(room) = link.ring.room() else {
                self.give_up(domid, BadIndex::CODE);
                return false;
            };
            let bytes = self.server.output(link.conn);
            let count = bytes.len().min(room);
            if count == 0 {
                break;
            }
            link.ring.give(&bytes[..count]);
            self.server.sent(link.conn, count);
            moved = true;
        }
        if moved {
            owe(&mut self.owed, domid, link);
        }
        moved
    }

    /// Sends to all that the server names.
    fn send_all(&mut self) {
        while let Some(conn) = self.server.next_with_output() {
            match self.by_conn.get(&conn).copied() {
                Some(domid) => {
                    self.send(domid);
                }
                // Those of Dom0 itself fetch what is theirs.
                None => FIRED.ring(),
            }
        }
    }

    /// Ends the connection of a domain that does not keep to the protocol, and says so in its page.
    fn give_up(&mut self, domid: DomId, why: u32) {
        if let Some(link) = self.links.get_mut(&domid) {
            link.broken = true;
            link.ring.report(why);
            self.server.disconnect(link.conn);
            owe(&mut self.owed, domid, link);
        }
    }

    /// Those who have room again and have not been told since are owed it now.
    fn owe_room(&mut self) {
        for domid in self.taken.drain(..) {
            if let Some(link) = self.links.get_mut(&domid).filter(|link| link.taken) {
                owe(&mut self.owed, domid, link);
            }
        }
    }

    /// Tells those who are owed it.
    fn tell(&mut self) {
        for domid in self.owed.drain(..) {
            if let Some(link) = self.links.get_mut(&domid) {
                (link.owed, link.taken) = (false, false);
                // A domain that has closed its end hears nothing more.
                let _ = events::send(link.port);
            }
        }
    }
}

fn owe(owed: &mut Vec<DomId>, domid: DomId, link: &mut Link) {
    if !core::mem::replace(&mut link.owed, true) {
        owed.push(domid);
    }
}
