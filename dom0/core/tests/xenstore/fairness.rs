//! A client that floods does not starve another.

use crate::rig::{Rig, strings};
use abi::xenstore::msg;
use domus_dom0_core::xenstore::{ConnId, wire::encode};

/// Keeps a client's queue full; reads what it gets, so that nothing but fairness holds it back.
fn flood(rig: &mut Rig, conn: ConnId) {
    let request = encode(msg::WRITE, 1, 0, b"data/flood\0x");
    while rig.server.room(conn) >= request.len() {
        rig.server.input(conn, &request);
    }
    while !rig.server.output(conn).is_empty() {
        let bytes = rig.server.output(conn).len();
        rig.server.sent(conn, bytes);
    }
}

/// Requests served until a client has its reply.
fn latency(rig: &mut Rig, conn: ConnId, floods: &[ConnId]) -> usize {
    floods.iter().for_each(|c| flood(rig, *c));
    rig.server.input(conn, &encode(msg::READ, 1, 0, &strings(&["data"])));
    let mut steps = 0;
    while rig.server.output(conn).is_empty() {
        floods.iter().for_each(|c| flood(rig, *c));
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
