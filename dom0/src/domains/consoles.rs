//! The consoles' service: moves bytes between the console rings of domains and [`dom0_core::console`], which keeps them by name.
//!
//! A turn takes a few lines from one domain that rang and then lets other tasks run, so that a guest that floods its console slows
//! down itself: whoever waits for another task, xenstored above all, waits for no more than that. Whoever looks at a console waits at [`OUTPUT`].

use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use core::mem;

use abi::DomId;
use abi::console::ring::{IN_CONS_OFFSET, IN_OFFSET, IN_PROD_OFFSET, IN_SIZE, OUT_CONS_OFFSET, OUT_OFFSET, OUT_PROD_OFFSET, OUT_SIZE};
use dom0_core::console::{Console, Consoles};
use dom0_core::map::Map;
use embassy_futures::yield_now;
use pv_guest_sdk::events::{self, Port};
use pv_guest_sdk::sync::IrqMutex;

use super::error::{Error, Result};
use super::table;
use crate::hal::bell::Bell;
use crate::hal::ports::ReadyPorts;
use crate::hal::shared_page::SharedPage;
use crate::hal::tasks;

/// Bytes that are taken in a turn: some microseconds' worth.
const SLICE: usize = 256;
/// Bytes of room that a guest is told of at once while it prints on: each event makes it run.
const ROOM: u32 = OUT_SIZE as u32 / 2;

/// What a guest's console says once its ring makes no sense.
const DAMAGED: &[u8] = b"\r\n[dom0: the console's ring is damaged; nothing more is read from it]\r\n";

/// A domain's ring.
struct Ring {
    name: String,
    page: SharedPage,
    port: Port,
    taken: u32,
    /// What of `taken` the guest was told of.
    told: u32,
    given: u32,
    broken: bool,
}

/// Everything about consoles.
#[derive(Default)]
pub struct Service {
    /// What each name has printed.
    pub consoles: Consoles,
    /// How often each name's console has begun anew.
    beginnings: Map<String, u64>,
    rings: Map<DomId, Ring>,
    by_port: Map<Port, DomId>,
    /// Who has its turn in this round.
    waiting: VecDeque<Port>,
    /// Who had its turn and has more, for the next round. Whoever rang meanwhile is in it, too, so that one who always has more keeps nobody out.
    again: BTreeSet<Port>,
}

static SERVICE: IrqMutex<Option<Service>> = IrqMutex::new(None);
static READY: ReadyPorts = ReadyPorts::new();

/// Rung when a domain has printed something, or its console begins or ends.
pub static OUTPUT: Bell = Bell::new();

/// Looks at the consoles, or changes them. Not to be nested.
pub fn with<T>(act: impl FnOnce(&mut Service) -> T) -> T {
    act(SERVICE.lock().get_or_insert_default())
}

/// Serves for ever.
#[embassy_executor::task]
pub async fn run() {
    tasks::named("consoles", serve()).await;
}

async fn serve() {
    loop {
        if with(|service| service.waiting.is_empty() && service.again.is_empty()) {
            READY.bell.wait_for(|| READY.any().then_some(())).await;
        }
        if with(Service::turn) {
            OUTPUT.ring();
        }
        yield_now().await;
    }
}

/// Begins the console of a new domain: its ring's frame, and its port, which waits for us.
pub fn attach(domid: DomId, name: &str, frame: u64, remote_port: Port) -> Result {
    let page = SharedPage::map(domid, frame).map_err(Error::refused("map the console ring"))?;
    let port = events::bind_interdomain(domid, remote_port, |port| READY.add(port)).map_err(Error::refused("bind the console channel"))?;
    with(|service| {
        service.consoles.open(name);
        *service.beginnings.entry(name.into()).or_default() += 1;
        let name = name.into();
        service.rings.insert(domid, Ring { name, page, port, taken: 0, told: 0, given: 0, broken: false });
        service.by_port.insert(port, domid);
    });
    OUTPUT.ring();
    Ok(())
}

/// Takes a domain's last words and lets go of its ring. Unless it is to `begin_again` at once, those who look at the console are told that it
/// has ended.
pub fn detach(domid: DomId, begin_again: bool) {
    with(|service| {
        while service.serve(domid).more {}
        let Some(ring) = service.rings.remove(&domid) else { return };
        service.by_port.remove(&ring.port);
        // It is our port; that it might be closed already is no error.
        let _ = events::close(ring.port);
        if !begin_again {
            service.end(&ring.name);
        }
    });
    OUTPUT.ring();
}

/// Tells those who look at a console that it has ended.
pub fn end(name: &str) {
    with(|service| service.end(name));
    OUTPUT.ring();
}

/// Queues input for a domain.
pub fn send(name: &str, bytes: &[u8]) -> Result {
    let domid = table::by_name(name);
    with(|service| {
        let domid = domid.filter(|domid| service.rings.contains_key(domid));
        let (Some(domid), Some(console)) = (domid, service.consoles.get_mut(name)) else {
            return Err(Error::about(name, "the domain has ended and reads nothing any more"));
        };
        console.queue_input(bytes).map_err(|full| Error::about(name, full))?;
        service.serve(domid);
        Ok(())
    })?;
    OUTPUT.ring();
    Ok(())
}

impl Service {
    /// How often the console of a name has begun.
    pub fn beginning(&self, name: &str) -> u64 {
        self.beginnings.get(name).copied().unwrap_or(0)
    }

    fn end(&mut self, name: &str) {
        self.consoles.close(name);
        let consoles = &self.consoles;
        self.beginnings.retain(|name, _| consoles.get(name).is_some());
    }

    /// Serves the next domain that rang; whether it has printed.
    fn turn(&mut self) -> bool {
        if self.waiting.is_empty() {
            self.again.extend(READY.take());
            self.waiting.extend(mem::take(&mut self.again));
        }
        let Some(port) = self.waiting.pop_front() else { return false };
        let Some(domid) = self.by_port.get(&port).copied() else { return false };
        let served = self.serve(domid);
        if served.more {
            self.again.insert(port);
        }
        served.printed
    }

    /// Moves some of what there is and what there is room for, both ways.
    fn serve(&mut self, domid: DomId) -> Served {
        let Some(ring) = self.rings.get_mut(&domid).filter(|ring| !ring.broken) else { return Served::default() };
        let Some(console) = self.consoles.get_mut(&ring.name) else { return Served::default() };
        let served = ring.take_output(console);
        let fed = ring.give_input(console);
        let room = ring.taken.wrapping_sub(ring.told);
        if fed || room >= ROOM || (room > 0 && !served.more) {
            ring.told = ring.taken;
            let _ = events::send(ring.port);
        }
        served
    }
}

/// How serving a domain went.
#[derive(Clone, Copy, Default)]
struct Served {
    /// It has printed.
    printed: bool,
    /// There is more of that.
    more: bool,
}

impl Ring {
    fn take_output(&mut self, console: &mut Console) -> Served {
        let ready = self.page.load(OUT_PROD_OFFSET).wrapping_sub(self.taken) as usize;
        if ready > OUT_SIZE {
            self.broken = true;
            console.print(DAMAGED);
            return Served { printed: true, more: false };
        }
        let mut bytes = [0; SLICE];
        let bytes = &mut bytes[..ready.min(SLICE)];
        self.page.read_queue(OUT_OFFSET, OUT_SIZE, self.taken, bytes);
        self.taken = self.taken.wrapping_add(bytes.len() as u32);
        self.page.store(OUT_CONS_OFFSET, self.taken);
        console.print(bytes);
        Served { printed: ready > 0, more: ready > bytes.len() }
    }

    fn give_input(&mut self, console: &mut Console) -> bool {
        let queued = self.given.wrapping_sub(self.page.load(IN_CONS_OFFSET)) as usize;
        // A guest that moves its index beyond ours gets nothing.
        let room = IN_SIZE.saturating_sub(queued);
        let (first, second) = console.input();
        let mut count = 0;
        for piece in [first, second] {
            let now = &piece[..piece.len().min(room - count)];
            self.page.write_queue(IN_OFFSET, IN_SIZE, self.given.wrapping_add(count as u32), now);
            count += now.len();
        }
        console.input_taken(count);
        self.given = self.given.wrapping_add(count as u32);
        self.page.store(IN_PROD_OFFSET, self.given);
        count > 0
    }
}
