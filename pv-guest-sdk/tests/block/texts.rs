//! What the back end says in xenstore, what is agreed on, and names.

use proptest::prelude::*;
use pv_guest_sdk::block::{Breach, Error, Info, Options, name, vdev};

fn read(nodes: &[(&str, u64)]) -> Result<Info, Error> {
    Info::read(|name| Ok(nodes.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)))
}

#[test]
fn a_disk_is_described() {
    let info = read(&[("sectors", 100)]).unwrap();
    assert_eq!((info.sectors, info.sector_size, info.physical_sector_size, info.max_indirect), (100, 512, 512, 0));
    assert!(!info.read_only && !info.flush && info.discard.is_none());
    let nodes = [
        ("sectors", 4096),
        ("sector-size", 4096),
        ("info", 6),
        ("feature-flush-cache", 1),
        ("feature-discard", 1),
        ("discard-granularity", 65536),
        ("feature-max-indirect-segments", 256),
        ("feature-persistent", 1),
    ];
    let info = read(&nodes).unwrap();
    assert_eq!((info.block(), info.physical_sector_size, info.max_indirect), (8, 4096, 256));
    assert!(info.read_only && info.removable && !info.cdrom && info.flush && info.persistent);
    assert_eq!(info.discard.unwrap().granularity, 65536);
}

#[test]
fn impossible_disks_are_breaches() {
    let breach = Err(Error::Breach(Breach::Description));
    assert_eq!(read(&[]), breach);
    assert_eq!(read(&[("sectors", u64::MAX)]), breach);
    for size in [0, 1, 256, 513, 8192, 1 << 40] {
        assert_eq!(read(&[("sectors", 8), ("sector-size", size)]), breach, "{size}");
    }
}

#[test]
fn both_ends_agree() {
    let wanted = Options { queues: 4, ring_order: 3, segments: 256, persistent: true, pool: 1024 };
    assert_eq!((wanted.queues(None), wanted.queues(Some(2)), wanted.queues(Some(0)), wanted.queues(Some(9))), (1, 2, 1, 4));
    assert_eq!((wanted.ring_order(None), wanted.ring_order(Some(1)), wanted.ring_order(Some(30))), (0, 1, 3));
    assert_eq!((wanted.segments(0), wanted.segments(32), wanted.segments(256), wanted.segments(u16::MAX)), (11, 32, 256, 256));
    assert_eq!(Options { pool: 20, ..wanted }.segments(256), 9, "a request and its page of segments take half the pool");
    assert_eq!(Options { pool: 0, segments: 0, queues: 0, ..wanted }.segments(256), 1);
    assert_eq!(Options { ring_order: 31, ..wanted }.ring_order(Some(31)), 4);
}

#[test]
fn names_are_those_of_linux() {
    for (text, number) in [
        ("xvda", 51712),
        ("xvdb", 51728),
        ("xvdp15", 51967),
        ("xvda1", 51713),
        ("xvdq", 268_439_552),
        ("xvda16", 268_435_472),
        ("xvdaa", 268_442_112),
    ] {
        assert_eq!(vdev(text), Some(number), "{text}");
        assert_eq!(name(number).unwrap().to_string(), text);
    }
    assert_eq!(vdev("51712"), Some(51712));
    for text in ["", "xvd", "xvdA", "xvd1", "xvda01", "xvda256", "sda", "xvdzzzzz", "xvdaaaaaa", "xvda99999999999", "-1"] {
        assert_eq!(vdev(text), None, "{text}");
    }
    assert_eq!((name(0), name(768), name(u32::MAX)), (None, None, None));
}

proptest! {
    #[test]
    fn no_name_breaks_it(text in "(xvd)?[a-z]{0,4}[0-9]{0,12}", number: u32) {
        let _ = vdev(&text);
        if let Some(name) = name(number) {
            prop_assert!(vdev(&name.to_string()).is_some());
        }
    }
}
