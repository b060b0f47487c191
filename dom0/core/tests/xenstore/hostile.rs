//! Whatever bytes come, the server stands, stays within its bounds, and serves the others.

use crate::rig::Rig;
use abi::xenstore::msg;
use domus_dom0_core::xenstore::wire::encode;
use proptest::prelude::*;

#[test]
fn a_violation_breaks_only_its_own_connection() {
    let mut rig = Rig::default();
    let (bad, good) = (rig.guest(1), rig.guest(2));
    rig.send(bad, &[0xff; 16]);
    assert!(rig.server.is_broken(bad));
    assert_eq!(rig.server.input(bad, &[0; 100]), 100, "it swallows what comes");
    assert!(!rig.server.step());
    rig.write(good, "data/a", "1").unwrap();
    assert!(!rig.server.is_broken(good));
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("data".to_string()),
        Just("data/a/b".to_string()),
        Just("/local/domain/1".to_string()),
        Just("@releaseDomain".to_string()),
        Just("T".to_string()),
        "[nrwb][0-9]",
        "[0-9]{1,6}",
        "[ -~]{0,12}",
        Just("/x".repeat(64)),
        Just("y".repeat(2000)),
    ];
    prop_oneof![
        prop::collection::vec(word, 0..6).prop_map(|words| words.into_iter().flat_map(|w| (w + "\0").into_bytes()).collect()),
        prop::collection::vec(any::<u8>(), 0..64),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn raw_bytes_do_no_harm(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..40)) {
        let mut rig = Rig::default();
        let (bad, good) = (rig.guest(1), rig.guest(2));
        for chunk in chunks {
            rig.server.input(bad, &chunk);
            while rig.server.step() {}
        }
        prop_assert!(rig.server.check());
        rig.write(good, "data/alive", "1").unwrap();
    }

    #[test]
    fn requests_out_of_order_and_out_of_sense_do_no_harm(
        requests in prop::collection::vec((0u32..28, 0u32..4, payload(), any::<bool>()), 1..200),
    ) {
        let mut rig = Rig::default();
        let (bad, good) = (rig.guest(1), rig.guest(2));
        for (kind, tx, payload, reads) in requests {
            let payload = &payload[..payload.len().min(4096)];
            rig.server.input(bad, &encode(kind, 1, tx, payload));
            rig.server.step();
            if reads {
                rig.receive(bad);
            }
            prop_assert!(rig.server.queued_bytes(bad) <= 4 * 4112 + 32 * 1024 + 256 * 1024);
        }
        prop_assert!(rig.server.check());
        let owned: i64 = rig.server.iter().filter(|(_, n)| n.perms.owner() == 1).map(|(p, n)| n.cost(p).bytes).sum();
        prop_assert!(owned <= 256 * 1024);
        rig.ask(good, msg::READ, &["data"]).unwrap();
        rig.server.remove_domain(1);
        prop_assert!(rig.server.check());
        prop_assert!(rig.server.iter().all(|(_, n)| !n.perms.mention(1)));
    }
}
