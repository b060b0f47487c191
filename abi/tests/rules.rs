//! The few rules that the ABI crate has besides layouts: ring arithmetic, error numbers, names.

use domus_abi::layout::{HYPERVISOR_SLOTS, HYPERVISOR_VIRT_END, HYPERVISOR_VIRT_START, is_canonical};
use domus_abi::ring::{must_notify, slots};
use domus_abi::{Errno, control, hypercall, xenstore};

#[test]
fn rings_have_the_sizes_that_xen_computes() {
    // Slots of blkif (112 bytes), netif transmit (12) and receive (8) in one page, as io/ring.h rounds them.
    assert_eq!(slots(4096, 112), 32);
    assert_eq!(slots(4096, 12), 256);
    assert_eq!(slots(4096, 8), 256);
    assert_eq!(slots(64, 8), 0);
    assert_eq!(slots(72, 8), 1);
    assert_eq!(slots(4096, 0), 0);
    assert_eq!(slots(usize::MAX, 1), 1 << 31);
}

#[test]
fn the_other_end_is_notified_exactly_when_its_event_index_is_passed() {
    for start in [0u32, 5, u32::MAX - 3] {
        for published in 0..8u32 {
            for event in 0..12u32 {
                // The event index is wanted if it is one of the indices after `start` up to and including the new producer.
                let passed = (1..=published).contains(&event);
                let new = start.wrapping_add(published);
                let at = start.wrapping_add(event);
                assert_eq!(must_notify(start, new, at), passed, "{start} +{published} event +{event}");
            }
        }
    }
}

#[test]
fn errors_survive_the_way_through_a_register() {
    for number in 1..200 {
        let errno = Errno(number);
        assert_eq!(Errno::from_ret(errno.as_ret()), Err(errno));
        if errno.name() != "E?" {
            assert_eq!(Errno::from_name(errno.name()), Some(errno));
        }
    }
    assert_eq!(Errno::from_ret(0), Ok(0));
    assert_eq!(Errno::from_ret(i64::MAX), Ok(i64::MAX as u64));
    // Addresses of the upper half are results, not errors.
    assert_eq!(Errno::from_ret(-4096), Ok(-4096i64 as u64));
    assert_eq!(Errno::from_ret(i64::MIN), Ok(i64::MIN as u64));
    assert_eq!(Errno::from_name("EWHATEVER"), None);
    assert_eq!(Errno::INVAL.to_string(), "invalid argument (EINVAL)");
    assert_eq!(format!("{:?}", Errno(77)), "E77");
}

#[test]
fn names_and_numbers_agree() {
    assert_eq!(hypercall::name(hypercall::MMU_UPDATE), Some("mmu_update"));
    assert_eq!(hypercall::name(hypercall::CONTROL), Some("control"));
    assert_eq!(hypercall::name(11), None);
    assert!((0..u64::from(u16::MAX)).filter(|&n| hypercall::name(n).is_some()).all(|n| n < hypercall::COUNT as u64));
    assert_eq!(control::op_name(control::OP_MSI_BIND), Some("msi_bind"));
    assert_eq!(control::op_name(control::OP_MSI_BIND + 1), None);
    for (name, errno) in xenstore::ERRORS {
        assert_eq!(errno.name(), name);
    }
}

#[test]
fn the_hole_is_where_it_should_be() {
    assert!(is_canonical(HYPERVISOR_VIRT_START) && is_canonical(HYPERVISOR_VIRT_END));
    assert!(is_canonical(0x7fff_ffff_ffff) && !is_canonical(0x8000_0000_0000));
    assert!(!is_canonical(HYPERVISOR_VIRT_START - 1));
    assert_eq!(HYPERVISOR_SLOTS.count(), 16);
}
