//! Whether a domain has noticed that a device is gone.

use crate::rig::Rig;
use abi::xenstore::msg;

const DISK: &str = "/local/domain/1/device/vbd/51712";

fn rig() -> (Rig, domus_dom0_core::xenstore::ConnId) {
    let mut rig = Rig::default();
    let one = rig.guest(1);
    rig.server.write(DISK, b"").unwrap();
    rig.server.remove(DISK);
    rig.server.note_gone(1, DISK, true);
    (rig, one)
}

#[test]
fn it_has_once_it_asked_for_it_in_vain() {
    for (kind, path) in [(msg::DIRECTORY, "device/vbd/51712"), (msg::READ, DISK)] {
        let (mut rig, one) = rig();
        assert!(rig.server.is_unnoticed(1, DISK));
        rig.ask(one, kind, &["device/vbd/51712/state"]).unwrap_err();
        rig.ask(one, kind, &["device/vbd/51728"]).unwrap_err();
        rig.ask(one, msg::DIRECTORY, &["device/vbd"]).unwrap();
        assert!(rig.server.is_unnoticed(1, DISK) && !rig.server.take_noticed(), "other nodes");
        rig.ask(one, kind, &[path]).unwrap_err();
        assert!(!rig.server.is_unnoticed(1, DISK));
        assert!(rig.server.take_noticed() && !rig.server.take_noticed(), "told once");
    }
}

#[test]
fn one_that_had_not_closed_it_looks_at_its_state_last() {
    let (mut rig, one) = rig();
    rig.server.note_gone(1, DISK, false);
    rig.ask(one, msg::READ, &["device/vbd/51712/state"]).unwrap_err();
    assert!(rig.server.is_unnoticed(1, DISK), "on its way to something else");
    for _ in 0..2 {
        rig.ask(one, msg::DIRECTORY, &["device/vbd/51712"]).unwrap_err();
        assert!(rig.server.is_unnoticed(1, DISK) && !rig.server.take_noticed());
    }
    rig.ask(one, msg::READ, &["device/vbd/51712/backend"]).unwrap_err();
    assert!(rig.server.is_unnoticed(1, DISK));
    let tx = rig.start(one);
    rig.ask_in(one, tx, msg::READ, b"device/vbd/51712/state\0").unwrap_err();
    assert!(!rig.server.is_unnoticed(1, DISK) && rig.server.take_noticed());
}

#[test]
fn another_domain_does_not_notice_for_it_and_a_node_that_is_there_is_none() {
    let (mut rig, one) = rig();
    let two = rig.guest(2);
    rig.ask(two, msg::DIRECTORY, &[DISK]).unwrap_err();
    assert!(rig.server.is_unnoticed(1, DISK));
    rig.server.write(DISK, b"").unwrap();
    rig.ask(one, msg::DIRECTORY, &[DISK]).unwrap();
    assert!(rig.server.is_unnoticed(1, DISK));
}

#[test]
fn it_is_not_waited_for_for_ever() {
    let (mut rig, _) = rig();
    rig.server.forget_gone(1, DISK);
    assert!(!rig.server.is_unnoticed(1, DISK));
    rig.server.note_gone(1, DISK, true);
    rig.server.remove_domain(1);
    assert!(!rig.server.is_unnoticed(1, DISK), "its successor knew nothing");
    rig.server.note_gone(1, DISK, true);
    assert!(!rig.server.is_unnoticed(1, DISK), "nor does one that does not exist");
}
