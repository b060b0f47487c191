//! `memory_op` exchange: frames for frames, all or nothing a chunk, and only those that nobody else uses.

use core::sync::atomic::Ordering::Relaxed;

use abi::errno::Errno;
use abi::layout::INVALID_M2P_ENTRY;
use abi::memory::{Exchange, OP_DECREASE_RESERVATION, OP_EXCHANGE, Reservation};
use abi::mmu::{EXT_PIN_L1_TABLE, UVMF_ALL, UVMF_TLB_FLUSH};
use domus_hv_core::call::Outcome;
use domus_hv_core::fake::WINDOW;
use domus_hv_core::fake::kit::{Guest, Kit, RO, RW, entry, slot};
use domus_hv_core::hypercalls::memory_op;
use domus_hv_core::ids::{DomId, Mfn};
use domus_hv_core::machine::Machine;
use proptest::prelude::*;
use proptest::test_runner::Config;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

const SELF: u16 = abi::domid::SELF;
/// Where the lists lie in the test's window.
const GIVEN: usize = 0x1000;
const HAD: usize = 0x8000;

fn world() -> (Kit, Guest, Guest) {
    let mut kit = Kit::new(2048);
    let a = kit.guest(1, 64, 0);
    let b = kit.guest(2, 16, 600);
    kit.run(a.id);
    (kit, a, b)
}

/// Unmaps pages of the guest, and tells their frames.
fn unmapped(kit: &mut Kit, guest: &Guest, pages: core::ops::Range<usize>) -> Vec<u64> {
    pages
        .map(|page| {
            assert_eq!(kit.update_va(guest.id, guest.va(page), 0, 0), 0);
            guest.frames[page].0
        })
        .collect()
}

fn request(given: (u32, usize), had: (u32, usize)) -> Exchange {
    let list = |extent_start: usize, (extent_order, nr_extents): (u32, usize)| Reservation {
        extent_start: WINDOW + extent_start as u64,
        nr_extents: nr_extents as u64,
        extent_order,
        domid: SELF,
        ..Reservation::new_zeroed()
    };
    Exchange { input: list(GIVEN, given), output: list(HAD, had), nr_exchanged: 0 }
}

/// What an exchange came to.
#[derive(Debug)]
struct Came {
    result: i64,
    done: u64,
    had: Vec<u64>,
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes"))).collect()
}

fn exchange_as(kit: &mut Kit, id: DomId, request: &Exchange, given: &[u64], had: &[u64]) -> Came {
    kit.hv.machine.put(0, request.as_bytes());
    kit.hv.machine.put(GIVEN, given.as_bytes());
    kit.hv.machine.put(HAD, had.as_bytes());
    let result = kit.call(id, memory_op::handler, [OP_EXCHANGE.into(), WINDOW, 0, 0, 0]);
    let after = Exchange::read_from_bytes(&kit.hv.machine.take(0, 72)).expect("72 bytes");
    Came { result, done: after.nr_exchanged, had: words(&kit.hv.machine.take(HAD, had.len() * 8)) }
}

fn exchange(kit: &mut Kit, id: DomId, orders: (u32, u32), given: &[u64], had: &[u64]) -> Came {
    exchange_as(kit, id, &request((orders.0, given.len()), (orders.1, had.len())), given, had)
}

#[test]
fn single_frames_become_adjacent_ones() {
    let (mut kit, a, _) = world();
    let free = kit.hv.frames.stats().free;
    // A domain at its limit exchanges: it needs no room.
    assert_eq!(kit.hv.frames.of(a.id).total, kit.hv.frames.of(a.id).limit);
    let given = unmapped(&mut kit, &a, 20..36);
    for &mfn in &given {
        kit.hv.machine.word(Mfn(mfn), 7).store(0x5ec2e7, Relaxed);
    }
    let came = exchange(&mut kit, a.id, (0, 3), &given, &[20, 40]);
    assert_eq!((came.result, came.done), (0, 16));
    kit.check();
    for (&first, pfn) in came.had.iter().zip([20, 40]) {
        assert_eq!(first % 8, 0);
        for offset in 0..8 {
            let mfn = Mfn(first + offset);
            assert_eq!(kit.hv.machine.m2p(mfn), pfn + offset);
            let page = 20 + offset as usize;
            assert_eq!(kit.update_va(a.id, a.va(page), entry(mfn, RW), 0), 0);
            assert_eq!(kit.hv.machine.guest_read(a.va(page) + 56), Ok(0), "zeroed");
        }
    }
    let gone = given.iter().filter(|mfn| !came.had.iter().any(|&first| (first..first + 8).contains(*mfn)));
    for &mfn in gone {
        assert_eq!(kit.hv.machine.m2p(Mfn(mfn)), INVALID_M2P_ENTRY);
        assert_eq!(kit.mmu_update(a.id, &[(slot(a.l1(), 100), entry(Mfn(mfn), RO))]), Errno::BUSY.as_ret(), "not the domain's any more");
    }
    assert_eq!((kit.hv.frames.stats().free, kit.hv.frames.of(a.id).total), (free, 64));
    kit.check();
}

#[test]
fn adjacent_frames_become_single_ones() {
    let (mut kit, a, _) = world();
    let given = unmapped(&mut kit, &a, 20..28);
    let block = exchange(&mut kit, a.id, (0, 3), &given, &[20]).had;
    let came = exchange(&mut kit, a.id, (3, 0), &block, &(20..28).collect::<Vec<_>>());
    assert_eq!((came.result, came.done), (0, 1));
    assert!(came.had.iter().zip(20..).all(|(&mfn, pfn)| kit.hv.machine.m2p(Mfn(mfn)) == pfn));
    // The same size: single ones for single ones.
    let again = exchange(&mut kit, a.id, (0, 0), &came.had, &[0; 8]);
    assert_eq!((again.result, again.done), (0, 8));
    kit.check();
}

/// Frame 20 of the guest, after something was done to it, is refused; nothing is lost.
fn refused(kit: &mut Kit, a: &Guest, given: &[u64]) {
    let before = (kit.hv.frames.stats().free, kit.hv.frames.of(a.id).total, kit.hv.frames.lists_for_check(a.id).allocated.len());
    let came = exchange(kit, a.id, (0, 2), given, &[20]);
    assert_eq!((came.result, came.done, &came.had[..]), (Errno::INVAL.as_ret(), 0, &[20][..]));
    let after = (kit.hv.frames.stats().free, kit.hv.frames.of(a.id).total, kit.hv.frames.lists_for_check(a.id).allocated.len());
    assert_eq!(before, after);
    kit.check();
}

#[test]
fn only_frames_that_nobody_uses_are_given() {
    let (mut kit, a, b) = world();
    let good = unmapped(&mut kit, &a, 20..24);
    let others = unmapped(&mut kit, &b, 10..11);
    let swap = |at: usize, mfn: u64| {
        let mut list = good.clone();
        list[at] = mfn;
        list
    };
    for at in 0..4 {
        for (what, mfn) in [
            ("mapped writable", a.frames[30].0),
            ("a page table", a.l1().0),
            ("the top-level table", a.l4().0),
            ("another domain's, mapped", b.frames[9].0),
            ("another domain's", others[0]),
            ("frame 0", 0),
            ("no RAM", 5000),
            ("no number", u64::MAX),
            ("free", 2000),
            ("twice the same", good[(at + 1) % 4]),
        ] {
            println!("{what} as {at}");
            refused(&mut kit, &a, &swap(at, mfn));
        }
    }
    let shared = kit.hv.frames.allocate_shared(&kit.hv.machine, a.id).expect("RAM");
    refused(&mut kit, &a, &swap(2, shared.0));
    // Mapped read-only: a reference without a type.
    assert_eq!(kit.update_va(a.id, a.va(20), entry(Mfn(good[0]), RO), 0), 0);
    refused(&mut kit, &a, &good);
    // Given back and lingering.
    assert_eq!(kit.reservation(a.id, OP_DECREASE_RESERVATION, SELF, 0, &good[..1]).0, 1);
    refused(&mut kit, &a, &good);
}

#[test]
fn a_pinned_table_is_not_given() {
    let (mut kit, a, _) = world();
    let given = unmapped(&mut kit, &a, 20..24);
    assert_eq!(kit.ext(a.id, EXT_PIN_L1_TABLE, given[3], 0), 0);
    refused(&mut kit, &a, &given);
}

#[test]
fn a_frame_that_another_domain_maps_is_not_given() {
    let (mut kit, a, b) = world();
    let given = unmapped(&mut kit, &a, 20..24);
    kit.privilege(b.id);
    kit.permitted.mappings.push((b.id, Mfn(given[1])));
    assert_eq!(kit.mmu_update_for(b.id, &[(slot(b.l1(), 100), entry(Mfn(given[1]), RO))], a.id.into()), 0);
    refused(&mut kit, &a, &given);
    assert_eq!(kit.mmu_update(b.id, &[(slot(b.l1(), 100), 0)]), 0);
    assert_eq!(exchange(&mut kit, a.id, (0, 2), &given, &[20]).result, 0);
    kit.check();
}

/// A CPU knows the guest's page 20, and unmapping it flushes nothing; then it is exchanged, and B gets the frame.
fn remembered(kit: &mut Kit, a: &Guest, b: &Guest) {
    let given = unmapped(kit, a, 20..21);
    assert!(kit.hv.machine.guest_read(a.va(20)).is_ok(), "the translation is stale");
    assert_eq!(exchange(kit, a.id, (0, 0), &given, &[20]).result, 0);
    let mut seen = false;
    while let Ok(mfn) = kit.hv.mm().add_extent(b.id, 0, None) {
        seen |= given[0] == mfn.0;
        kit.check();
    }
    assert!(seen, "B got what A gave");
    assert!(kit.hv.machine.guest_read(a.va(20)).is_err());
}

#[test]
fn what_a_cpu_remembers_does_not_reach_the_frames_next_owner() {
    let (mut kit, a, b) = world();
    assert_eq!(kit.hv.machine.guest_write(a.va(20), 1), Ok(()));
    remembered(&mut kit, &a, &b);
    // Read-only, which no type tells of.
    let (mut kit, a, b) = world();
    assert_eq!(kit.update_va(a.id, a.va(20), entry(a.frames[20], RO), UVMF_TLB_FLUSH | UVMF_ALL), 0);
    assert_eq!(kit.hv.machine.guest_read(a.va(20)), Ok(0));
    remembered(&mut kit, &a, &b);
}

#[test]
fn with_no_such_block_nothing_is_done() {
    let mut kit = Kit::new(128);
    let a = kit.guest(1, 64, 64);
    // One free frame in every four.
    let mut spare: Vec<Mfn> = core::iter::from_fn(|| kit.hv.frames.allocate_for(&kit.hv.machine, a.id).ok()).collect();
    spare.retain(|mfn| mfn.0 % 4 == 1);
    for mfn in spare {
        kit.hv.frames.give_back(mfn, a.id).expect("its own");
    }
    let given = unmapped(&mut kit, &a, 20..24);
    let free = kit.hv.frames.stats().free;
    let came = exchange(&mut kit, a.id, (0, 2), &given, &[20]);
    assert_eq!((came.result, came.done), (Errno::NOMEM.as_ret(), 0));
    assert_eq!(kit.hv.frames.stats().free, free);
    kit.check();
    // The frames are the domain's as before.
    assert_eq!(kit.update_va(a.id, a.va(20), entry(Mfn(given[0]), RW), 0), 0);
    kit.check();
}

#[test]
fn a_chunk_that_fails_leaves_those_before_it_done() {
    let (mut kit, a, b) = world();
    let mut given = unmapped(&mut kit, &a, 20..32);
    given[9] = b.frames[9].0;
    let came = exchange(&mut kit, a.id, (0, 2), &given, &[20, 24, 28]);
    assert_eq!((came.result, came.done, came.had[2]), (Errno::INVAL.as_ret(), 8, 28));
    assert_eq!((kit.hv.machine.m2p(Mfn(came.had[0])), kit.hv.machine.m2p(Mfn(came.had[1] + 3))), (20, 27));
    kit.check();
}

#[test]
fn an_interrupted_exchange_goes_on_where_it_was() {
    let (mut kit, a, _) = world();
    kit.hv.machine.interrupt_every.set(1);
    let given = unmapped(&mut kit, &a, 20..36);
    let pfns: Vec<u64> = (20..36).step_by(4).collect();
    kit.hv.machine.put(0, request((0, 16), (2, 4)).as_bytes());
    kit.hv.machine.put(GIVEN, given.as_bytes());
    kit.hv.machine.put(HAD, pfns.as_bytes());
    let args = [OP_EXCHANGE.into(), WINDOW, 0, 0, 0];
    for done in [4, 8, 12] {
        assert_eq!(kit.once(a.id, memory_op::handler, args), Outcome::Again(args));
        assert_eq!(words(&kit.hv.machine.take(64, 8)), [done]);
        kit.check();
    }
    assert_eq!(kit.once(a.id, memory_op::handler, args), Outcome::Done(0));
    let had = words(&kit.hv.machine.take(HAD, 32));
    assert!(had.iter().zip(&pfns).all(|(&mfn, &pfn)| kit.hv.machine.m2p(Mfn(mfn)) == pfn));
    kit.check();
}

#[test]
fn large_extents_are_for_the_privileged() {
    let mut kit = Kit::new(16384);
    let a = kit.guest(1, 16, 8192);
    kit.run(a.id);
    let block = |kit: &mut Kit, order| kit.hv.mm().add_extent(a.id, order, None).expect("RAM").0;
    for (order, ordinary, privileged) in
        [(9, 0, 0), (10, Errno::PERM.as_ret(), 0), (12, Errno::PERM.as_ret(), 0), (13, Errno::PERM.as_ret(), Errno::PERM.as_ret())]
    {
        if order <= 12 {
            let first = block(&mut kit, order);
            kit.hv.domains.get_mut(a.id).expect("exists").privileged = false;
            let came = exchange(&mut kit, a.id, (order, order), &[first], &[0]);
            assert_eq!(came.result, ordinary, "order {order}");
            let first = if came.result == 0 { came.had[0] } else { first };
            kit.privilege(a.id);
            let came = exchange(&mut kit, a.id, (order, order), &[first], &[0]);
            assert_eq!(came.result, privileged, "order {order}");
            assert_eq!(
                kit.reservation(a.id, OP_DECREASE_RESERVATION, SELF, 0, &(0..1 << order).map(|n| came.had[0] + n).collect::<Vec<_>>()).0,
                1 << order
            );
        } else {
            kit.privilege(a.id);
            for orders in [(order, 0), (0, order), (63, 63), (64, 0), (0, 64), (u32::MAX, 0), (0, u32::MAX)] {
                assert_eq!(exchange(&mut kit, a.id, orders, &[1], &[0]).result, privileged, "orders {orders:?}");
            }
        }
    }
    kit.check();
}

#[test]
fn another_domains_frames_are_for_the_privileged() {
    let (mut kit, a, b) = world();
    let given = unmapped(&mut kit, &b, 9..13);
    let mut of_b = request((0, 4), (2, 1));
    (of_b.input.domid, of_b.output.domid) = (b.id, b.id);
    assert_eq!(exchange_as(&mut kit, a.id, &of_b, &given, &[9]).result, Errno::PERM.as_ret());
    kit.privilege(a.id);
    let came = exchange_as(&mut kit, a.id, &of_b, &given, &[9]);
    assert_eq!(came.result, 0);
    assert_eq!(kit.update_va(b.id, b.va(9), entry(Mfn(came.had[0]), RW), 0), 0, "B has them");
    (of_b.input.domid, of_b.output.domid) = (77, 77);
    assert_eq!(exchange_as(&mut kit, a.id, &of_b, &given, &[9]).result, Errno::SRCH.as_ret());
    let given = unmapped(&mut kit, &b, 12..16);
    let given = [came.had[0] + 1, given[1], given[2], given[3]];
    (of_b.input.domid, of_b.output.domid) = (b.id, a.id);
    assert_eq!(exchange_as(&mut kit, a.id, &of_b, &given, &[9]).result, Errno::INVAL.as_ret());
    (of_b.input.domid, of_b.output.domid) = (b.id, b.id);
    kit.hv.domains.get_mut(b.id).expect("exists").dying = true;
    assert_eq!(exchange_as(&mut kit, a.id, &of_b, &given, &[9]).result, Errno::SRCH.as_ret(), "it dies");
    kit.check();
}

#[test]
fn a_domain_that_is_destroyed_gets_nothing() {
    let (mut kit, a, _) = world();
    let given = unmapped(&mut kit, &a, 20..24);
    kit.hv.frames.close(a.id);
    assert_eq!(exchange(&mut kit, a.id, (0, 2), &given, &[20]).result, Errno::NOMEM.as_ret());
    kit.check();
}

#[test]
fn hostile_requests_do_nothing() {
    let (mut kit, a, _) = world();
    let given = unmapped(&mut kit, &a, 20..24);
    let good = request((0, 4), (2, 1));
    type Change = fn(&mut Exchange);
    let cases: [(Errno, Change); 12] = [
        (Errno::INVAL, |r| r.input.nr_extents = 5),
        (Errno::INVAL, |r| r.output.nr_extents = 2),
        (Errno::INVAL, |r| r.output.nr_extents = u64::MAX),
        (Errno::INVAL, |r| (r.input.nr_extents, r.input.extent_order) = (1 << 62, 2)),
        (Errno::INVAL, |r| (r.input.nr_extents, r.output.nr_extents) = (0, 1 << 62)),
        (Errno::INVAL, |r| r.nr_exchanged = 5),
        (Errno::INVAL, |r| r.nr_exchanged = u64::MAX),
        (Errno::FAULT, |r| r.input.extent_start = u64::MAX - 3),
        (Errno::FAULT, |r| r.input.extent_start = 0xffff_8000_0000_0000),
        (Errno::FAULT, |r| r.input.extent_start = 5 << 39),
        (Errno::NOMEM, |r| r.output.mem_flags = 22),
        (Errno::PERM, |r| r.output.extent_order = 200),
    ];
    for (number, (error, change)) in cases.into_iter().enumerate() {
        let mut bad = good;
        change(&mut bad);
        let came = exchange_as(&mut kit, a.id, &bad, &given, &[20]);
        assert_eq!((came.result, came.had[0]), (error.as_ret(), 20), "case {number}");
        kit.check();
    }
    for argument in [0xffff_8000_0000_0000, u64::MAX, u64::MAX - 71, 5 << 39] {
        assert_eq!(kit.call(a.id, memory_op::handler, [OP_EXCHANGE.into(), argument, 0, 0, 0]), Errno::FAULT.as_ret());
    }
    assert_eq!(exchange_as(&mut kit, a.id, &request((0, 0), (2, 0)), &[], &[]).result, 0, "nothing for nothing");
    let mut finished = good;
    finished.nr_exchanged = 4;
    assert_eq!(exchange_as(&mut kit, a.id, &finished, &given, &[20]).had, [20], "all is done already");
    assert_eq!(kit.hv.frames.of(a.id).total, 64);
    kit.check();
}

#[test]
fn what_cannot_be_told_is_the_domains_all_the_same() {
    let (mut kit, a, _) = world();
    let given = unmapped(&mut kit, &a, 20..24);
    let mut deaf = request((0, 4), (2, 1));
    deaf.output.extent_start = 5 << 39;
    let came = exchange_as(&mut kit, a.id, &deaf, &given, &[20]);
    assert_eq!(came.result, Errno::FAULT.as_ret());
    assert_eq!(kit.hv.frames.of(a.id).total, 64);
    kit.check();
}

proptest! {
    #![proptest_config(Config { cases: 150, ..Config::default() })]

    /// Whatever is given for whatever, all is accounted for; what is had is the domain's, adjacent and zeroed.
    #[test]
    fn nothing_is_lost_or_won(rounds in prop::collection::vec((0u32..4, 0u32..4, 0usize..4, prop::collection::vec(0usize..80, 16), 0u32..3), 1..12)) {
        let mut kit = Kit::new(160);
        let a = kit.guest(1, 64, 0);
        let b = kit.guest(2, 16, 0);
        kit.run(a.id);
        let mut own = unmapped(&mut kit, &a, 16..64);
        let foreign: Vec<u64> = (0..16).map(|index| a.frames[index].0).chain(b.frames.iter().map(|mfn| mfn.0)).collect();
        for (given_order, had_order, chunks, picks, every) in rounds {
            kit.hv.machine.interrupt_every.set(every);
            let frames = chunks << given_order.max(had_order);
            let mut given: Vec<u64> = picks.iter().cycle().zip(0..frames >> given_order).map(|(&pick, offset)| {
                *own.get((pick + offset) % 60).unwrap_or(&foreign[pick % foreign.len()])
            }).collect();
            if given_order != 0 {
                // Sometimes adjacent frames that were had before.
                given.iter_mut().for_each(|mfn| *mfn &= !((1 << given_order) - 1));
            }
            let pfns: Vec<u64> = (0..(frames >> had_order) as u64).map(|index| 1000 + (index << had_order)).collect();
            let free = kit.hv.frames.stats().free;
            let came = exchange(&mut kit, a.id, (given_order, had_order), &given, &pfns);
            kit.check();
            let got = ((came.done << given_order) >> had_order) as usize;
            prop_assert!(came.result != 0 || got == pfns.len());
            prop_assert_eq!(&came.had[got..], &pfns[got..], "not touched");
            let order = given_order.max(had_order);
            for chunk in 0..(came.done << given_order) >> order {
                // A chunk may get what one before it gave.
                for extent in chunk << (order - given_order)..(chunk + 1) << (order - given_order) {
                    for offset in 0..1 << given_order {
                        let mfn = given[extent as usize] + offset;
                        let before = own.len();
                        own.retain(|&own| own != mfn);
                        prop_assert_eq!(own.len() + 1, before, "only its own, and once");
                    }
                }
                for extent in chunk << (order - had_order)..(chunk + 1) << (order - had_order) {
                    prop_assert_eq!(came.had[extent as usize] % (1 << had_order), 0);
                    own.extend((0..1 << had_order).map(|offset| came.had[extent as usize] + offset));
                }
            }
            for &mfn in &own {
                let zero = (0..512).step_by(73).all(|word| kit.hv.machine.word(Mfn(mfn), word).swap(7, Relaxed) == 0);
                let had = came.had[..got].iter().zip(&pfns).rfind(|(first, _)| (**first..**first + (1 << had_order)).contains(&mfn));
                if let Some((first, pfn)) = had {
                    prop_assert!(zero);
                    prop_assert_eq!(kit.hv.machine.m2p(Mfn(mfn)), pfn + mfn - first);
                }
            }
            own.sort_unstable();
            let mut listed: Vec<u64> = kit.hv.frames.lists_for_check(a.id).allocated.iter().map(|mfn| mfn.0).collect();
            listed.retain(|mfn| !a.frames[..16].iter().any(|own| own.0 == *mfn));
            listed.sort_unstable();
            prop_assert_eq!(&listed, &own);
            prop_assert_eq!(kit.hv.frames.stats().free, free);
        }
    }
}
