//! `memory_op`: a domain's reservation grows and shrinks, within its limit, and only its own.

use abi::errno::Errno;
use abi::layout::INVALID_M2P_ENTRY;
use abi::memory::*;
use domus_hv_core::fake::WINDOW;
use domus_hv_core::fake::kit::{Guest, Kit, RW, entry, slot};
use domus_hv_core::hypercalls::memory_op;
use domus_hv_core::ids::Mfn;
use domus_hv_core::machine::Machine;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

const SELF: u16 = abi::domid::SELF;

fn world() -> (Kit, Guest, Guest) {
    let mut kit = Kit::new(2048);
    let a = kit.guest(1, 16, 8);
    let b = kit.guest(2, 16, 600);
    kit.run(a.id);
    (kit, a, b)
}

#[test]
fn ballooning_gives_frames_and_takes_them_back() {
    let (mut kit, a, _) = world();
    let free = kit.hv.frames.stats().free;
    assert_eq!(kit.update_va(a.id, a.va(9), 0, 0), 0);
    let frame = a.frames[9];
    assert_eq!(kit.reservation(a.id, OP_DECREASE_RESERVATION, SELF, 0, &[frame.0]).0, 1);
    assert_eq!(kit.hv.frames.stats().free, free + 1);
    assert_eq!(kit.hv.machine.m2p(frame), INVALID_M2P_ENTRY);
    kit.check();
    let (done, list) = kit.reservation(a.id, OP_POPULATE_PHYSMAP, SELF, 0, &[9]);
    assert_eq!(done, 1);
    assert_eq!(kit.hv.machine.m2p(Mfn(list[0])), 9);
    assert_eq!(kit.update_va(a.id, a.va(9), entry(Mfn(list[0]), RW), 0), 0);
    assert_eq!(kit.hv.machine.guest_read(a.va(9)), Ok(0), "scrubbed");
    kit.check();
}

#[test]
fn a_mapped_frame_that_is_given_back_stays_until_it_is_unmapped() {
    let (mut kit, a, _) = world();
    let free = kit.hv.frames.stats().free;
    assert_eq!(kit.reservation(a.id, OP_DECREASE_RESERVATION, SELF, 0, &[a.frames[9].0, a.frames[9].0]).0, 1, "once only");
    assert_eq!(kit.hv.frames.stats().free, free);
    kit.check();
    assert_eq!(kit.update_va(a.id, a.va(9), 0, 0), 0);
    assert_eq!(kit.hv.frames.stats().free, free + 1);
    kit.check();
}

#[test]
fn only_ones_own_frames_are_given_back() {
    let (mut kit, a, b) = world();
    for bad in [b.frames[9].0, 0, 5000, u64::MAX, 2000] {
        assert_eq!(kit.reservation(a.id, OP_DECREASE_RESERVATION, SELF, 0, &[bad]).0, 0, "{bad}");
    }
    let shared = kit.hv.frames.allocate_shared(&kit.hv.machine, a.id).expect("RAM");
    assert_eq!(kit.reservation(a.id, OP_DECREASE_RESERVATION, SELF, 0, &[shared.0]).0, 0, "the hypervisor's");
    assert_eq!(kit.reservation(a.id, OP_DECREASE_RESERVATION, SELF, 9, &[u64::MAX - 3]).0, 0);
    kit.check();
}

#[test]
fn a_domain_grows_up_to_its_limit() {
    let (mut kit, a, _) = world();
    let pfns: Vec<u64> = (100..110).collect();
    assert_eq!(kit.reservation(a.id, OP_POPULATE_PHYSMAP, SELF, 0, &pfns).0, 8);
    assert_eq!(kit.reservation(a.id, OP_INCREASE_RESERVATION, SELF, 0, &[0]).0, 0);
    kit.check();
}

#[test]
fn an_extent_is_adjacent_frames_at_adjacent_places() {
    let (mut kit, _, b) = world();
    let (done, list) = kit.reservation(b.id, OP_POPULATE_PHYSMAP, SELF, 3, &[64, 80]);
    assert_eq!(done, 2);
    for (first, pfn) in list.iter().zip([64, 80]) {
        assert_eq!(first % 8, 0);
        assert!((0..8).all(|offset| kit.hv.machine.m2p(Mfn(first + offset)) == pfn + offset));
    }
    kit.hv.frames.set_limit(b.id, 5000);
    assert_eq!(kit.reservation(b.id, OP_POPULATE_PHYSMAP, SELF, 10, &[0]).0, 0, "too large an order");
    assert!(kit.hv.mm().add_extent(b.id, 10, None).is_ok(), "though there is room");
    assert_eq!(kit.reservation(b.id, OP_POPULATE_PHYSMAP, SELF, 9, &[1024]).0, 1);
    assert_eq!(kit.reservation(b.id, OP_DECREASE_RESERVATION, SELF, 3, &list).0, 2);
    kit.check();
}

#[test]
fn a_privileged_domain_fills_another() {
    let (mut kit, a, b) = world();
    assert_eq!(kit.reservation(a.id, OP_POPULATE_PHYSMAP, b.id, 0, &[20]).0, Errno::PERM.as_ret());
    assert_eq!(kit.reservation(a.id, OP_DECREASE_RESERVATION, b.id, 0, &[b.frames[9].0]).0, Errno::PERM.as_ret());
    kit.privilege(a.id);
    assert_eq!(kit.reservation(a.id, OP_POPULATE_PHYSMAP, 77, 0, &[20]).0, 0, "no such domain");
    let before = kit.hv.frames.of(b.id).total;
    let (done, list) = kit.reservation(a.id, OP_POPULATE_PHYSMAP, b.id, 0, &[20]);
    assert_eq!((done, kit.hv.frames.of(b.id).total), (1, before + 1));
    assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 100), entry(Mfn(list[0]), RW))]), Errno::BUSY.as_ret(), "not its own");
    kit.hv.domains.get_mut(b.id).expect("exists").dying = true;
    assert_eq!(kit.reservation(a.id, OP_POPULATE_PHYSMAP, b.id, 0, &[21]).0, 0, "it dies");
    kit.check();
}

#[test]
fn an_interrupted_list_goes_on() {
    let (mut kit, _, b) = world();
    kit.hv.machine.interrupt_every.set(1);
    let pfns: Vec<u64> = (100..200).collect();
    let (done, list) = kit.reservation(b.id, OP_POPULATE_PHYSMAP, SELF, 0, &pfns);
    assert_eq!(done, 100);
    assert!(list.iter().zip(&pfns).all(|(&mfn, &pfn)| kit.hv.machine.m2p(Mfn(mfn)) == pfn));
    assert_eq!(kit.reservation(b.id, OP_DECREASE_RESERVATION, SELF, 0, &list).0, 100);
    kit.check();
}

#[test]
fn an_address_width_that_cannot_be_promised_is_not() {
    let (mut kit, a, _) = world();
    let request = |mem_flags| Reservation { extent_start: WINDOW + 64, nr_extents: 1, mem_flags, domid: SELF, ..Reservation::new_zeroed() };
    for (bits, done) in [(22, 0), (23, 1), (64, 1), (255, 1), (1, 0)] {
        kit.hv.machine.put(0, request(bits).as_bytes());
        assert_eq!(kit.call(a.id, memory_op::handler, [OP_POPULATE_PHYSMAP.into(), WINDOW, 0, 0, 0]), done, "{bits} bits for 8 MiB");
    }
}

#[test]
fn hostile_requests_do_nothing() {
    let (mut kit, a, _) = world();
    let total = kit.hv.frames.of(a.id).total;
    for (extent_start, nr_extents) in
        [(u64::MAX - 3, 1), (0xffff_8000_0000_0000, 1), (1 << 63, 5), (WINDOW, u64::MAX), (5 << 39, 3), (0, 0)]
    {
        for op in [OP_DECREASE_RESERVATION, OP_POPULATE_PHYSMAP] {
            let request = Reservation { extent_start, nr_extents, domid: SELF, ..Reservation::new_zeroed() };
            kit.hv.machine.put(0, request.as_bytes());
            let start = kit.call(a.id, memory_op::handler, [op.into(), WINDOW, 0, 0, 0]);
            assert_eq!(start, 0, "{extent_start:#x} {nr_extents:#x}");
            // A continuation of the guest's own making.
            assert!(kit.call(a.id, memory_op::handler, [u64::from(op) | u64::MAX << 6, WINDOW, 0, 0, 0]) >= 0);
        }
    }
    for argument in [0xffff_8000_0000_0000, u64::MAX, 5 << 39] {
        for op in [3, 4, 12] {
            assert_eq!(kit.call(a.id, memory_op::handler, [op, argument, 0, 0, 0]), Errno::FAULT.as_ret(), "operation {op}");
        }
        for op in [0, 1, 6] {
            assert_eq!(kit.call(a.id, memory_op::handler, [op, argument, 0, 0, 0]), 0, "operation {op}: nothing done");
        }
    }
    for op in [5, 7, 8, 9, 10, 13, 28, 63] {
        assert_eq!(kit.call(a.id, memory_op::handler, [op, WINDOW, 0, 0, 0]), Errno::NOSYS.as_ret());
    }
    assert_eq!(kit.hv.frames.of(a.id).total, total);
    kit.check();
}

#[test]
fn what_a_domain_may_know() {
    let (mut kit, a, b) = world();
    let ask = |kit: &mut Kit, op: u32, domid: u16| {
        kit.hv.machine.put(0, MemoryDomain { domid }.as_bytes());
        kit.call(a.id, memory_op::handler, [op.into(), WINDOW, 0, 0, 0])
    };
    assert_eq!(ask(&mut kit, OP_CURRENT_RESERVATION, SELF), 16);
    assert_eq!(ask(&mut kit, OP_MAXIMUM_RESERVATION, a.id), 24);
    assert_eq!(ask(&mut kit, OP_CURRENT_RESERVATION, b.id), Errno::PERM.as_ret());
    assert_eq!(kit.call(a.id, memory_op::handler, [OP_MAXIMUM_RAM_PAGE.into(), 0, 0, 0, 0]), 2047);
    kit.privilege(a.id);
    assert_eq!(ask(&mut kit, OP_CURRENT_RESERVATION, b.id), 16);
    assert_eq!(ask(&mut kit, OP_CURRENT_RESERVATION, 77), Errno::SRCH.as_ret());
    assert_eq!(kit.call(a.id, memory_op::handler, [OP_MACHPHYS_MAPPING.into(), WINDOW, 0, 0, 0]), 0);
    let bytes = kit.hv.machine.take(0, 24);
    let mapping = MachphysMapping::read_from_bytes(&bytes).expect("24 bytes");
    assert_eq!((mapping.v_start, mapping.v_end), (0xffff_8000_0000_0000, 0xffff_8040_0000_0000));
}
