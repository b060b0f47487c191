//! Domains come and go; their numbers come again.

use crate::rig::Rig;
use abi::xenstore::msg;
use domus_dom0_core::xenstore::Effect;

#[test]
fn a_reused_number_inherits_nothing() {
    let mut rig = Rig::default();
    let (one, dom0) = (rig.guest(1), rig.dom0());
    let two = rig.guest(2);
    rig.write(one, "data/for-two", "x").unwrap();
    rig.ask(one, msg::SET_PERMS, &["data/for-two", "n1", "b2"]).unwrap();
    rig.ask(dom0, msg::SET_PERMS, &["@releaseDomain", "n0", "r2"]).unwrap();
    rig.write(two, "data/own", "x").unwrap();
    rig.ask(two, msg::WATCH, &["/", "t"]).unwrap();
    // Somebody is about to give domain 2 more; the transaction must not outlive the domain.
    let tx = rig.start(one);
    rig.ask_in(one, tx, msg::SET_PERMS, b"data\0n1\0b2\0").unwrap();
    rig.server.remove_domain(2);
    assert_eq!(rig.end(one, tx, true), Err("EAGAIN".into()));
    assert_eq!(rig.ask(dom0, msg::GET_PERMS, &["/local/domain/1/data/for-two"]).unwrap(), "n1|");
    assert_eq!(rig.ask(dom0, msg::GET_PERMS, &["@releaseDomain"]).unwrap(), "n0|");
    assert_eq!(rig.ask(dom0, msg::READ, &["/local/domain/2/data/own"]), Err("ENOENT".into()), "its nodes went with it");
    assert!(rig.server.check());
    let again = rig.guest(2);
    assert_eq!(rig.read(again, "/local/domain/1/data/for-two"), Err("EACCES".into()));
    assert!(rig.events(again).is_empty(), "no watch is left either");
    let report = rig.ask(dom0, msg::CONTROL, &["quota", "2"]).unwrap();
    assert!(report.contains("nodes: 1\nwatches: 0"), "{report}");
}

#[test]
fn entries_for_domains_to_come_are_dropped() {
    let mut rig = Rig::default();
    let (one, dom0) = (rig.guest(1), rig.dom0());
    rig.ask(one, msg::SET_PERMS, &["data", "n1", "b9"]).unwrap();
    assert_eq!(rig.ask(one, msg::GET_PERMS, &["data"]).unwrap(), "n1|");
    assert_eq!(rig.ask(dom0, msg::SET_PERMS, &["/local/domain/1/data", "n9"]), Err("EINVAL".into()));
}

#[test]
fn nodes_of_a_dead_domain_go_with_all_below() {
    let mut rig = Rig::default();
    let (one, two, dom0) = (rig.guest(1), rig.guest(2), rig.dom0());
    rig.ask(one, msg::SET_PERMS, &["data", "n1", "b2"]).unwrap();
    rig.write(two, "/local/domain/1/data/a/b", "").unwrap();
    rig.ask(dom0, msg::WATCH, &["/local/domain/1", "t"]).unwrap();
    rig.events(dom0);
    rig.server.remove_domain(2);
    assert_eq!(rig.ask(one, msg::DIRECTORY, &["data"]).unwrap(), "");
    assert!(rig.events(dom0).contains(&"/local/domain/1/data/a t".into()));
    assert!(rig.server.check());
    rig.server.remove_domain(0);
    assert!(rig.server.read("/").is_some(), "Dom0 stays");
}

#[test]
fn introduction_by_message_reaches_the_driver() {
    let mut rig = Rig::default();
    let dom0 = rig.dom0();
    assert_eq!(rig.ask(dom0, msg::INTRODUCE, &["4", "77", "3"]).unwrap(), "OK|");
    assert_eq!(rig.server.next_effect(), Some(Effect::Connect { domid: 4, frame: 77, port: 3 }));
    assert_eq!(rig.ask(dom0, msg::IS_DOMAIN_INTRODUCED, &["4"]).unwrap(), "T|");
    assert_eq!(rig.ask(dom0, msg::RELEASE, &["4"]).unwrap(), "OK|");
    assert_eq!(rig.server.next_effect(), Some(Effect::Disconnect(4)));
    assert_eq!(rig.ask(dom0, msg::IS_DOMAIN_INTRODUCED, &["4"]).unwrap(), "F|");
    assert_eq!(rig.ask(dom0, msg::INTRODUCE, &["0", "77", "3"]), Err("EINVAL".into()));
    assert_eq!(rig.ask(dom0, msg::RELEASE, &["0"]), Err("EINVAL".into()));
}
