//! What a guest cannot exceed, and who pays.

use crate::rig::{Rig, strings};
use abi::xenstore::msg;
use domus_dom0_core::xenstore::{Access, Permissions};

fn no_space() -> Result<(), String> {
    Err("ENOSPC".into())
}

#[test]
fn nodes_are_counted_and_given_back() {
    let mut rig = Rig::default();
    let guest = rig.guest(1);
    // One of the thousand is `data` itself.
    for n in 0..999 {
        rig.write(guest, &format!("data/{n}"), "").unwrap();
    }
    assert_eq!(rig.write(guest, "data/more", ""), no_space());
    assert_eq!(rig.write(guest, "data/0", "an old one still changes"), Ok(()));
    rig.ask(guest, msg::RM, &["data/7"]).unwrap();
    assert_eq!(rig.write(guest, "data/x/y", ""), no_space(), "two at once do not fit, and neither is made");
    rig.write(guest, "data/more", "").unwrap();
    assert!(rig.server.check());
}

#[test]
fn memory_is_bounded_whatever_it_is_used_for() {
    let mut rig = Rig::default();
    let guest = rig.guest(1);
    let value = "v".repeat(2048);
    assert_eq!(rig.write(guest, "data/big", &"v".repeat(2049)), no_space());
    let written = (0..999).take_while(|n| rig.write(guest, &format!("data/{n}"), &value).is_ok()).count();
    assert!((100..128).contains(&written), "{written} values of 2 KiB in 256 KiB");
    let token = "t".repeat(1000);
    let watched = (0..128).take_while(|n| rig.ask(guest, msg::WATCH, &[&format!("data/{n}"), &token]).is_ok()).count();
    assert!(watched < 4);
    let tx = rig.start(guest);
    assert_eq!(rig.write_in(guest, tx, "data/0", &value), no_space(), "transactions come out of the same purse");
}

#[test]
fn watches_transactions_and_entries_are_counted() {
    let mut rig = Rig::default();
    let guest = rig.guest(1);
    for n in 0..128 {
        rig.ask(guest, msg::WATCH, &["data", &n.to_string()]).unwrap();
    }
    assert_eq!(rig.ask(guest, msg::WATCH, &["data", "more"]), Err("E2BIG".into()));
    for _ in 0..10 {
        rig.start(guest);
    }
    assert_eq!(rig.ask(guest, msg::TRANSACTION_START, &[""]), Err("ENOSPC".into()));
    rig.ask(guest, msg::RESET_WATCHES, &[""]).unwrap();
    rig.start(guest);
    rig.ask(guest, msg::WATCH, &["data", "more"]).unwrap();
    assert_eq!(rig.ask(guest, msg::SET_PERMS, &["data", "n1", "r2", "r3", "r4", "r5", "r6"]), Err("ENOSPC".into()));
    assert_eq!(rig.ask(guest, msg::WATCH, &["data", &"t".repeat(1023)]), Err("E2BIG".into()));
}

#[test]
fn a_transaction_pays_for_what_it_touches() {
    let mut rig = Rig::default();
    let guest = rig.guest(1);
    let tx = rig.start(guest);
    let touched =
        (0..3000).take_while(|n| rig.ask_in(guest, tx, msg::READ, &strings(&[&format!("data/{n}")])) == Err("ENOENT".into())).count();
    assert!((900..1024).contains(&touched), "{touched}");
    rig.end(guest, tx, false).unwrap();
    rig.ask(guest, msg::RESET_WATCHES, &[""]).unwrap();
    let dom0 = rig.dom0();
    let report = rig.ask(dom0, msg::CONTROL, &["quota", "1"]).unwrap();
    let nodes = rig.server.iter().filter(|(_, n)| n.perms.owner() == 1).map(|(p, n)| n.cost(p).bytes).sum::<i64>();
    assert!(report.contains(&format!("memory: {nodes}\n")), "all is given back: {report}");
}

#[test]
fn a_transaction_cannot_smuggle_nodes_past_the_quota() {
    let mut rig = Rig::default();
    let (guest, dom0) = (rig.guest(1), rig.dom0());
    rig.ask(dom0, msg::SET_QUOTA, &["1", "nodes", "5"]).unwrap();
    let (a, b) = (rig.start(guest), rig.start(guest));
    for (tx, names) in [(a, ["1", "2", "3"]), (b, ["4", "5", "6"])] {
        for name in names {
            rig.write_in(guest, tx, &format!("data/{name}"), "").unwrap();
        }
    }
    rig.end(guest, a, true).unwrap();
    assert_eq!(rig.end(guest, b, true), no_space());
}

#[test]
fn dom0_is_not_limited() {
    let mut rig = Rig::default();
    let dom0 = rig.dom0();
    for n in 0..1500 {
        rig.write(dom0, &format!("/tool/{n}"), &"v".repeat(3000)).unwrap();
    }
    assert!(rig.server.check());
}

#[test]
fn what_a_guest_writes_into_dom0s_nodes_is_not_held_against_dom0() {
    let mut rig = Rig::default();
    let guest = rig.guest(1);
    for n in 0..1500 {
        rig.server.write(&format!("/tool/{n}"), b"").unwrap();
    }
    let perms = Permissions::new(0, Access::NONE).with(1, Access::BOTH);
    rig.server.set_perms("/tool/7", perms).unwrap();
    rig.write(guest, "/tool/7", "more than before").unwrap();
    let tx = rig.start(guest);
    rig.write_in(guest, tx, "/tool/7", "and more than that").unwrap();
    rig.end(guest, tx, true).unwrap();
    assert!(rig.server.check());
}
