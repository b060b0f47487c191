//! Who is told of what.

use crate::rig::Rig;
use abi::xenstore::msg;
use domus_dom0_core::xenstore::{Access, Error, Permissions, Seed};

#[test]
fn a_watch_fires_at_once_and_then_for_all_below() {
    let mut rig = Rig::default();
    let guest = rig.guest(3);
    rig.ask(guest, msg::WATCH, &["data", "tok"]).unwrap();
    assert_eq!(rig.events(guest), ["data tok"]);
    rig.write(guest, "data/x/y", "1").unwrap();
    assert_eq!(rig.events(guest), ["data/x/y tok"], "relative as registered");
    rig.ask(guest, msg::SET_PERMS, &["data/x", "r3"]).unwrap();
    assert_eq!(rig.events(guest), ["data/x tok"]);
    rig.ask(guest, msg::RM, &["data/x"]).unwrap();
    assert_eq!(rig.events(guest), ["data/x tok"], "once for the whole subtree");
    assert_eq!(rig.ask(guest, msg::WATCH, &["data", "tok"]), Err("EEXIST".into()));
    rig.ask(guest, msg::UNWATCH, &["data", "tok"]).unwrap();
    assert_eq!(rig.ask(guest, msg::UNWATCH, &["data", "tok"]), Err("ENOENT".into()));
    rig.write(guest, "data/z", "1").unwrap();
    assert!(rig.events(guest).is_empty());
}

#[test]
fn what_is_planted_is_told_like_what_is_written() {
    let mut rig = Rig::default();
    let (dom0, guest) = (rig.dom0(), rig.guest(3));
    let seed = |path: &str, perms| Seed { path: path.into(), value: b"x".to_vec(), perms };
    let plant = |rig: &mut Rig, name: &str| {
        let home = format!("/local/domain/{name}");
        let readable = Permissions::new(0, Access::NONE).with(3, Access::READ);
        rig.server.plant(vec![seed(&home, Some(readable)), seed(&format!("{home}/a"), None), seed(&format!("{home}/b/c"), None)])
    };
    rig.ask(guest, msg::WATCH, &["/elsewhere", "t"]).unwrap();
    rig.events(guest);
    plant(&mut rig, "7").unwrap();
    assert!(rig.events(guest).is_empty(), "nobody watches");
    assert_eq!(rig.read(guest, "/local/domain/7/b/c"), Ok("x".into()), "it has the permissions of what is above");
    rig.ask(dom0, msg::WATCH, &["/local/domain", "t"]).unwrap();
    rig.ask(guest, msg::WATCH, &["/local/domain/8/a", "u"]).unwrap();
    rig.events(dom0);
    rig.events(guest);
    plant(&mut rig, "8").unwrap();
    let told = rig.events(dom0);
    for path in ["/local/domain/8 t", "/local/domain/8/a t", "/local/domain/8/b/c t"] {
        assert!(told.iter().any(|event| event == path), "{path}: {told:?}");
    }
    assert_eq!(rig.events(guest), ["/local/domain/8/a u"]);
    assert_eq!(rig.server.plant(vec![seed("/x//y", None)]), Err(Error::Invalid));
    assert_eq!(rig.server.plant(vec![seed("/x", Some(Permissions::new(99, Access::NONE)))]), Err(Error::Invalid), "no such domain");
    assert!(rig.server.check());
}

#[test]
fn removal_of_an_ancestor_fires_with_the_watched_path() {
    let mut rig = Rig::default();
    let guest = rig.guest(3);
    rig.write(guest, "data/a/b/c", "").unwrap();
    rig.ask(guest, msg::WATCH, &["/local/domain/3/data/a/b", "t"]).unwrap();
    rig.events(guest);
    rig.ask(guest, msg::RM, &["data/a"]).unwrap();
    assert_eq!(rig.events(guest), ["/local/domain/3/data/a/b t"]);
}

#[test]
fn depth_limits_what_matches() {
    let mut rig = Rig::default();
    let guest = rig.guest(3);
    rig.write(guest, "data/a/b", "").unwrap();
    rig.ask(guest, msg::WATCH, &["data", "0", "0"]).unwrap();
    rig.ask(guest, msg::WATCH, &["data", "1", "1"]).unwrap();
    rig.events(guest);
    rig.write(guest, "data/a/b", "x").unwrap();
    assert!(rig.events(guest).is_empty());
    rig.write(guest, "data/a", "x").unwrap();
    assert_eq!(rig.events(guest), ["data/a 1"]);
    rig.write(guest, "data", "x").unwrap();
    assert_eq!(rig.events(guest).len(), 2);
}

#[test]
fn nobody_learns_of_what_they_cannot_read() {
    let mut rig = Rig::default();
    let (one, two) = (rig.guest(1), rig.guest(2));
    let (root, home) = ("/", "/local/domain/1");
    let watched = [(root, "a"), (home, "b"), ("/local/domain/1/data/x", "c"), ("/local/domain/1/data/x/y", "d")];
    for (path, token) in watched {
        rig.ask(two, msg::WATCH, &[path, token]).unwrap();
    }
    rig.events(two);
    rig.write(one, "data/x/y", "secret").unwrap();
    rig.ask(one, msg::RM, &["data/x"]).unwrap();
    assert!(rig.events(two).is_empty());
    rig.write(one, "data/x/y", "public").unwrap();
    rig.ask(one, msg::SET_PERMS, &["data/x/y", "r1"]).unwrap();
    assert_eq!(rig.events(two).len(), 4);
    rig.ask(one, msg::RM, &["data/x"]).unwrap();
    assert_eq!(rig.events(two), ["/local/domain/1/data/x/y d"], "it could read that one, so it learns that it is gone");
}

#[test]
fn special_watches_are_for_those_whom_dom0_allows() {
    let mut rig = Rig::default();
    let (guest, dom0) = (rig.guest(1), rig.dom0());
    for conn in [guest, dom0] {
        rig.ask(conn, msg::WATCH, &["@introduceDomain", "in"]).unwrap();
        rig.ask(conn, msg::WATCH, &["@releaseDomain", "out", "1"]).unwrap();
        rig.events(conn);
    }
    rig.guest(2);
    rig.server.domain_shut_down(2);
    rig.server.domain_shut_down(2);
    assert_eq!(rig.events(dom0), ["@introduceDomain in", "@releaseDomain/2 out"], "announced once");
    assert!(rig.events(guest).is_empty());
    rig.ask(dom0, msg::RESUME, &["2"]).unwrap();
    rig.ask(dom0, msg::SET_PERMS, &["@releaseDomain", "n0", "r1"]).unwrap();
    rig.server.domain_shut_down(2);
    assert_eq!(rig.events(guest), ["@releaseDomain/2 out"]);
    rig.ask(dom0, msg::WATCH, &["@releaseDomain/2", "two"]).unwrap();
    rig.events(dom0);
    rig.server.remove_domain(2);
    assert_eq!(rig.events(dom0), ["@releaseDomain/2 two", "@releaseDomain/2 out"]);
}

#[test]
fn events_that_pile_up_are_merged_not_lost_and_not_hoarded() {
    let mut rig = Rig::default();
    let (lazy, busy) = (rig.guest(1), rig.guest(2));
    rig.ask(busy, msg::SET_PERMS, &["data", "r2"]).unwrap();
    rig.ask(lazy, msg::WATCH, &["/local/domain/2/data", "t"]).unwrap();
    rig.events(lazy);
    for n in 0..600 {
        rig.write(busy, &format!("data/{n}"), "").unwrap();
    }
    assert!(rig.server.queued_bytes(lazy) < 40 * 1024);
    let events = rig.events(lazy);
    assert_eq!(events.len(), 129);
    assert_eq!(events.last().unwrap(), "/local/domain/2/data t", "the rest is one event for the watch itself");
}

#[test]
fn reset_ends_watches_and_transactions() {
    let mut rig = Rig::default();
    let guest = rig.guest(1);
    rig.ask(guest, msg::WATCH, &["data", "t"]).unwrap();
    let tx = rig.start(guest);
    rig.events(guest);
    rig.ask(guest, msg::RESET_WATCHES, &[""]).unwrap();
    rig.write(guest, "data", "x").unwrap();
    assert!(rig.events(guest).is_empty());
    assert_eq!(rig.end(guest, tx, true), Err("ENOENT".into()));
}

#[test]
fn dom0_watches_without_messages() {
    let mut rig = Rig::default();
    let (guest, dom0) = (rig.guest(1), rig.dom0());
    rig.server.watch(dom0, "/local/domain/1", b"back").unwrap();
    assert_eq!(rig.server.next_event(dom0).unwrap(), ("/local/domain/1".into(), b"back".to_vec()));
    rig.write(guest, "data/a", "").unwrap();
    assert_eq!(rig.server.next_event(dom0).unwrap().0, "/local/domain/1/data/a");
    assert!(rig.server.next_event(dom0).is_none());
    rig.server.unwatch(dom0, "/local/domain/1", b"back").unwrap();
}
