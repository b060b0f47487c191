//! What the control domain is told of a domain's memory is kept as numbers: asking must not take longer the larger the domain is.

use abi::memory::OP_DECREASE_RESERVATION;
use abi::mmu::*;
use domus_hv_core::fake::kit::{Kit, RO, entry, slot};
use domus_hv_core::lifecycle::domain_info;

fn told(kit: &Kit) -> (u64, u64, u64, u64) {
    let info = domain_info(&kit.hv, 1).expect("domain 1 exists");
    (info.frames, info.page_table_frames, info.pinned_tables, info.frames_held_by_others)
}

#[test]
fn the_numbers_follow_what_the_guest_does() {
    let mut kit = Kit::new(64);
    let guest = kit.guest(1, 12, 0);
    kit.run(1);
    assert_eq!(told(&kit), (12, 4, 0, 0));
    let table = guest.frames[8];
    assert_eq!(kit.mmu_update(1, &[(slot(guest.l1(), 8), entry(table, RO))]), 0);
    assert_eq!(kit.ext(1, EXT_PIN_L1_TABLE, table.0, 0), 0);
    assert_eq!(kit.ext(1, EXT_PIN_L4_TABLE, guest.l4().0, 0), 0);
    assert_eq!(told(&kit), (12, 5, 2, 0));
    assert_ne!(kit.ext(1, EXT_PIN_L2_TABLE, table.0, 0), 0);
    assert_ne!(kit.ext(1, EXT_PIN_L1_TABLE, table.0, 0), 0, "pinned already");
    assert_eq!(told(&kit), (12, 5, 2, 0));
    // What it gave back is a table as long as something holds it as one.
    kit.reservation(1, OP_DECREASE_RESERVATION, abi::domid::SELF, 0, &[table.0, guest.frames[9].0]);
    assert_eq!(told(&kit), (12, 5, 2, 2));
    assert_eq!(kit.ext(1, EXT_UNPIN_TABLE, table.0, 0), 0);
    assert_eq!(told(&kit), (12, 4, 1, 2));
    for page in [8, 9] {
        assert_eq!(kit.mmu_update(1, &[(slot(guest.l1(), page), 0)]), 0);
    }
    assert_eq!(told(&kit), (10, 4, 1, 0));
    kit.check();
}
