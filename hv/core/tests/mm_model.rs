//! A world small enough to try everything: every sequence of a few operations, from every state that they lead to.
//!
//! One domain has its four tables and three more frames that hold what looks like tables. The operations are those that change types; states that
//! look the same are followed once. Every state is checked whole.

use core::sync::atomic::Ordering::Relaxed;
use std::collections::{BTreeSet, VecDeque};

use abi::memory::OP_DECREASE_RESERVATION;
use abi::mmu::*;
use domus_hv_core::fake::WINDOW;
use domus_hv_core::fake::kit::{Guest, Kit, RO, RW, entry, slot};
use domus_hv_core::hypercalls::mmuext_op;
use domus_hv_core::ids::Mfn;
use zerocopy::IntoBytes;

const RAM: usize = 12;
/// Frames 4, 5 and 6 of the guest: an L2 table that names 5, an L1 table that maps 6 writable, memory.
const PAGES: usize = 7;
/// How many operations a sequence has at most.
const DEPTH: usize = 6;
/// How many different states are followed at most; a bound on time, not reached at this depth if the rules are right.
const STATES: usize = 6000;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// Entry (table, index) becomes (target, flags).
    Set(usize, usize, usize, u64),
    Clear(usize, usize),
    Pin(u32, usize),
    /// Only the first slice.
    PinSlice(u32, usize),
    Unpin(usize),
    GiveBack(usize),
    /// The guest writes to what is mapped at this page.
    Touch(u64),
}

const OPS: &[Op] = &[
    Op::Set(3, 4, 4, RO),
    Op::Set(3, 4, 4, RW),
    Op::Set(3, 5, 5, RO),
    Op::Set(3, 5, 5, RW),
    Op::Set(2, 1, 5, RW),
    Op::Set(1, 1, 4, RW),
    Op::Clear(2, 1),
    Op::Clear(1, 1),
    Op::Clear(3, 5),
    Op::Pin(EXT_PIN_L1_TABLE, 5),
    Op::Pin(EXT_PIN_L2_TABLE, 4),
    Op::PinSlice(EXT_PIN_L2_TABLE, 4),
    Op::Unpin(4),
    Op::Unpin(5),
    Op::GiveBack(5),
    Op::Touch(5),
];

fn world() -> (Kit, Guest) {
    let mut kit = Kit::new(RAM);
    let guest = kit.guest(1, PAGES, 0);
    kit.run(guest.id);
    // Two entries, so that a slice ends between them.
    for index in [0, 1] {
        kit.hv.machine.guest_write(guest.va(4) + index * 8, entry(guest.frames[5], RW)).expect("memory");
    }
    kit.hv.machine.guest_write(guest.va(5), entry(guest.frames[6], RW)).expect("memory");
    (kit, guest)
}

fn perform(kit: &mut Kit, guest: &Guest, op: Op) {
    let frames = &guest.frames;
    match op {
        Op::Set(table, index, target, flags) => {
            kit.mmu_update(guest.id, &[(slot(frames[table], index), entry(frames[target], flags))]);
        }
        Op::Clear(table, index) => {
            kit.mmu_update(guest.id, &[(slot(frames[table], index), 0)]);
        }
        Op::Pin(cmd, table) => {
            kit.ext(guest.id, cmd, frames[table].0, 0);
        }
        Op::PinSlice(cmd, table) => {
            kit.hv.machine.interrupt_every.set(1);
            let request = MmuextOp { cmd, _pad: 0, arg1: frames[table].0, arg2: 0 };
            kit.hv.machine.put(0, request.as_bytes());
            kit.once(guest.id, mmuext_op::handler, [WINDOW, 1, 0, abi::domid::SELF.into(), 0]);
            kit.hv.machine.interrupt_every.set(0);
        }
        Op::Unpin(table) => {
            kit.ext(guest.id, EXT_UNPIN_TABLE, frames[table].0, 0);
        }
        Op::GiveBack(frame) => {
            kit.reservation(guest.id, OP_DECREASE_RESERVATION, abi::domid::SELF, 0, &[frames[frame].0]);
        }
        Op::Touch(page) => {
            let at = guest.va(page as usize) + 511 * 8;
            let value = kit.hv.machine.guest_read(at).unwrap_or(0);
            let _ = kit.hv.machine.guest_write(at, value);
        }
    }
}

/// What tells one state from another: owners, counts, types, entries, what the CPU remembers (but not when anything was flushed).
fn state(kit: &Kit) -> String {
    let mut text = String::new();
    for number in 0..RAM as u64 {
        let Some(frame) = kit.hv.frames.get(Mfn(number)) else {
            continue;
        };
        let words: Vec<u64> = (0..8).map(|index| kit.hv.machine.memory.word(Mfn(number), index).load(Relaxed)).collect();
        text += &format!("{:?} {} {} {:?} {words:x?};", frame.owner(), frame.refs(), frame.allocated(), frame.usage());
    }
    text + &format!("{:x?} {:x?}", kit.hv.machine.mmu.translations(), kit.hv.machine.mmu.directories())
}

#[test]
fn every_short_sequence_keeps_the_invariant() {
    let mut seen = BTreeSet::new();
    let mut queue = VecDeque::from([Vec::new()]);
    let mut deepest = 0;
    while let Some(sequence) = queue.pop_front() {
        for &op in OPS {
            let (mut kit, guest) = world();
            let mut longer: Vec<Op> = sequence.clone();
            longer.push(op);
            for &op in &longer {
                perform(&mut kit, &guest, op);
            }
            let checked = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| kit.check()));
            assert!(checked.is_ok(), "after {longer:?}");
            if seen.insert(state(&kit)) && longer.len() < DEPTH && seen.len() < STATES {
                deepest = deepest.max(longer.len());
                queue.push_back(longer);
            }
        }
    }
    assert!(seen.len() > 300, "the operations lead somewhere: {} states", seen.len());
    println!("{} states, sequences of up to {} operations", seen.len(), deepest + 1);
}

#[test]
fn every_state_can_be_torn_down() {
    for &first in OPS {
        for &second in OPS {
            for &third in OPS {
                let (mut kit, guest) = world();
                for op in [first, second, third] {
                    perform(&mut kit, &guest, op);
                }
                kit.destroy(guest.id);
                kit.check();
                assert_eq!(kit.hv.frames.stats().free, RAM as u64 - 1, "after {first:?}, {second:?}, {third:?}");
            }
        }
    }
}
