//! All at once, or not at all.

use crate::rig::{Rig, strings};
use abi::xenstore::msg;

#[test]
fn changes_show_at_commit_with_their_events() {
    let mut rig = Rig::default();
    let (guest, dom0) = (rig.guest(1), rig.dom0());
    rig.ask(dom0, msg::WATCH, &["/local/domain/1", "t"]).unwrap();
    rig.events(dom0);
    let tx = rig.start(guest);
    rig.write_in(guest, tx, "data/a", "1").unwrap();
    rig.write_in(guest, tx, "data/b", "2").unwrap();
    assert_eq!(rig.ask_in(guest, tx, msg::READ, b"data/a\0").unwrap(), b"1");
    assert_eq!(rig.ask_in(guest, tx, msg::DIRECTORY, b"data\0").unwrap(), b"a\0b\0");
    assert_eq!(rig.read(dom0, "/local/domain/1/data/a"), Err("ENOENT".into()));
    assert!(rig.events(dom0).is_empty());
    rig.end(guest, tx, true).unwrap();
    assert_eq!(rig.read(dom0, "/local/domain/1/data/b").unwrap(), "2");
    assert_eq!(rig.events(dom0), ["/local/domain/1/data/a t", "/local/domain/1/data/b t"]);
    assert!(rig.server.check());
}

#[test]
fn an_aborted_transaction_leaves_nothing() {
    let mut rig = Rig::default();
    let guest = rig.guest(1);
    rig.write(guest, "data/keep", "k").unwrap();
    let tx = rig.start(guest);
    rig.ask_in(guest, tx, msg::RM, b"data/keep\0").unwrap();
    assert_eq!(rig.ask_in(guest, tx, msg::READ, b"data/keep\0"), Err("ENOENT".into()));
    rig.end(guest, tx, false).unwrap();
    assert_eq!(rig.read(guest, "data/keep").unwrap(), "k");
    assert_eq!(rig.end(guest, tx, true), Err("ENOENT".into()), "the number is used up");
    assert_eq!(rig.write_in(guest, tx, "data/x", ""), Err("ENOENT".into()));
}

#[test]
fn the_loser_retries() {
    let mut rig = Rig::default();
    let (guest, dom0) = (rig.guest(1), rig.dom0());
    rig.write(guest, "data/n", "1").unwrap();
    let tx = rig.start(guest);
    rig.ask_in(guest, tx, msg::READ, b"data/n\0").unwrap();
    rig.write(dom0, "/local/domain/1/data/n", "5").unwrap();
    rig.write_in(guest, tx, "data/n", "2").unwrap();
    assert_eq!(rig.end(guest, tx, true), Err("EAGAIN".into()));
    assert_eq!(rig.read(guest, "data/n").unwrap(), "5");
}

#[test]
fn what_was_not_looked_at_does_not_conflict() {
    let mut rig = Rig::default();
    let (guest, dom0) = (rig.guest(1), rig.dom0());
    let tx = rig.start(guest);
    rig.write_in(guest, tx, "data/a", "1").unwrap();
    rig.write(dom0, "/local/domain/1/data/b", "sibling").unwrap();
    rig.end(guest, tx, true).unwrap();
    let tx = rig.start(guest);
    rig.ask_in(guest, tx, msg::DIRECTORY, b"data\0").unwrap();
    rig.write(dom0, "/local/domain/1/data/c", "listed").unwrap();
    assert_eq!(rig.end(guest, tx, true), Err("EAGAIN".into()), "who has listed the names has looked at them");
}

#[test]
fn a_subtree_that_grew_is_not_removed_blindly() {
    let mut rig = Rig::default();
    let (guest, dom0) = (rig.guest(1), rig.dom0());
    rig.write(guest, "data/d/e", "").unwrap();
    let tx = rig.start(guest);
    rig.ask_in(guest, tx, msg::RM, b"data/d\0").unwrap();
    rig.write(dom0, "/local/domain/1/data/d/e/late", "").unwrap();
    assert_eq!(rig.end(guest, tx, true), Err("EAGAIN".into()));
    assert!(rig.server.check());
}

#[test]
fn transactions_do_not_nest() {
    let mut rig = Rig::default();
    let guest = rig.guest(1);
    let tx = rig.start(guest);
    assert_eq!(rig.ask_in(guest, tx, msg::TRANSACTION_START, &strings(&[""])), Err("EBUSY".into()));
    assert_eq!(rig.end(guest, 0, true), Err("ENOENT".into()));
}

#[test]
fn a_node_that_came_and_went_is_noticed() {
    let mut rig = Rig::default();
    let (guest, dom0) = (rig.guest(1), rig.dom0());
    let tx = rig.start(guest);
    assert_eq!(rig.ask_in(guest, tx, msg::READ, b"data/n\0"), Err("ENOENT".into()));
    rig.write(dom0, "/local/domain/1/data/n", "5").unwrap();
    assert_eq!(rig.ask_in(guest, tx, msg::READ, b"data/n\0").unwrap(), b"5");
    rig.ask(dom0, msg::RM, &["/local/domain/1/data/n"]).unwrap();
    assert_eq!(rig.end(guest, tx, true), Err("EAGAIN".into()));
}
