//! A client that floods does not starve another.

use crate::rig::{Rig, strings};
use abi::xenstore::msg;
use domus_dom0_core::xenstore::{ConnId, wire::encode};

/// Keeps a client's queue full; reads what it gets, so that nothing but fairness holds it back.
fn flood(rig: &mut Rig, conn: ConnId) {
    flood_with(rig, conn, &encode(msg::WRITE, 1, 0, b"data/flood\0x"));
}

fn flood_with(rig: &mut Rig, conn: ConnId, requests: &[u8]) {
    while rig.server.room(conn) >= requests.len() {
        rig.server.input(conn, requests);
    }
    while !rig.server.output(conn).is_empty() {
        let bytes = rig.server.output(conn).len();
        rig.server.sent(conn, bytes);
    }
}

/// Requests served until a client has its reply.
fn latency(rig: &mut Rig, conn: ConnId, floods: &[ConnId]) -> usize {
    latency_beside(rig, conn, |rig| floods.iter().for_each(|c| flood(rig, *c)))
}

fn latency_beside(rig: &mut Rig, conn: ConnId, flood: impl Fn(&mut Rig)) -> usize {
    flood(rig);
    rig.server.input(conn, &encode(msg::READ, 1, 0, &strings(&["data"])));
    let mut steps = 0;
    while rig.server.output(conn).is_empty() {
        flood(rig);
        assert!(rig.server.step());
        steps += 1;
    }
    let bytes = rig.server.output(conn).len();
    rig.server.sent(conn, bytes);
    steps
}

#[test]
fn one_that_floods_at_most_doubles_anothers_latency() {
    let mut rig = Rig::default();
    let (victim, flooder) = (rig.guest(1), rig.guest(2));
    let idle = latency(&mut rig, victim, &[]);
    for _ in 0..100 {
        assert!(latency(&mut rig, victim, &[flooder]) <= 2 * idle);
    }
}

/// What the server keeps for a client costs more than the request for it, so who asks for that gives way to who only reads.
#[test]
fn readers_seldom_wait_for_one_that_sets_watches_or_begins_transactions() {
    let watches = [encode(msg::WATCH, 1, 0, b"data\0t\0"), encode(msg::UNWATCH, 2, 0, b"data\0t\0")].concat();
    let transactions = encode(msg::TRANSACTION_START, 1, 0, b"\0");
    for requests in [watches, transactions] {
        let mut rig = Rig::default();
        let (reader, flooder) = (rig.guest(1), rig.guest(2));
        let waited = (0..100).filter(|_| latency_beside(&mut rig, reader, |rig| flood_with(rig, flooder, &requests)) > 1).count();
        assert!((1..=30).contains(&waited), "{waited} of 100");
    }
}

#[test]
fn many_that_flood_cost_one_request_each() {
    let mut rig = Rig::default();
    let victim = rig.guest(1);
    let flooders: Vec<ConnId> = (2..12).map(|d| rig.guest(d)).collect();
    for _ in 0..50 {
        assert!(latency(&mut rig, victim, &flooders) <= 1 + flooders.len());
    }
}

#[test]
fn who_does_not_read_replies_is_not_served_further() {
    let mut rig = Rig::default();
    let stuck = rig.guest(1);
    let request = encode(msg::WRITE, 1, 0, b"data/n\0x");
    for _ in 0..10_000 {
        rig.server.input(stuck, &request);
        rig.server.step();
    }
    assert!(!rig.server.step(), "nothing to do for it");
    assert!(rig.server.queued_bytes(stuck) <= 4 * 4112);
    assert!(rig.server.room(stuck) < request.len());
    let bytes = rig.server.output(stuck).len();
    rig.server.sent(stuck, bytes);
    assert!(rig.server.step(), "reading one reply makes room for one request");
}
