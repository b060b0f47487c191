//! Reading, writing, listing and permissions.

use crate::rig::{Rig, strings};
use abi::xenstore::msg;

fn error(name: &str) -> Result<String, String> {
    Err(name.into())
}

#[test]
fn a_guest_works_in_its_home() {
    let mut rig = Rig::default();
    let guest = rig.guest(5);
    rig.write(guest, "data/a/b", "v").unwrap();
    assert_eq!(rig.read(guest, "/local/domain/5/data/a/b").unwrap(), "v");
    assert_eq!(rig.read(guest, "data/a").unwrap(), "");
    assert_eq!(rig.ask(guest, msg::DIRECTORY, &["data"]).unwrap(), "a|");
    assert_eq!(rig.ask(guest, msg::MKDIR, &["data/c"]).unwrap(), "OK|");
    assert_eq!(rig.ask(guest, msg::DIRECTORY, &["data"]).unwrap(), "a|c|");
    assert_eq!(rig.ask(guest, msg::RM, &["data/a"]).unwrap(), "OK|");
    assert_eq!(rig.read(guest, "data/a/b"), error("ENOENT"));
    assert_eq!(rig.ask(guest, msg::RM, &["data/a"]).unwrap(), "OK|");
    assert_eq!(rig.ask(guest, msg::RM, &["data/a/b"]), error("ENOENT"));
    assert_eq!(rig.ask(guest, msg::GET_DOMAIN_PATH, &["5"]).unwrap(), "/local/domain/5|");
    assert_eq!(rig.ask(guest, msg::IS_DOMAIN_INTRODUCED, &["5"]).unwrap(), "T|");
    assert_eq!(rig.ask(guest, msg::IS_DOMAIN_INTRODUCED, &["6"]).unwrap(), "F|");
}

#[test]
fn guests_are_kept_apart() {
    let mut rig = Rig::default();
    let (one, two) = (rig.guest(1), rig.guest(2));
    rig.write(one, "data/secret", "s").unwrap();
    assert_eq!(rig.read(two, "/local/domain/1/data/secret"), error("EACCES"));
    assert_eq!(rig.read(two, "/local/domain/1/data/nothing"), error("EACCES"), "absence is not told either");
    assert_eq!(rig.write(two, "/local/domain/1/data/secret", "x"), Err("EACCES".into()));
    assert_eq!(rig.write(two, "/local/domain/1/name", "x"), Err("EACCES".into()));
    assert_eq!(rig.write(one, "name", "x"), Err("EACCES".into()), "its home is read-only to a guest");
    assert_eq!(rig.ask(two, msg::RM, &["/local/domain/1/data"]), error("EACCES"));
    assert_eq!(rig.ask(two, msg::SET_PERMS, &["/local/domain/1/data", "b2"]), error("EACCES"));
    assert_eq!(rig.ask(one, msg::SET_PERMS, &["data/secret", "n1", "r2"]).unwrap(), "OK|");
    assert_eq!(rig.read(two, "/local/domain/1/data/secret").unwrap(), "s");
    assert_eq!(rig.ask(two, msg::GET_PERMS, &["/local/domain/1/data/secret"]).unwrap(), "n1|r2|");
}

#[test]
fn ownership_is_inherited_and_kept() {
    let mut rig = Rig::default();
    let (one, two, dom0) = (rig.guest(1), rig.guest(2), rig.dom0());
    rig.ask(one, msg::SET_PERMS, &["data", "n1", "b2"]).unwrap();
    rig.write(two, "/local/domain/1/data/gift", "g").unwrap();
    assert_eq!(rig.ask(two, msg::GET_PERMS, &["/local/domain/1/data/gift"]).unwrap(), "n2|b2|", "the creator owns and pays");
    assert_eq!(rig.ask(one, msg::SET_PERMS, &["data", "n2"]), error("EPERM"));
    rig.write(dom0, "/local/domain/1/data/tool", "t").unwrap();
    assert_eq!(rig.ask(dom0, msg::GET_PERMS, &["/local/domain/1/data/tool"]).unwrap(), "n1|b2|");
    assert_eq!(rig.ask(dom0, msg::SET_PERMS, &["/local/domain/1/data/tool", "n0"]).unwrap(), "OK|");
    assert!(rig.server.check());
}

#[test]
fn a_domain_with_a_target_acts_for_it() {
    let mut rig = Rig::default();
    let (one, two, dom0) = (rig.guest(1), rig.guest(2), rig.dom0());
    rig.write(one, "data/x", "1").unwrap();
    rig.ask(dom0, msg::SET_TARGET, &["2", "1"]).unwrap();
    assert_eq!(rig.read(two, "/local/domain/1/data/x").unwrap(), "1");
    rig.server.remove_domain(1);
    rig.guest(1);
    assert_eq!(rig.read(two, "/local/domain/1/data"), error("EACCES"), "a new domain 1 is not its target");
}

#[test]
fn what_only_dom0_may_ask() {
    let mut rig = Rig::default();
    let guest = rig.guest(1);
    for (kind, parts) in [
        (msg::INTRODUCE, &["2", "7", "3"][..]),
        (msg::RELEASE, &["1"]),
        (msg::RESUME, &["1"]),
        (msg::SET_TARGET, &["1", "0"]),
        (msg::GET_FEATURE, &["1"]),
        (msg::SET_FEATURE, &["1", "0"]),
        (msg::GET_QUOTA, &["nodes"]),
        (msg::SET_QUOTA, &["1", "nodes", "0"]),
        (msg::CONTROL, &["check"]),
        (msg::SET_PERMS, &["@releaseDomain", "r1"]),
    ] {
        assert_eq!(rig.ask(guest, kind, parts), error("EACCES"), "type {kind}");
    }
}

#[test]
fn malformed_requests_get_einval() {
    let mut rig = Rig::default();
    let guest = rig.guest(1);
    for (kind, payload) in [
        (msg::READ, &b""[..]),
        (msg::READ, b"data"),
        (msg::READ, b"data\0data\0"),
        (msg::READ, b"data/\0"),
        (msg::READ, b"/\xff\0"),
        (msg::READ, b"@releaseDomain\0"),
        (msg::WRITE, b"data"),
        (msg::RM, b"/\0"),
        (msg::SET_PERMS, b"data\0"),
        (msg::SET_PERMS, b"data\0z1\0"),
        (msg::WATCH, b"data\0"),
        (msg::WATCH, b"data\0t\0-1\0"),
        (msg::WATCH, b"@releaseDomain\0t\x002\0"),
        (msg::TRANSACTION_END, b"Y\0"),
        (msg::DIRECTORY_PART, b"data\0x\0"),
        (msg::GET_DOMAIN_PATH, b"99999\0"),
    ] {
        let name = rig.ask_in(guest, 0, kind, payload).unwrap_err();
        // The root is not the guest's to remove; a transaction's end is looked at before its number.
        assert_eq!(name, "EINVAL", "type {kind} {payload:?}");
    }
    for kind in [msg::WATCH_EVENT, msg::ERROR, 20, 27, msg::INVALID] {
        assert_eq!(rig.ask(guest, kind, &["data"]), error("ENOSYS"));
    }
}

#[test]
fn long_directories_come_in_parts() {
    let mut rig = Rig::default();
    let dom0 = rig.dom0();
    let names: Vec<String> = (0..900).map(|n| format!("entry-{n:04}")).collect();
    for name in &names {
        rig.server.write(&format!("/big/{name}"), b"").unwrap();
    }
    assert_eq!(rig.ask(dom0, msg::DIRECTORY, &["/big"]), error("E2BIG"));
    let (mut found, mut offset, mut generation) = (Vec::new(), 0, None);
    loop {
        let part = rig.ask_in(dom0, 0, msg::DIRECTORY_PART, &strings(&["/big", &offset.to_string()])).unwrap();
        assert!(part.len() <= 4096);
        let text = String::from_utf8(part).unwrap();
        let (count, rest) = text.split_once('\0').unwrap();
        assert_eq!(*generation.get_or_insert(count.to_string()), count);
        let last = rest.ends_with("\0\0") || rest == "\0";
        let chunk = if last { &rest[..rest.len() - 1] } else { rest };
        offset += chunk.len();
        found.extend(chunk.split_terminator('\0').map(String::from));
        if last {
            break;
        }
    }
    assert_eq!(found, names);
    rig.server.write("/big/more", b"").unwrap();
    let part = rig.ask(dom0, msg::DIRECTORY_PART, &["/big", "0"]).unwrap();
    assert_ne!(part.split_once('|').unwrap().0, generation.unwrap(), "a change shows");
}

#[test]
fn features_and_quotas_can_be_asked_for() {
    let mut rig = Rig::default();
    let (guest, dom0) = (rig.guest(1), rig.dom0());
    assert_eq!(rig.ask_in(guest, 0, msg::GET_FEATURE, b"").unwrap(), b"6\0");
    assert_eq!(rig.ask(dom0, msg::SET_FEATURE, &["1", "2"]), error("EBUSY"), "introduced already");
    rig.server.add_domain(2);
    assert_eq!(rig.ask(dom0, msg::SET_FEATURE, &["2", "1"]), error("EINVAL"), "not supported");
    rig.ask(dom0, msg::SET_FEATURE, &["2", "2"]).unwrap();
    assert_eq!(rig.ask(dom0, msg::GET_FEATURE, &["2"]).unwrap(), "2|");
    assert!(rig.ask_in(dom0, 0, msg::GET_QUOTA, b"").unwrap().starts_with(b"nodes watches"));
    rig.ask(dom0, msg::SET_QUOTA, &["1", "nodes", "7"]).unwrap();
    assert_eq!(rig.ask(dom0, msg::GET_QUOTA, &["1", "nodes"]).unwrap(), "7|");
    assert_eq!(rig.ask(dom0, msg::GET_QUOTA, &["nodes"]).unwrap(), "1000|");
    assert_eq!(rig.ask(dom0, msg::CONTROL, &["check"]).unwrap(), "OK|");
    assert!(rig.ask(dom0, msg::CONTROL, &["quota", "1"]).unwrap().contains("watches: 0"));
    assert_eq!(rig.ask(dom0, msg::CONTROL, &["live-update"]), error("ENOSYS"));
}
