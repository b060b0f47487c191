//! The xenstore client against a daemon of our own, which lives in the handler of the other end of the event channel.

use alloc::string::String;
use alloc::vec::Vec;

use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::abi::xenstore::{Header, RING_SIZE, XenstoreRing, msg};
use pv_guest_sdk::abi::zerocopy::{FromBytes, IntoBytes};
use pv_guest_sdk::sync::IrqMutex;
use pv_guest_sdk::xenstore::{self, Transaction, WatchEvent};
use pv_guest_sdk::{events, memory, shutdown};

use crate::Check;

pub const CHECKS: &[Check] = &[
    ("xenstore answers and errors come back", answers),
    ("a reply longer than the ring arrives whole", long_reply),
    ("watch events are kept in order", watches),
    ("a shutdown request is taken once and acknowledged", shutdown_request),
];

/// The daemon: bytes not yet understood, bytes not yet sent.
struct Daemon {
    page: usize,
    received: Vec<u8>,
    unsent: Vec<u8>,
    shutdown: &'static str,
}

static DAEMON: IrqMutex<Daemon> = IrqMutex::new(Daemon { page: 0, received: Vec::new(), unsent: Vec::new(), shutdown: "" });

fn connect() {
    if xenstore::available() {
        return;
    }
    let own = events::own_domid().expect("our identifier");
    let page = memory::alloc_page().expect("a page");
    DAEMON.lock().page = page.as_ptr().addr();
    let near = events::alloc_unbound(own, |_| {}).expect("a port");
    events::bind_interdomain(own, near, |port| {
        DAEMON.lock().serve();
        events::send(port).expect("an event");
    })
    .expect("a port");
    // SAFETY: the page is never freed.
    unsafe { xenstore::attach(page, near) }.expect("a ring");
}

impl Daemon {
    fn serve(&mut self) {
        let ring = self.page as *mut XenstoreRing;
        // SAFETY: the page is ours; handlers do not interrupt each other, and the client runs on the same vCPU.
        unsafe {
            while (*ring).req_cons != (*ring).req_prod {
                self.received.push((*ring).req[(*ring).req_cons as usize % RING_SIZE]);
                (*ring).req_cons = (*ring).req_cons.wrapping_add(1);
            }
            while let Some(request) = self.take_request() {
                self.answer(&request.0, &request.1);
            }
            let mut sent = 0;
            while sent < self.unsent.len() && (*ring).rsp_prod.wrapping_sub((*ring).rsp_cons) < RING_SIZE as u32 {
                (*ring).rsp[(*ring).rsp_prod as usize % RING_SIZE] = self.unsent[sent];
                (*ring).rsp_prod = (*ring).rsp_prod.wrapping_add(1);
                sent += 1;
            }
            self.unsent.drain(..sent);
        }
    }

    fn take_request(&mut self) -> Option<(Header, Vec<u8>)> {
        let (header, rest) = Header::read_from_prefix(&self.received).ok()?;
        let payload = rest.get(..header.len as usize)?.to_vec();
        self.received.drain(..16 + payload.len());
        Some((header, payload))
    }

    fn answer(&mut self, request: &Header, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload).into_owned();
        let mut fields = text.split('\0');
        let path = fields.next().unwrap_or_default();
        match (request.kind, path) {
            (msg::READ, "name") => self.send(request, msg::READ, b"selftest"),
            (msg::READ, "long") => self.send(request, msg::READ, &[b'x'; 4000]),
            (msg::DIRECTORY, "device") => self.send(request, msg::DIRECTORY, b"vbd\0vif\0"),
            (msg::READ, "control/shutdown") => {
                self.send(request, msg::READ, self.shutdown.as_bytes());
            }
            (msg::WRITE, "control/shutdown") => {
                assert_eq!(payload, b"control/shutdown\0", "acknowledged by emptying");
                self.shutdown = "";
                self.send(request, msg::WRITE, b"OK\0");
            }
            (msg::UNWATCH, _) => self.send(request, msg::UNWATCH, b"OK\0"),
            (msg::WRITE, _) | (msg::TRANSACTION_END, _) => self.send(request, request.kind, b"OK\0"),
            (msg::TRANSACTION_START, _) => self.send(request, msg::TRANSACTION_START, b"77\0"),
            (msg::WATCH, _) => {
                self.send(&Header::default(), msg::WATCH_EVENT, b"early\0t0\0");
                self.send(request, msg::WATCH, b"OK\0");
                self.send(&Header::default(), msg::WATCH_EVENT, payload);
            }
            _ => self.send(request, msg::ERROR, b"ENOENT\0"),
        }
    }

    fn send(&mut self, request: &Header, kind: u32, payload: &[u8]) {
        let header = Header { kind, len: payload.len() as u32, ..*request };
        self.unsent.extend_from_slice(header.as_bytes());
        self.unsent.extend_from_slice(payload);
    }
}

fn answers() {
    connect();
    let mut buffer = [0; 64];
    let none = Transaction::NONE;
    assert_eq!(xenstore::read(none, "name", &mut buffer), Ok("selftest"));
    assert_eq!(xenstore::read(none, "other", &mut buffer), Err(Errno::NOENT));
    assert_eq!(xenstore::read(none, "long", &mut buffer), Err(Errno::TOOBIG));
    let names: Vec<&str> = xenstore::directory(none, "device", &mut buffer).expect("a directory").collect();
    assert_eq!(names, ["vbd", "vif"]);
    let transaction = xenstore::start_transaction().expect("a transaction");
    assert_ne!(transaction, none);
    assert_eq!(xenstore::write(transaction, "data/x", "1"), Ok(()));
    assert_eq!(xenstore::end_transaction(transaction, true), Ok(()));
}

fn long_reply() {
    let mut buffer = [0; 4096];
    let value = xenstore::read(Transaction::NONE, "long", &mut buffer).expect("a value");
    assert_eq!(value.len(), 4000);
    assert!(value.bytes().all(|byte| byte == b'x'));
}

fn watches() {
    let mut buffer = [0; 64];
    xenstore::watch("device", "t1").expect("a watch");
    let first = xenstore::wait_watch_event(&mut buffer);
    assert_eq!(first, Ok(WatchEvent { path: "early", token: "t0" }));
    let second = xenstore::wait_watch_event(&mut buffer);
    assert_eq!(second, Ok(WatchEvent { path: "device", token: "t1" }));
    assert_eq!(xenstore::next_watch_event(&mut buffer), Ok(None));
}

fn shutdown_request() {
    assert_eq!(shutdown::take_request(), Ok(None));
    DAEMON.lock().shutdown = "reboot";
    assert_eq!(shutdown::wait_for_request(), Ok(shutdown::Request::Reboot));
    assert_eq!(shutdown::take_request(), Ok(None));
}
