//! A server with a few clients, and requests as one-liners.

use abi::xenstore::msg;
use domus_dom0_core::xenstore::{
    Access, ConnId, DomId, Permissions, Server,
    wire::{Inbox, Message, encode},
};

/// Joins strings, each with its NUL.
pub fn strings(parts: &[&str]) -> Vec<u8> {
    parts.iter().flat_map(|p| p.bytes().chain([0])).collect()
}

/// A server and how to talk to it.
#[derive(Default)]
pub struct Rig {
    pub server: Server,
    events: Vec<(ConnId, String, String)>,
}

impl Rig {
    /// A guest with a home of its own: it owns `/local/domain/N/data`, and reads the rest of its home.
    pub fn guest(&mut self, domid: DomId) -> ConnId {
        self.server.add_domain(domid);
        let home = format!("/local/domain/{domid}");
        for (path, perms) in [
            (home.clone(), Permissions::new(0, Access::NONE).with(domid, Access::READ)),
            (format!("{home}/data"), Permissions::new(domid, Access::NONE)),
        ] {
            self.server.write(&path, b"").unwrap();
            self.server.set_perms(&path, perms).unwrap();
        }
        self.server.introduce(domid)
    }

    pub fn dom0(&mut self) -> ConnId {
        self.server.connect(0)
    }

    /// Sends all bytes, and serves while that goes on.
    pub fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.server.input(conn, rest);
            rest = &rest[taken..];
            assert!(self.server.step() || taken > 0, "no progress");
        }
        while self.server.step() {}
    }

    /// Everything that waits for a client.
    pub fn receive(&mut self, conn: ConnId) -> Vec<Message> {
        let mut inbox = Inbox::default();
        let mut messages = Vec::new();
        loop {
            let bytes = self.server.output(conn).to_vec();
            if bytes.is_empty() {
                return messages;
            }
            assert_eq!(inbox.accept(&bytes), bytes.len());
            self.server.sent(conn, bytes.len());
            while self.server.step() {}
            messages.extend(inbox.take().unwrap());
        }
    }

    /// Sends a request and returns the reply's payload or the name of the error. Events are put aside.
    pub fn ask_in(&mut self, conn: ConnId, tx: u32, kind: u32, payload: &[u8]) -> Result<Vec<u8>, String> {
        self.send(conn, &encode(kind, 77, tx, payload));
        let mut reply = None;
        for message in self.receive(conn) {
            if message.kind == msg::WATCH_EVENT {
                let parts: Vec<&[u8]> = message.payload.split(|b| *b == 0).collect();
                let text = |at: usize| String::from_utf8(parts[at].to_vec()).unwrap();
                self.events.push((conn, text(0), text(1)));
            } else {
                assert_eq!((message.req_id, message.tx_id), (77, tx));
                assert!(reply.replace(message).is_none(), "two replies");
            }
        }
        let reply = reply.expect("a reply");
        if reply.kind == msg::ERROR {
            return Err(String::from_utf8(reply.payload[..reply.payload.len() - 1].to_vec()).unwrap());
        }
        assert_eq!(reply.kind, kind);
        Ok(reply.payload)
    }

    pub fn ask(&mut self, conn: ConnId, kind: u32, parts: &[&str]) -> Result<String, String> {
        let reply = self.ask_in(conn, 0, kind, &strings(parts))?;
        Ok(String::from_utf8(reply).unwrap().replace('\0', "|"))
    }

    pub fn write_in(&mut self, conn: ConnId, tx: u32, path: &str, value: &str) -> Result<(), String> {
        let payload = [path.as_bytes(), &[0], value.as_bytes()].concat();
        self.ask_in(conn, tx, msg::WRITE, &payload).map(|ok| assert_eq!(ok, b"OK\0"))
    }

    pub fn write(&mut self, conn: ConnId, path: &str, value: &str) -> Result<(), String> {
        self.write_in(conn, 0, path, value)
    }

    pub fn read(&mut self, conn: ConnId, path: &str) -> Result<String, String> {
        self.ask(conn, msg::READ, &[path])
    }

    pub fn start(&mut self, conn: ConnId) -> u32 {
        self.ask(conn, msg::TRANSACTION_START, &[""]).unwrap().trim_end_matches('|').parse().unwrap()
    }

    pub fn end(&mut self, conn: ConnId, tx: u32, commit: bool) -> Result<(), String> {
        self.ask_in(conn, tx, msg::TRANSACTION_END, if commit { b"T\0" } else { b"F\0" }).map(|_| ())
    }

    /// The events that a client has got since the last call, as `path token`.
    pub fn events(&mut self, conn: ConnId) -> Vec<String> {
        let pending = self.receive(conn);
        let mut found: Vec<String> =
            self.events.iter().filter(|(c, ..)| *c == conn).map(|(_, path, token)| format!("{path} {token}")).collect();
        self.events.retain(|(c, ..)| *c != conn);
        for message in pending {
            assert_eq!(message.kind, msg::WATCH_EVENT);
            found.push(String::from_utf8(message.payload).unwrap().trim_end_matches('\0').replace('\0', " "));
        }
        found
    }
}
