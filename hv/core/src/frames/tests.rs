//! Tests of owners, references and the allocator.

use std::vec::Vec;

use super::{Frame, Frames, MAX_REFS, NoFrame, Owner, RefError};
use crate::fake::FakeMachine;
use crate::ids::{CpuMask, Mfn};
use crate::machine::{Flush, Machine};

fn frames(count: usize) -> (FakeMachine, Frames) {
    let table: Vec<Frame> = (0..count).map(|_| Frame::absent()).collect();
    let mut frames = Frames::new(Vec::leak(table));
    frames.add_region(Mfn(0), Mfn(count as u64));
    (FakeMachine::new(count), frames)
}

#[test]
fn frame_0_and_what_is_no_ram_are_never_handed_out() {
    let table: Vec<Frame> = (0..32).map(|_| Frame::absent()).collect();
    let mut frames = Frames::new(Vec::leak(table));
    frames.reserve(Mfn(4), Mfn(6));
    frames.add_region(Mfn(0), Mfn(8));
    frames.add_region(Mfn(16), Mfn(40));
    let machine = FakeMachine::new(32);
    frames.open(1, 100);
    let mut got: Vec<u64> = core::iter::from_fn(|| frames.allocate_for(&machine, 1).ok()).map(|mfn| mfn.0).collect();
    got.sort_unstable();
    let want: Vec<u64> = (1..4).chain(6..8).chain(16..32).collect();
    assert_eq!(got, want);
    assert!(frames.get(Mfn(0)).is_none() && frames.get(Mfn(9)).is_none() && frames.get(Mfn(32)).is_none());
    assert!(frames.get(Mfn(u64::MAX)).is_none());
    assert_eq!(frames.get(Mfn(5)).map(Frame::owner), Some(Owner::Hypervisor));
    assert_eq!(frames.stats().total, 7 + 16);
}

#[test]
fn runs_are_aligned_disjoint_and_join_again() {
    let (machine, mut frames) = frames(64);
    let free = frames.stats().free;
    let mut runs = Vec::new();
    for order in [0, 3, 1, 4, 2] {
        let run = frames.allocate_run(&machine, order, None).expect("RAM");
        assert_eq!((run.first().0 % run.count(), run.count()), (0, 1 << order));
        runs.push((run.first(), run.count()));
    }
    runs.sort_unstable();
    assert!(runs.windows(2).all(|pair| pair[0].0.0 + pair[0].1 <= pair[1].0.0), "{runs:?}");
    assert_eq!(frames.stats().free, free - 31);
    for (first, _) in runs {
        frames.free_run(first);
    }
    assert_eq!(frames.stats().free, free);
    let big = frames.allocate_run(&machine, 5, None).expect("everything joined again");
    assert_eq!(big.first(), Mfn(32));
    assert!(frames.allocate_run(&machine, 5, None).is_none(), "frame 0 is missing from the other half");
    assert!(frames.allocate_run(&machine, 40, None).is_none());
}

#[test]
fn a_run_is_charged_to_its_domain() {
    let (machine, mut frames) = frames(64);
    frames.open(3, 0);
    let run = frames.allocate_run(&machine, 2, Some(3)).expect("RAM");
    assert_eq!((frames.of(3).overhead, frames.of(3).total), (4, 0));
    assert!(!frames.of(3).is_empty());
    frames.free_run(run.first());
    assert!(frames.of(3).is_empty());
}

#[test]
fn a_domain_gets_zeroed_frames_up_to_its_limit() {
    let (machine, mut frames) = frames(64);
    frames.open(1, 3);
    let mfn = frames.allocate_for(&machine, 1).expect("RAM");
    assert!((0..512).all(|index| { machine.memory.word(mfn, index).load(core::sync::atomic::Ordering::Relaxed) == 0 }));
    assert_eq!(machine.m2p(mfn), abi::layout::INVALID_M2P_ENTRY);
    assert_eq!(frames.allocate_block_for(&machine, 1, 2), Err(NoFrame::Limit));
    frames.allocate_block_for(&machine, 1, 1).expect("two more");
    assert_eq!(frames.allocate_for(&machine, 1), Err(NoFrame::Limit));
    frames.set_limit(1, 1000);
    assert_eq!(frames.allocate_block_for(&machine, 1, 7), Err(NoFrame::Exhausted));
    assert_eq!(frames.allocate_block_for(&machine, 1, 99), Err(NoFrame::Exhausted));
    frames.close(1);
    assert_eq!(frames.allocate_for(&machine, 1), Err(NoFrame::Limit));
}

#[test]
fn a_frame_is_freed_when_the_last_reference_goes() {
    let (machine, mut frames) = frames(16);
    frames.open(1, 10);
    frames.open(2, 10);
    let free = frames.stats().free;
    let mfn = frames.allocate_for(&machine, 1).expect("RAM");
    assert_eq!(frames.take_ref(mfn, 2).err(), Some(RefError::NotOwned));
    frames.take_ref(mfn, 1).expect("its own");
    assert_eq!(frames.give_back(mfn, 2), Err(NoFrame::Unavailable), "not domain 2's");
    frames.give_back(mfn, 1).expect("its own");
    assert_eq!(frames.give_back(mfn, 1), Err(NoFrame::Unavailable), "given back already");
    assert_eq!((frames.of(1).total, frames.stats().free), (1, free - 1));
    assert_eq!(frames.first_of(1), None);
    frames.put_ref(mfn);
    assert_eq!((frames.of(1).total, frames.stats().free), (0, free));
    assert_eq!(frames.take_ref(mfn, 1).err(), Some(RefError::NotOwned));
    assert_eq!(frames.give_back(Mfn(99), 1), Err(NoFrame::Unavailable));
}

#[test]
fn the_reference_count_does_not_wrap() {
    let (machine, mut frames) = frames(16);
    frames.open(1, 10);
    let mfn = frames.allocate_for(&machine, 1).expect("RAM");
    frames.get(mfn).expect("RAM").set_refs_for_test(MAX_REFS);
    assert_eq!(frames.take_ref(mfn, 1).err(), Some(RefError::Saturated));
    assert_eq!(frames.get(mfn).expect("RAM").refs(), MAX_REFS);
}

#[test]
fn a_reserved_frame_is_adopted_with_its_contents_and_only_once() {
    let (machine, _) = frames(16);
    let table: Vec<Frame> = (0..16).map(|_| Frame::absent()).collect();
    let mut frames = Frames::new(Vec::leak(table));
    frames.reserve(Mfn(0), Mfn(6));
    frames.add_region(Mfn(0), Mfn(16));
    frames.open(0, 2);
    machine.memory.word(Mfn(3), 7).store(77, core::sync::atomic::Ordering::Relaxed);
    frames.adopt(Mfn(3), 0).expect("reserved");
    assert_eq!(machine.memory.word(Mfn(3), 7).load(core::sync::atomic::Ordering::Relaxed), 77);
    assert_eq!(frames.adopt(Mfn(3), 0), Err(NoFrame::Unavailable), "a domain's now");
    assert_eq!(frames.adopt(Mfn(8), 0), Err(NoFrame::Unavailable), "free");
    assert_eq!(frames.adopt(Mfn(0), 0), Err(NoFrame::Unavailable), "frame 0");
    let run = frames.allocate_run(&machine, 0, None).expect("RAM");
    assert_eq!(frames.adopt(run.first(), 0), Err(NoFrame::Unavailable), "an object of the hypervisor");
    frames.adopt(Mfn(4), 0).expect("reserved");
    assert_eq!(frames.adopt(Mfn(5), 0), Err(NoFrame::Limit));
    assert!(frames.release_reserved(Mfn(5)) && !frames.release_reserved(Mfn(5)) && !frames.release_reserved(Mfn(4)));
    assert!(!frames.release_reserved(Mfn(0)), "frame 0 stays");
}

#[test]
fn a_shared_frame_is_charged_but_not_counted_and_outlives_its_mappings() {
    let (machine, mut frames) = frames(16);
    frames.open(1, 0);
    let mfn = frames.allocate_shared(&machine, 1).expect("RAM");
    assert_eq!((frames.of(1).overhead, frames.of(1).total, frames.first_of(1)), (1, 0, None));
    assert_eq!(frames.give_back(mfn, 1), Err(NoFrame::Unavailable), "not the domain's to give");
    frames.take_ref(mfn, 1).expect("the domain maps it");
    frames.free_shared(mfn);
    assert_eq!(frames.of(1).overhead, 1);
    frames.put_ref(mfn);
    assert!(frames.of(1).is_empty());
}

#[test]
fn a_frame_changes_owner_only_after_a_flush() {
    let (machine, mut frames) = frames(4);
    frames.open(1, 10);
    frames.open(2, 10);
    let all: Vec<Mfn> = core::iter::from_fn(|| frames.allocate_for(&machine, 1).ok()).collect();
    assert!(machine.flushes.borrow().is_empty(), "no frame was ever used");
    frames.give_back(all[0], 1).expect("its own");
    frames.allocate_for(&machine, 2).expect("the same");
    assert_eq!(*machine.flushes.borrow(), [(CpuMask(1), Flush::All)]);
    frames.give_back(all[1], 1).expect("its own");
    frames.load_page_table(&machine, 0, Mfn::NONE);
    let first = frames.allocate_run(&machine, 0, None).expect("the same").first();
    assert_eq!(first, all[1]);
    assert_eq!(machine.flushes.borrow().len(), 1, "the CPU flushed by itself meanwhile");
    frames.give_back(all[2], 1).expect("its own");
    let run = frames.allocate_run(&machine, 0, None).expect("the same");
    assert_eq!(machine.flushes.borrow().len(), 2, "objects of the hypervisor, too");
    frames.free_run(run.first());
    frames.allocate_shared(&machine, 2).expect("the same");
    assert_eq!(machine.flushes.borrow().len(), 3);
}
