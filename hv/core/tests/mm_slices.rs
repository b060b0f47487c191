//! Long work on page tables is done in slices: whatever a guest does between two of them, every count stays right.

use abi::errno::Errno;
use abi::memory::OP_DECREASE_RESERVATION;
use abi::mmu::*;
use domus_hv_core::call::Outcome;
use domus_hv_core::fake::WINDOW;
use domus_hv_core::fake::kit::{Guest, Kit, RO, RW, entry, slot};
use domus_hv_core::frames::PageType;
use domus_hv_core::hypercalls::{mmuext_op, update_va_mapping};
use domus_hv_core::ids::Mfn;
use domus_hv_core::mm::Stop;
use zerocopy::IntoBytes;

/// A tree of the guest's own, not loaded: frame 10 is the top; below it `width` tables at each of the levels 3 and 2 of which each names
/// two of the next level.
struct Tree {
    top: Mfn,
    below: Vec<Mfn>,
}

fn write(kit: &Kit, guest: &Guest, table: usize, index: u64, value: u64) {
    kit.hv.machine.guest_write(guest.va(table) + index * 8, value).expect("plain memory");
}

fn tree(kit: &mut Kit, guest: &Guest) -> Tree {
    let child = |index: usize| entry(guest.frames[index], RW);
    for (parent, children) in
        [(10, [11, 12]), (11, [13, 14]), (12, [15, 16]), (13, [17, 18]), (14, [19, 20]), (15, [21, 22]), (16, [23, 24])]
    {
        write(kit, guest, parent, 1, child(children[0]));
        write(kit, guest, parent, 511, child(children[1]));
    }
    for table in 17..=24 {
        write(kit, guest, table, 0, child(9));
        write(kit, guest, table, 511, entry(guest.frames[8], RO));
    }
    for table in 10..=24 {
        assert_eq!(kit.mmu_update(guest.id, &[(slot(guest.l1(), table), entry(guest.frames[table], RO))]), 0);
    }
    Tree { top: guest.frames[10], below: guest.frames[11..=24].to_vec() }
}

fn world() -> (Kit, Guest, Tree) {
    let mut kit = Kit::new(128);
    let guest = kit.guest(1, 32, 4);
    kit.run(guest.id);
    let tree = tree(&mut kit, &guest);
    kit.check();
    (kit, guest, tree)
}

fn count(kit: &Kit, mfn: Mfn) -> u32 {
    kit.hv.frames.get(mfn).expect("RAM").usage().count()
}

/// One slice of an operation.
fn slice(kit: &mut Kit, guest: &Guest, cmd: u32, mfn: Mfn) -> Outcome {
    let op = MmuextOp { cmd, _pad: 0, arg1: mfn.0, arg2: 0 };
    kit.hv.machine.put(0, op.as_bytes());
    let outcome = kit.once(guest.id, mmuext_op::handler, [WINDOW, 1, 0, abi::domid::SELF.into(), 0]);
    kit.check();
    outcome
}

#[test]
fn a_pin_goes_on_where_it_was_interrupted() {
    let (mut kit, guest, tree) = world();
    kit.hv.machine.interrupt_every.set(1);
    let mut slices = 0;
    let mut before = 0;
    while slice(&mut kit, &guest, EXT_PIN_L4_TABLE, tree.top) != Outcome::Done(0) {
        slices += 1;
        assert!(slices < 100, "no end");
        let done = count(&kit, guest.frames[9]);
        assert!(done > before, "each slice does something");
        before = done;
        assert_eq!(count(&kit, tree.top), 0, "nobody holds it yet");
    }
    assert!(slices >= 7, "one L1 table a slice: {slices}");
    assert!(tree.below.iter().all(|&table| count(&kit, table) == 1));
    slices = 0;
    loop {
        match slice(&mut kit, &guest, EXT_UNPIN_TABLE, tree.top) {
            Outcome::Again(_) => slices += 1,
            outcome => {
                break assert_eq!(outcome, Outcome::Done(Errno::INVAL.as_ret()), "unpinned before");
            }
        }
    }
    assert!(slices >= 7, "taking apart is sliced, too: {slices}");
    assert!(tree.below.iter().all(|&table| count(&kit, table) == 0));
    assert_eq!(count(&kit, guest.frames[9]), 1);
}

#[test]
fn an_abandoned_pin_holds_nothing_for_good() {
    let (mut kit, guest, tree) = world();
    kit.hv.machine.interrupt_every.set(1);
    for _ in 0..3 {
        assert!(matches!(slice(&mut kit, &guest, EXT_PIN_L4_TABLE, tree.top), Outcome::Again(_)));
    }
    // The guest wants the frames back as memory: from the top down, each is taken apart first.
    for &table in core::iter::once(&tree.top).chain(&tree.below) {
        let index = guest.frames.iter().position(|&mfn| mfn == table).expect("its own");
        assert_eq!(kit.update_va(guest.id, guest.va(index), entry(table, RW), 0), 0, "frame {index}");
        kit.check();
    }
    assert_eq!(count(&kit, guest.frames[9]), 1);
}

#[test]
fn an_abandoned_table_does_not_become_a_table_of_another_level() {
    let (mut kit, guest, tree) = world();
    kit.hv.machine.interrupt_every.set(1);
    assert!(matches!(slice(&mut kit, &guest, EXT_PIN_L4_TABLE, tree.top), Outcome::Again(_)));
    let l3 = tree.below[0];
    assert!(kit.hv.frames.get(l3).expect("RAM").usage().partial());
    let frame = kit.hv.frames.get(l3).expect("RAM");
    frame.take_ref(guest.id).expect("its own");
    assert_eq!(kit.hv.mm().get_type(l3, frame, PageType::Writable), Err(Stop::Preempted));
    assert_eq!(kit.hv.mm().get_type(l3, frame, PageType::L2), Err(Stop::Preempted));
    kit.hv.frames.put_ref(l3);
    kit.check();
    // Taken apart, it may become an L2 table: its tree is a valid one a level lower. But then it is no L3 table.
    assert_eq!(kit.ext(guest.id, EXT_PIN_L2_TABLE, l3.0, 0), 0);
    kit.check();
    assert_eq!(kit.ext(guest.id, EXT_PIN_L4_TABLE, tree.top.0, 0), Errno::INVAL.as_ret());
    kit.check();
    assert_eq!(kit.ext(guest.id, EXT_UNPIN_TABLE, l3.0, 0), 0);
    assert_eq!(kit.ext(guest.id, EXT_PIN_L4_TABLE, tree.top.0, 0), 0);
    kit.check();
}

#[test]
fn a_slice_that_fails_lets_go_of_the_earlier_ones() {
    let (mut kit, guest, tree) = world();
    // The last entry of the last L1 table is bad.
    let last = guest.frames[24];
    assert_eq!(kit.mmu_update(guest.id, &[(slot(last, 300), entry(guest.l1(), RW))]), 0, "plain memory still");
    for every in [0, 1, 2, 3] {
        kit.hv.machine.interrupt_every.set(every);
        assert_eq!(kit.ext(guest.id, EXT_PIN_L4_TABLE, tree.top.0, 0), Errno::INVAL.as_ret());
        kit.hv.machine.interrupt_every.set(0);
        assert!(kit.hv.mm().settle(guest.id));
        kit.check();
        assert!(tree.below.iter().all(|&table| count(&kit, table) == 0), "interrupts: {every}");
        assert_eq!(count(&kit, guest.frames[9]), 1);
    }
}

#[test]
fn a_partial_table_is_not_written_by_mmu_update() {
    let (mut kit, guest, tree) = world();
    kit.hv.machine.interrupt_every.set(1);
    for _ in 0..2 {
        assert!(matches!(slice(&mut kit, &guest, EXT_PIN_L4_TABLE, tree.top), Outcome::Again(_)));
    }
    // An entry that is counted already would be forgotten: the table is taken apart before it is memory.
    assert_eq!(kit.mmu_update(guest.id, &[(slot(tree.top, 1), 0)]), 0);
    kit.check();
    assert_eq!(kit.ext(guest.id, EXT_PIN_L4_TABLE, tree.top.0, 0), 0);
    assert_eq!(count(&kit, tree.below[0]), 0);
    kit.check();
}

#[test]
fn a_partial_table_that_is_given_back_is_freed_once_it_is_apart() {
    let (mut kit, guest, tree) = world();
    kit.hv.machine.interrupt_every.set(1);
    for _ in 0..3 {
        assert!(matches!(slice(&mut kit, &guest, EXT_PIN_L4_TABLE, tree.top), Outcome::Again(_)));
    }
    for index in 10..=24 {
        assert_eq!(kit.mmu_update(guest.id, &[(slot(guest.l1(), index), 0)]), 0);
        let (done, _) = kit.reservation(guest.id, OP_DECREASE_RESERVATION, abi::domid::SELF, 0, &[guest.frames[index].0]);
        assert_eq!(done, 1);
        kit.check();
    }
    let left = kit.hv.frames.of(guest.id).total;
    assert!(left > 17, "what is partial lingers");
    kit.destroy(guest.id);
    kit.check();
    // A partial table that its owner gave back is on no list of frames that it has: teardown must find it all the same.
    assert!(kit.hv.frames.of(guest.id).is_empty(), "{:?}", kit.hv.frames.of(guest.id));
}

#[test]
fn an_entry_update_at_a_high_level_is_sliced() {
    let (mut kit, guest, tree) = world();
    for every in [1, 2, 5] {
        kit.hv.machine.interrupt_every.set(every);
        assert_eq!(kit.mmu_update(guest.id, &[(slot(guest.l4(), 7), entry(tree.below[0], RW))]), 0);
        kit.check();
        assert_eq!(count(&kit, tree.below[0]), 1);
        assert_eq!(kit.mmu_update(guest.id, &[(slot(guest.l4(), 7), 0)]), 0);
        kit.hv.machine.interrupt_every.set(0);
        assert!(kit.hv.mm().settle(guest.id));
        assert!(tree.below.iter().all(|&table| count(&kit, table) == 0));
        kit.check();
    }
}

#[test]
fn a_base_change_is_sliced_both_ways() {
    let (mut kit, guest, tree) = world();
    // The new tree must map what the guest goes on using; here nothing but the window of the test.
    kit.hv.machine.interrupt_every.set(1);
    let old = guest.l4();
    assert_eq!(kit.ext(guest.id, EXT_NEW_BASEPTR, tree.top.0, 0), 0);
    kit.check();
    assert_eq!(kit.ext(guest.id, EXT_NEW_USER_BASEPTR, tree.top.0, 0), 0);
    assert_eq!(count(&kit, tree.top), 2);
    assert_eq!(count(&kit, old), 0);
    kit.check();
    assert_eq!(kit.ext(guest.id, EXT_NEW_BASEPTR, old.0, 0), 0);
    kit.check();
    assert_eq!(kit.ext(guest.id, EXT_NEW_USER_BASEPTR, 0, 0), 0);
    kit.hv.machine.interrupt_every.set(0);
    assert!(kit.hv.mm().settle(guest.id));
    assert!(tree.below.iter().all(|&table| count(&kit, table) == 0));
    kit.check();
}

#[test]
fn a_table_that_is_wanted_again_while_it_is_taken_apart_is_whole_again() {
    let (mut kit, guest, tree) = world();
    assert_eq!(kit.ext(guest.id, EXT_PIN_L4_TABLE, tree.top.0, 0), 0);
    kit.hv.mm().unpin(guest.id, tree.top).expect("pinned");
    kit.hv.machine.interrupt_every.set(1);
    assert!(!kit.hv.mm().settle(guest.id), "one entry at a time");
    kit.check();
    let partial = |kit: &Kit, mfn: Mfn| kit.hv.frames.get(mfn).expect("RAM").usage().partial();
    assert!(partial(&kit, tree.top) && partial(&kit, tree.below[1]));
    kit.hv.machine.interrupt_every.set(0);
    kit.hv.mm().get_frame_as(tree.top, guest.id, PageType::L4).expect("valid still");
    assert!(!partial(&kit, tree.top) && tree.below.iter().all(|&table| count(&kit, table) == 1));
    kit.hv.mm().put_frame_as(tree.top);
    kit.check();
    kit.hv.mm().get_frame_as(tree.top, guest.id, PageType::L4).expect("valid still");
    assert!(kit.hv.mm().settle(guest.id));
    assert_eq!(count(&kit, tree.top), 1);
    kit.hv.mm().put_frame_as(tree.top);
    assert!(kit.hv.mm().settle(guest.id));
    kit.check();
}

#[test]
fn a_mapping_that_needs_a_frame_back_waits_for_it() {
    let (mut kit, guest, tree) = world();
    assert_eq!(kit.ext(guest.id, EXT_PIN_L4_TABLE, tree.top.0, 0), 0);
    kit.hv.mm().unpin(guest.id, tree.top).expect("pinned");
    kit.check();
    let args = [guest.va(10), entry(tree.top, RW), 0, 0, 0];
    assert_eq!(kit.once(guest.id, update_va_mapping::handler, args), Outcome::Again(args));
    assert_eq!(kit.once(guest.id, update_va_mapping::handler, args), Outcome::Done(0));
    kit.check();
}

#[test]
fn teardown_frees_everything_in_whatever_state() {
    for every in [0, 1, 3] {
        for slices in 0..10 {
            let (mut kit, guest, tree) = world();
            let other = kit.guest(2, 8, 0);
            kit.hv.machine.interrupt_every.set(1);
            for _ in 0..slices {
                slice(&mut kit, &guest, EXT_PIN_L4_TABLE, tree.top);
            }
            kit.hv.machine.interrupt_every.set(0);
            kit.privilege(other.id);
            let foreign = [(slot(other.l1(), 100), entry(guest.frames[9], RW))];
            assert_eq!(kit.mmu_update_for(other.id, &foreign, guest.id.into()), 0);
            kit.permitted.mappings.push((other.id, guest.frames[9]));
            kit.hv.machine.interrupt_every.set(every);
            kit.destroy(guest.id);
            kit.check();
            assert_eq!(kit.hv.frames.of(guest.id).total, 1, "the frame that another domain maps");
            assert_eq!(kit.mmu_update(other.id, &[(slot(other.l1(), 100), 0)]), 0);
            assert!(kit.hv.frames.of(guest.id).is_empty());
            kit.check();
        }
    }
}
