//! The queue, by example and with front ends that say anything.

use std::vec;
use std::vec::Vec;

use abi::blkif::{
    DiscardRequest, IndirectRequest, OP_DISCARD, OP_FLUSH, OP_INDIRECT, OP_READ, OP_WRITE, OP_WRITE_BARRIER, Request, STATUS_ERROR,
    STATUS_NOT_SUPPORTED, STATUS_OKAY, Segment,
};
use abi::zerocopy::transmute;
use proptest::prelude::*;

use super::faults::{Dice, Faults};
use super::job::{Job, Work};
use super::play::{PAGE, PlayedDisk, PlayedGrants, PlayedRing, segment_bytes};
use super::queue::{Queue, Turn};
use super::request::Limits;
use crate::block::fake::{FakeMemory, block_on};
use crate::block::{Buffer, Disk};

/// The disk's length in bytes, and the number of the guest's pages.
const DISK: usize = 512 * 1024;
const PAGES: u32 = 24;

struct Rig {
    ring: PlayedRing,
    grants: PlayedGrants,
    disk: PlayedDisk,
    queue: Queue,
    dice: Dice,
    jobs: Vec<Job>,
}

/// What stands on the disk at first: a number for each sector.
fn contents() -> Vec<u8> {
    (0..DISK).map(|at| (at / 512 % 251) as u8 + 1).collect()
}

impl Rig {
    fn new(persistent: bool, layout: &[u8]) -> Self {
        let memory = FakeMemory::new();
        let grants = PlayedGrants::new(&memory, PAGES, vec![PAGES]);
        // What lies nowhere reads as zeroes by the slow way, too.
        let mut contents = contents();
        for (stripe, kind) in contents.chunks_mut(65536).zip(layout) {
            if *kind == 1 {
                stripe.fill(0);
            }
        }
        let disk = PlayedDisk::new(&memory, &grants, contents, layout.to_vec());
        let queue = Queue::new(32, persistent);
        Self { ring: PlayedRing::default(), grants, disk, queue, dice: Dice::default(), jobs: vec![] }
    }

    fn turn_if(&mut self, take: bool) -> Result<Turn, super::ends::Corrupt> {
        let limits = Limits::new(&Disk::info(&self.disk), false, 256);
        let turn = self.queue.turn(&mut self.ring, &mut self.grants, &self.disk, (&limits, &mut self.dice), take);
        self.jobs.append(&mut self.queue.jobs);
        turn
    }

    fn turn(&mut self) {
        self.turn_if(true).unwrap();
    }

    fn run_job(&mut self, which: usize) {
        if !self.jobs.is_empty() {
            let job = self.jobs.remove(which % self.jobs.len());
            let result = block_on(job.work.run(&self.disk));
            self.queue.completions().push(job.token.into(), result);
        }
    }

    /// Until nothing happens any more.
    fn settle(&mut self) {
        for _ in 0..1000 {
            let turn = self.turn_if(true).unwrap();
            self.disk.do_one(0);
            self.run_job(0);
            if !turn.more
                && self.disk.under_way() == 0
                && self.jobs.is_empty()
                && !self.queue.completions().any()
                && self.ring.requests.is_empty()
                && self.queue.in_flight() == 0
            {
                return;
            }
        }
        panic!("it does not settle");
    }

    fn ask(&mut self, request: Request) {
        self.ring.requests.push_back(request);
    }

    fn status(&self, id: u64) -> i16 {
        let replies: Vec<i16> = self.ring.replies.iter().filter(|reply| reply.id == id).map(|reply| reply.status).collect();
        assert_eq!(replies.len(), 1, "request {id} has one reply");
        replies[0]
    }
}

fn segment(gref: u32) -> Segment {
    Segment { gref, first_sect: 0, last_sect: 7, _pad: 0 }
}

fn request(id: u64, operation: u8, sector_number: u64, segments: &[Segment]) -> Request {
    let mut request = Request { operation, nr_segments: segments.len() as u8, id, sector_number, ..Request::default() };
    request.seg[..segments.len()].copy_from_slice(segments);
    request
}

fn indirect(id: u64, operation: u8, sector_number: u64, nr_segments: u16, gref: u32) -> Request {
    let indirect_grefs = [gref, 0, 0, 0, 0, 0, 0, 0];
    let request = IndirectRequest {
        operation: OP_INDIRECT,
        indirect_op: operation,
        nr_segments,
        id,
        sector_number,
        indirect_grefs,
        ..IndirectRequest::default()
    };
    transmute!(request)
}

#[test]
fn a_page_comes_and_goes() {
    let mut rig = Rig::new(true, &[]);
    rig.ask(request(1, OP_READ, 8, &[segment(1)]));
    rig.turn();
    assert_eq!((rig.disk.under_way(), rig.disk.kicks.get(), rig.ring.replies.len()), (1, 1, 0));
    rig.settle();
    assert_eq!((rig.status(1), rig.grants.bytes(1)), (STATUS_OKAY, contents()[4096..8192].to_vec()));
    rig.grants.page(1).set(0, &[0xaa; PAGE]);
    rig.ask(request(2, OP_WRITE, 16, &[segment(1)]));
    rig.settle();
    assert_eq!(rig.disk.disk.contents()[8192..12288], [0xaa; PAGE]);
    let stats = rig.queue.stats;
    assert_eq!((stats.reads, stats.writes, stats.quick, stats.mapped), (1, 1, 2, 1), "mapped once for both");
    assert_eq!((rig.grants.calls, rig.queue.kept_pages()), (1, 1));
}

/// Steady state: 24 requests at a time with pages that stay mapped. Whether all of the disk lies straight or is asked for each place, there is
/// no call into the hypervisor for them, one bell for a turn, and all replies can be told of at once.
#[test]
fn in_steady_state_requests_need_no_hypercall() {
    for layout in [&[][..], &[0][..]] {
        let mut rig = Rig::new(true, layout);
        let round = |rig: &mut Rig, round: u64| {
            for page in 1..PAGES {
                let operation = if page % 2 == 0 { OP_READ } else { OP_WRITE };
                rig.ask(request(round << 8 | u64::from(page), operation, u64::from(page) * 8, &[segment(page)]));
            }
            rig.turn();
            (0..PAGES - 1).for_each(|_| rig.disk.do_one(0));
            rig.turn();
        };
        round(&mut rig, 0);
        assert_eq!((rig.grants.calls, rig.queue.stats.mapped), (1, u64::from(PAGES) - 1), "mapped by one call");
        let kicks = rig.disk.kicks.get();
        (1..=100).for_each(|number| round(&mut rig, number));
        assert_eq!((rig.grants.calls, rig.disk.kicks.get() - kicks), (1, 100));
        let requests = 101 * (u64::from(PAGES) - 1);
        let stats = rig.queue.stats;
        assert_eq!((stats.requests(), stats.quick, rig.ring.replies.len() as u64), (requests, requests, requests));
    }
}

#[test]
fn without_persistent_grants_pages_are_unmapped_before_the_reply() {
    let mut rig = Rig::new(false, &[]);
    rig.ask(request(1, OP_READ, 0, &[segment(1), segment(2)]));
    rig.ask(request(2, OP_WRITE, 100, &[segment(3)]));
    rig.turn();
    assert_eq!((rig.grants.mapped(), rig.grants.calls), (3, 1), "one call for all");
    rig.disk.do_one(0);
    rig.disk.do_one(0);
    rig.turn();
    assert_eq!((rig.ring.replies.len(), rig.grants.mapped(), rig.grants.calls), (2, 0, 2));
}

#[test]
fn indirect_requests() {
    let mut rig = Rig::new(true, &[]);
    let segments: Vec<Segment> = (1..=20).map(segment).collect();
    rig.grants.page(23).set(0, &segment_bytes(&segments));
    rig.ask(indirect(5, OP_READ, 80, 20, 23));
    rig.settle();
    assert_eq!(rig.status(5), STATUS_OKAY);
    assert_eq!(rig.ring.replies[0].operation, OP_READ);
    let read: Vec<u8> = (1..=20).flat_map(|gref| rig.grants.bytes(gref)).collect();
    assert_eq!(read, contents()[80 * 512..80 * 512 + 20 * PAGE]);
    assert_eq!(rig.grants.calls, 2);
    let bad = Segment { first_sect: 7, last_sect: 6, ..segment(1) };
    rig.grants.page(23).set(0, &segment_bytes(&[segment(2), bad]));
    rig.ask(indirect(6, OP_WRITE, 80, 2, 23));
    rig.ask(indirect(7, OP_READ, 80, 2, 99));
    rig.settle();
    assert_eq!((rig.status(6), rig.status(7), rig.queue.stats.refused), (STATUS_ERROR, STATUS_ERROR, 2));
}

#[test]
fn segments_may_lie_in_a_page_that_can_only_be_read() {
    let mut rig = Rig::new(false, &[]);
    rig.grants.page(PAGES).set(0, &segment_bytes(&[segment(1), segment(2)]));
    rig.ask(indirect(5, OP_READ, 80, 2, PAGES));
    rig.ask(indirect(6, OP_WRITE, 80, 2, PAGES));
    rig.settle();
    assert_eq!((rig.status(5), rig.status(6)), (STATUS_OKAY, STATUS_OKAY));
}

#[test]
fn a_page_that_cannot_be_mapped_costs_its_request_only() {
    let mut rig = Rig::new(true, &[]);
    rig.ask(request(1, OP_READ, 0, &[segment(1), segment(77)]));
    rig.ask(request(2, OP_READ, 0, &[segment(2)]));
    rig.ask(request(3, OP_READ, 0, &[segment(PAGES)]));
    rig.ask(request(4, 77, 0, &[segment(1)]));
    rig.settle();
    assert_eq!([1, 2, 3, 4].map(|id| rig.status(id)), [STATUS_ERROR, STATUS_OKAY, STATUS_ERROR, STATUS_NOT_SUPPORTED]);
}

#[test]
fn three_kinds_of_places_in_one_request() {
    let mut rig = Rig::new(false, &[0, 1, 2, 0]);
    for (id, stripe) in [(1, 0u64), (2, 1), (3, 2)] {
        // Half of it in one stripe, half in the next.
        rig.ask(request(id, OP_READ, stripe * 128 + 124, &[segment(id as u32)]));
    }
    rig.settle();
    let contents = rig.disk.disk.contents();
    for stripe in 0..3usize {
        let at = stripe * 65536 + 124 * 512;
        assert_eq!(rig.grants.bytes(stripe as u32 + 1), contents[at..at + PAGE], "{stripe}");
    }
    assert_eq!(rig.queue.stats.quick, 1, "that of which nothing was unknown");
}

#[test]
fn a_barrier_waits_for_all_and_all_wait_for_it() {
    let mut rig = Rig::new(true, &[]);
    rig.ask(request(1, OP_WRITE, 0, &[segment(1)]));
    rig.ask(request(2, OP_WRITE_BARRIER, 8, &[segment(2)]));
    rig.ask(request(3, OP_WRITE, 16, &[segment(3)]));
    rig.turn();
    assert_eq!((rig.disk.under_way(), rig.jobs.len(), rig.queue.takes_requests()), (1, 0, false));
    rig.disk.do_one(0);
    rig.turn();
    rig.turn();
    assert!(matches!(rig.jobs[..], [Job { work: Work::Barrier(4096, _), .. }]) && rig.disk.under_way() == 0);
    rig.run_job(0);
    assert_eq!(rig.disk.disk.after_power_cut(|_| false)[..8192], [0; 8192], "written and durable");
    rig.settle();
    assert_eq!([1, 2, 3].map(|id| rig.status(id)), [STATUS_OKAY; 3]);
    rig.ask(request(4, OP_WRITE, 24, &[segment(4)]));
    rig.ask(request(5, OP_WRITE_BARRIER, 0, &[]));
    rig.ask(request(6, OP_FLUSH, 0, &[segment(5)]));
    rig.settle();
    assert_eq!([4, 5, 6].map(|id| rig.status(id)), [STATUS_OKAY; 3]);
    assert_eq!((rig.queue.stats.writes, rig.queue.stats.flushes), (5, 1));
}

#[test]
fn a_full_disk_makes_requests_wait() {
    let mut rig = Rig::new(true, &[]);
    rig.disk.depth.set(2);
    for id in 1..=5 {
        rig.ask(request(id, OP_READ, id * 8, &[segment(id as u32)]));
    }
    rig.turn();
    assert_eq!((rig.disk.under_way(), rig.queue.takes_requests(), rig.queue.waits_for(&rig.disk)), (2, false, Some((7, 1))));
    rig.settle();
    for id in 1..=5u64 {
        let at = id as usize * 4096;
        assert_eq!((rig.status(id), rig.grants.bytes(id as u32)), (STATUS_OKAY, contents()[at..at + PAGE].to_vec()));
    }
}

#[test]
fn faults_are_told() {
    let mut rig = Rig::new(true, &[]);
    rig.dice = Dice::new(Faults { errors: 2, ..Faults::default() });
    for id in 1..=4 {
        rig.ask(request(id, OP_READ, 0, &[segment(id as u32)]));
    }
    rig.settle();
    assert_eq!([1, 2, 3, 4].map(|id| rig.status(id)), [STATUS_OKAY, STATUS_ERROR, STATUS_OKAY, STATUS_ERROR]);
    assert_eq!(rig.grants.bytes(2), [0; PAGE], "nothing was done");
    rig.dice = Dice::new(Faults { short: 1, delay_ms: 7, ..Faults::default() });
    rig.ask(request(5, OP_READ, 0, &[segment(5)]));
    rig.turn();
    assert!(matches!(rig.jobs[..], [Job { work: Work::Sleep(7), .. }]));
    rig.disk.do_one(0);
    rig.turn();
    assert_eq!(rig.ring.replies.len(), 4, "it takes its time");
    rig.settle();
    assert_eq!(rig.status(5), STATUS_ERROR);
    assert_eq!((rig.grants.bytes(5)[..2048].to_vec(), rig.grants.bytes(5)[2048..].to_vec()), (contents()[..2048].to_vec(), vec![0; 2048]));
}

#[test]
fn a_ring_that_cannot_be_ends_it_but_what_is_under_way_is_waited_for() {
    let mut rig = Rig::new(true, &[]);
    rig.ask(request(1, OP_READ, 0, &[segment(1)]));
    rig.turn();
    rig.ring.corrupt = true;
    assert!(rig.turn_if(true).is_err());
    assert_eq!(rig.queue.in_flight(), 1);
    rig.disk.do_one(0);
    assert!(rig.turn_if(false).is_ok());
    assert_eq!(rig.queue.in_flight(), 0);
}

#[test]
fn it_is_over_with_the_turn_that_answers_the_last() {
    let mut rig = Rig::new(true, &[]);
    for id in 0..32 {
        rig.ask(request(id, OP_READ, 0, &[segment(3)]));
    }
    assert!(!rig.turn_if(true).unwrap().over, "more may come");
    while rig.disk.under_way() > 0 {
        assert!(!rig.turn_if(false).unwrap().over, "{} are under way", rig.queue.in_flight());
        rig.disk.do_one(0);
    }
    let last = rig.turn_if(false).unwrap();
    assert!(last.answered && last.over, "whoever waits for another event now waits for ever: {last:?}");
    assert_eq!(rig.ring.replies.len(), 32);
    assert!(rig.turn_if(false).unwrap().over, "also with nothing under way from the beginning");
}

#[test]
fn pages_that_stay_give_way_in_time() {
    let memory = FakeMemory::new();
    let mut rig = Rig::new(true, &[]);
    let many = 1200;
    rig.grants = PlayedGrants::new(&memory, many, vec![]);
    rig.disk = PlayedDisk::new(&memory, &rig.grants, contents(), vec![]);
    for gref in 1..=many {
        rig.ask(request(gref.into(), OP_READ, u64::from(gref) % 100, &[segment(gref)]));
        rig.settle();
        assert_eq!(rig.status(gref.into()), STATUS_OKAY);
    }
    assert!(rig.grants.mapped() <= super::slots::PERSISTENT_MAX);
    assert_eq!(rig.grants.mapped(), rig.queue.kept_pages());
}

/// A front end may have as many pages as are kept, as Linux does: they stay, and none is mapped again.
#[test]
fn all_pages_that_are_kept_can_be_in_use() {
    let memory = FakeMemory::new();
    let mut rig = Rig::new(true, &[]);
    let many = super::slots::PERSISTENT_MAX as u32;
    rig.grants = PlayedGrants::new(&memory, many, vec![]);
    rig.disk = PlayedDisk::new(&memory, &rig.grants, contents(), vec![]);
    for round in 0..2 {
        for gref in 1..=many {
            rig.ask(request(u64::from(round * many + gref), OP_READ, 0, &[segment(gref)]));
            rig.settle();
        }
        assert_eq!((rig.grants.calls, rig.queue.kept_pages()), (many as usize, many as usize), "round {round}");
    }
}

/// What a front end may put on the ring.
fn any_request() -> impl Strategy<Value = Request> {
    let segments = prop::collection::vec((0u32..30, 0u8..9, 0u8..9), 0..12);
    let sector = prop_oneof![5 => 0u64..1024, 1 => 1000u64..1100, 1 => any::<u64>()];
    let plain = (0u8..9, segments, sector.clone(), prop::bool::weighted(0.7)).prop_map(|(operation, segments, sector, well)| {
        let segments: Vec<Segment> = segments
            .iter()
            .map(|&(gref, first_sect, last_sect)| {
                let (first_sect, last_sect) =
                    if well { (first_sect.min(last_sect) % 8, first_sect.max(last_sect) % 8) } else { (first_sect, last_sect) };
                Segment { gref, first_sect, last_sect, _pad: 0 }
            })
            .take(11)
            .collect();
        request(0, operation, sector, &segments)
    });
    let indirect = (0u8..3, 0u16..40, 0u32..30, sector.clone()).prop_map(|(op, count, gref, sector)| indirect(0, op, sector, count, gref));
    let discard = (0u8..2, sector, 0u64..64).prop_map(|(flag, sector_number, nr_sectors)| {
        transmute!(DiscardRequest { operation: OP_DISCARD, flag, sector_number, nr_sectors, ..DiscardRequest::default() })
    });
    prop_oneof![6 => plain, 2 => indirect, 1 => discard]
}

#[derive(Clone, Debug)]
enum Step {
    Ask(Request),
    Turn,
    Device(usize),
    Job(usize),
    Scribble(u32, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any_request().prop_map(Step::Ask),
        3 => Just(Step::Turn),
        2 => any::<usize>().prop_map(Step::Device),
        2 => any::<usize>().prop_map(Step::Job),
        1 => (1u32..PAGES, any::<u8>()).prop_map(|(page, byte)| Step::Scribble(page, byte)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a front end asks, and in whatever order disks answer: each request gets one reply, no page is unmapped under the device
    /// (the played disk asserts it), nothing is left mapped that is not kept, and the rest of the disk is as it was.
    #[test]
    fn a_hostile_front_end(
        steps in prop::collection::vec(step(), 0..120), persistent in any::<bool>(), depth in 1usize..20,
        layout in prop::collection::vec(0u8..3, 8), errors in prop_oneof![Just(0u32), 1u32..9], short in prop_oneof![Just(0u32), 1u32..9],
    ) {
        let mut rig = Rig::new(persistent, &layout);
        rig.disk.depth.set(depth);
        rig.dice = Dice::new(Faults { errors, short, delay_ms: 0 });
        let (mut asked, mut touched) = (0u64, vec![false; DISK / 512]);
        for step in steps {
            match step {
                // As many as the ring has room for.
                Step::Ask(request) if rig.ring.requests.len() + rig.ring.open < 32 => {
                    asked += 1;
                    let first = request.sector_number.min(DISK as u64) as usize;
                    let last = (first + 512).min(touched.len());
                    touched.get_mut(first..last).unwrap_or_default().fill(true);
                    rig.ask(Request { id: asked, ..request });
                }
                Step::Ask(_) => {}
                Step::Turn => {
                    rig.turn();
                    // Whoever moves data now has to wait exactly while the device has something.
                    prop_assert_eq!(rig.disk.traffic.passed(rig.disk.traffic.moment()), rig.disk.under_way() == 0);
                }
                Step::Device(which) => rig.disk.do_one(which),
                Step::Job(which) => rig.run_job(which),
                Step::Scribble(page, byte) => rig.grants.page(page).set(0, &[byte; 256]),
            }
        }
        rig.settle();
        prop_assert_eq!((rig.ring.replies.len() as u64, rig.ring.open), (asked, 0));
        let mut ids: Vec<u64> = rig.ring.replies.iter().map(|reply| reply.id).collect();
        ids.sort_unstable();
        prop_assert!(ids.iter().copied().eq(1..=asked));
        prop_assert_eq!(rig.grants.mapped(), rig.queue.kept_pages());
        prop_assert!(persistent || rig.grants.mapped() == 0);
        prop_assert_eq!(rig.queue.stats.requests(), asked);
        let (now, fresh) = (rig.disk.disk.contents(), Rig::new(persistent, &layout).disk.disk.contents());
        for sector in (0..DISK / 512).filter(|sector| !touched[*sector]) {
            prop_assert_eq!(&now[sector * 512..sector * 512 + 512], &fresh[sector * 512..sector * 512 + 512]);
        }
    }

    /// A front end that keeps to the rules reads what it has written, whichever way it goes.
    #[test]
    fn what_is_written_is_read(
        writes in prop::collection::vec((0u64..1024, 0u8..8, 0u8..8, any::<u8>()), 1..30), persistent in any::<bool>(),
        layout in prop::collection::vec(prop_oneof![Just(0u8), Just(2)], 8), pieces in 1usize..5,
    ) {
        let mut rig = Rig::new(persistent, &layout);
        rig.disk.pieces = pieces;
        let mut model = contents();
        let okay = |rig: &Rig, id: u64, fits: bool| rig.status(id) == if fits { STATUS_OKAY } else { STATUS_ERROR };
        for (number, (sector, a, b, byte)) in writes.into_iter().enumerate() {
            let id = number as u64 * 2 + 1;
            let part = Segment { gref: 2, first_sect: a.min(b), last_sect: a.max(b), _pad: 0 };
            let sectors = usize::from(part.last_sect - part.first_sect + 1) + 8;
            let fits = sector as usize + sectors <= 1024;
            rig.grants.page(1).set(0, &[byte; PAGE]);
            rig.grants.page(2).set(0, &[!byte; PAGE]);
            rig.ask(request(id, OP_WRITE, sector, &[segment(1), part]));
            rig.settle();
            prop_assert!(okay(&rig, id, fits));
            if fits {
                let at = sector as usize * 512;
                model[at..at + PAGE].fill(byte);
                model[at + PAGE..at + sectors * 512].fill(!byte);
            }
            rig.ask(request(id + 1, OP_READ, sector, &[segment(3), Segment { gref: 4, ..part }]));
            rig.settle();
            prop_assert!(okay(&rig, id + 1, fits));
            if fits {
                prop_assert_eq!(&rig.grants.bytes(3), &model[sector as usize * 512..sector as usize * 512 + PAGE]);
                let from = usize::from(part.first_sect) * 512;
                let tail = (sectors - 8) * 512;
                let at = sector as usize * 512 + PAGE;
                prop_assert_eq!(&rig.grants.bytes(4)[from..from + tail], &model[at..at + tail]);
            }
        }
        prop_assert_eq!(rig.disk.disk.contents(), model);
    }
}
