//! Batches of grants, exchanges and multicalls that pause and go on while other domains work, frames change hands and guests are destroyed.
//! What may be mapped of another domain is kept strictly: a mapping that was undone is permitted no longer, in no cache either. And
//! whatever frame a domain gets is zero.

use abi::domid::{IO, SELF};
use abi::grant::*;
use abi::hypercall::{GRANT_TABLE_OP, MEMORY_OP, MULTICALL};
use abi::memory::{Exchange, OP_DECREASE_RESERVATION, OP_EXCHANGE, OP_POPULATE_PHYSMAP, Reservation};
use abi::mmu::*;
use abi::multicall::MulticallEntry;
use core::sync::atomic::Ordering::Relaxed;
use domus_hv_core::call::Outcome;
use domus_hv_core::fake::WINDOW;
use domus_hv_core::fake::kit::{Guest, Kit, RO, RW, entry, slot};
use domus_hv_core::hypercalls::{Table, grant_table_op, memory_op, multicall};
use domus_hv_core::ids::{DomId, Mfn, VcpuRef};
use domus_hv_core::lifecycle::{self, Limits, Progress};
use domus_hv_core::machine::Machine;
use domus_hv_core::mm::base;
use domus_hv_core::{fake::FakeMachine, grants};
use proptest::prelude::*;
use proptest::test_runner::Config;
use zerocopy::{FromBytes, IntoBytes};

const PAGES: usize = 16;
const RAM: usize = 320;
const DOMAINS: usize = 3;
const VCPUS: u32 = 2;
/// Device memory that domain 0 may map.
const DEVICE: u64 = RAM as u64 + 1;
/// Grants of each domain that are used.
const GRANTS: u32 = 6;
const LIMITS: Limits = Limits { vcpus: VCPUS, frames: PAGES as u64 + 2, event_channels: 63, grant_frames: 1, maptrack_frames: 1 };

/// One element of a batch.
#[derive(Clone, Copy, Debug)]
struct One {
    page: usize,
    of: usize,
    reference: u32,
    write: bool,
    by_entry: bool,
    which: usize,
}

#[derive(Clone, Debug)]
enum Op {
    Update { page: usize, target: usize, write: bool, flush: u64 },
    Foreign { page: usize, of: usize, target: usize, write: bool },
    Device { page: usize, write: bool },
    Pin { cmd: u32, target: usize },
    Unpin { target: usize },
    Touch { page: usize, write: bool },
    Decrease { target: usize },
    Populate,
    Grant { reference: u32, to: usize, target: usize, read_only: bool },
    Map { ones: Vec<One>, multi: bool },
    Unmap { ones: Vec<One>, multi: bool },
    Copy { ones: Vec<One>, multi: bool },
    Exchange { of: usize, targets: Vec<usize>, orders: (u32, u32), unmap: bool, multi: bool },
    GoOn { which: usize },
    Base { cmd: u32, target: usize },
    Interrupts { every: u32 },
    Cpu { cpu: usize },
    Destroy { of: usize, slices: usize },
    Renew { of: usize },
}

fn one() -> impl Strategy<Value = One> {
    (0usize..24, 0usize..DOMAINS, 0..GRANTS, any::<bool>(), any::<bool>(), 0usize..8)
        .prop_map(|(page, of, reference, write, by_entry, which)| One { page: page + PAGES, of, reference, write, by_entry, which })
}

fn ones() -> impl Strategy<Value = Vec<One>> {
    prop_oneof![4 => prop::collection::vec(one(), 1..6), 1 => prop::collection::vec(one(), 33..70)]
}

fn op() -> impl Strategy<Value = Op> {
    let page = || prop_oneof![1 => 0..PAGES, 1 => PAGES..PAGES + 24];
    let target = || 0usize..PAGES;
    let multi = any::<bool>;
    prop_oneof![
        5 => (page(), target(), any::<bool>(), 0u64..8).prop_map(|(page, target, write, flush)| Op::Update { page, target, write, flush }),
        2 => (page(), 0usize..DOMAINS, target(), any::<bool>()).prop_map(|(page, of, target, write)| Op::Foreign { page, of, target, write }),
        1 => (page(), any::<bool>()).prop_map(|(page, write)| Op::Device { page, write }),
        2 => (EXT_PIN_L1_TABLE..=EXT_PIN_L4_TABLE, target()).prop_map(|(cmd, target)| Op::Pin { cmd, target }),
        2 => target().prop_map(|target| Op::Unpin { target }),
        8 => (page(), any::<bool>()).prop_map(|(page, write)| Op::Touch { page, write }),
        2 => target().prop_map(|target| Op::Decrease { target }),
        2 => Just(Op::Populate),
        4 => (0..GRANTS, 0usize..DOMAINS, target(), prop::bool::weighted(0.2))
            .prop_map(|(reference, to, target, read_only)| Op::Grant { reference, to, target, read_only }),
        8 => (ones(), multi()).prop_map(|(ones, multi)| Op::Map { ones, multi }),
        7 => (ones(), multi()).prop_map(|(ones, multi)| Op::Unmap { ones, multi }),
        3 => (ones(), multi()).prop_map(|(ones, multi)| Op::Copy { ones, multi }),
        8 => (0usize..DOMAINS, prop::collection::vec(target(), 1..9), (0u32..3, 0u32..3), prop::bool::weighted(0.9), multi())
            .prop_map(|(of, targets, orders, unmap, multi)| Op::Exchange { of, targets, orders, unmap, multi }),
        6 => (0usize..4).prop_map(|which| Op::GoOn { which }),
        1 => (prop_oneof![Just(EXT_NEW_BASEPTR), Just(EXT_NEW_USER_BASEPTR)], target()).prop_map(|(cmd, target)| Op::Base { cmd, target }),
        1 => (0u32..4).prop_map(|every| Op::Interrupts { every }),
        3 => (0usize..2).prop_map(|cpu| Op::Cpu { cpu }),
        1 => (1usize..DOMAINS, 1usize..40).prop_map(|(of, slices)| Op::Destroy { of, slices }),
        3 => (1usize..DOMAINS).prop_map(|of| Op::Renew { of }),
    ]
}

/// A mapping of a grant that was made and not undone.
#[derive(Clone, Copy, Debug)]
struct Mapped {
    who: usize,
    handle: u32,
    page: usize,
    by_entry: bool,
    granter: usize,
    frame: Mfn,
}

#[derive(Clone, Debug)]
enum Kind {
    Map,
    Unmap,
    Copy,
    Exchange,
}

/// A call that paused.
#[derive(Clone, Debug)]
struct Batch {
    who: usize,
    cpu: usize,
    number: u64,
    args: [u64; 5],
    kind: Kind,
    ones: Vec<One>,
    /// How many elements were seen to be done.
    seen: usize,
}

struct World {
    kit: Kit,
    guests: [Option<Guest>; DOMAINS],
    mapped: Vec<Mapped>,
    foreign: Vec<Mfn>,
    /// One a CPU, as a vCPU has one call at a time; of each domain.
    batches: Vec<Batch>,
}

fn flags(write: bool) -> u64 {
    if write { RW } else { RO }
}

fn va(page: usize) -> u64 {
    (page as u64) << 12
}

/// Where the arguments of a call of a vCPU lie in the window, a quarter page below which the kit has its own.
fn region(who: usize, cpu: usize) -> usize {
    0x2000 * (1 + 2 * who + cpu)
}

const UNDONE: i16 = 77;

impl World {
    fn new() -> World {
        let mut kit = Kit::with_hole(RAM, 4);
        kit.set_cpus(2);
        let first = kit.guest(0, PAGES, 4);
        kit.privilege(0);
        grants::init(&mut kit.hv, 0, 1, 1).expect("memory");
        kit.hv.frames.devices.permit(0, DEVICE, DEVICE + 1).expect("room");
        kit.run_on(1, 0);
        kit.run_on(0, 0);
        let mut world = World { kit, guests: [Some(first), None, None], mapped: Vec::new(), foreign: Vec::new(), batches: Vec::new() };
        world.grant_some(0);
        world.renew(1);
        world.renew(2);
        world
    }

    fn renew(&mut self, of: usize) {
        let (hv, id) = (&mut self.kit.hv, of as DomId);
        if self.guests[of].is_some() || lifecycle::create(hv, Some(id), &LIMITS, [of as u8; 16]).is_err() {
            return;
        }
        let frames: Vec<Mfn> = (0..PAGES).filter_map(|_| hv.frames.allocate_for(&hv.machine, id).ok()).collect();
        if frames.len() < PAGES {
            while lifecycle::destroy(hv, id) == Ok(Progress::More) {}
            return;
        }
        for level in 0..3 {
            hv.machine.word(frames[level], 0).store(entry(frames[level + 1], RW), Relaxed);
        }
        for (index, &mfn) in frames.iter().enumerate() {
            hv.machine.word(frames[3], index).store(entry(mfn, flags(index >= 4)), Relaxed);
        }
        let every = hv.machine.interrupt_every.replace(0);
        for vcpu in 0..VCPUS as u16 {
            base::set_tables(hv, VcpuRef { domain: id, vcpu }, frames[0], Mfn::NONE).expect("the tables are valid");
            hv.vcpu_mut(VcpuRef { domain: id, vcpu }).expect("it has some").initialised = true;
        }
        hv.machine.interrupt_every.set(every);
        self.guests[of] = Some(Guest { id, frames });
        self.grant_some(of);
    }

    /// Each domain is granted two frames of each.
    fn grant_some(&self, of: usize) {
        for reference in 0..GRANTS {
            self.grant(of, reference, reference as usize % DOMAINS, 6 + reference as usize, false);
        }
    }

    /// The guest writes an entry, also while the grant is in use.
    fn grant(&self, of: usize, reference: u32, to: usize, target: usize, read_only: bool) {
        let Some(table) = self.kit.hv.domain(of as DomId).and_then(|domain| domain.grants.frame(0)) else { return };
        let word = self.kit.hv.machine.word(table, reference as usize);
        let marks = word.load(Relaxed) & u64::from(GTF_READING | GTF_WRITING);
        let kind = GTF_PERMIT_ACCESS | if read_only { GTF_READONLY } else { 0 };
        word.store(u64::from(kind) | marks | (to as u64) << 16 | self.frame(of, target).0 << 32, Relaxed);
    }

    fn frame(&self, who: usize, index: usize) -> Mfn {
        self.guests[who].as_ref().map_or(Mfn::NONE, |guest| guest.frames[index])
    }

    fn host_address(&self, who: usize, page: usize, by_entry: bool) -> u64 {
        if by_entry { slot(self.frame(who, 3), page) } else { va(page) }
    }

    fn cpu(&self) -> usize {
        self.kit.hv.machine.cpu.get()
    }

    /// Notes frames that a guest got, which must be zero, in place of those that it has no more.
    fn renumber(&mut self, of: usize) {
        let id = of as DomId;
        let Some(guest) = self.guests[of].as_mut() else { return };
        let frames = &self.kit.hv.frames;
        let mut new: Vec<Mfn> = frames.lists_for_check(id).allocated;
        new.retain(|mfn| !guest.frames.contains(mfn));
        let lost = |mfn: &Mfn| !frames.get(*mfn).is_some_and(|frame| frame.belongs_to(id) && frame.allocated());
        for place in guest.frames.iter_mut().filter(|mfn| lost(mfn)) {
            let Some(mfn) = new.pop() else { return };
            *place = mfn;
        }
    }

    fn allocated(&self, of: usize) -> Vec<Mfn> {
        self.kit.hv.frames.lists_for_check(of as DomId).allocated
    }

    fn assert_new_are_zero(&self, of: usize, before: &[Mfn]) {
        for mfn in self.allocated(of).into_iter().filter(|mfn| !before.contains(mfn)) {
            assert!((0..512).all(|index| self.kit.hv.machine.word(mfn, index).load(Relaxed) == 0), "{mfn:?} came with what was in it");
        }
    }

    fn run(&mut self, who: usize, op: &Op) {
        let id = who as DomId;
        match *op {
            Op::Interrupts { every } => return self.kit.hv.machine.interrupt_every.set(if every == 1 { 2 } else { every }),
            Op::Cpu { cpu } => return self.kit.hv.machine.cpu.set(cpu),
            Op::Renew { of } => return self.renew(of),
            Op::Destroy { of, slices } => return self.destroy(of, slices),
            Op::GoOn { which } => {
                if which < self.batches.len() {
                    let batch = self.batches.remove(which);
                    self.kit.hv.machine.cpu.set(batch.cpu);
                    self.slice(batch);
                }
                return;
            }
            _ => {}
        }
        if self.guests[who].is_none() {
            return;
        }
        let cpu = self.cpu();
        self.kit.run_on(cpu, id);
        let busy = self.batches.iter().any(|batch| (batch.who, batch.cpu) == (who, cpu));
        match op.clone() {
            Op::Update { page, target, write, flush } => {
                let value = if target == 3 { 0 } else { entry(self.frame(who, target), flags(write)) };
                self.kit.update_va(id, va(page), value, flush);
            }
            Op::Foreign { page, of, target, write } => {
                let mfn = self.frame(of, target);
                let result = self.kit.mmu_update_for(id, &[(slot(self.frame(who, 3), page), entry(mfn, flags(write)))], of as u64);
                assert!(result != 0 || who == 0 || who == of, "a guest names another's frames");
                if result == 0 && who != of {
                    self.foreign.push(mfn);
                }
            }
            Op::Device { page, write } => {
                let request = (slot(self.frame(who, 3), page), entry(Mfn(DEVICE), flags(write)));
                assert!(self.kit.mmu_update_for(id, &[request], IO.into()) != 0 || who == 0);
            }
            Op::Pin { cmd, target } => {
                self.kit.ext(id, cmd, self.frame(who, target).0, 0);
            }
            Op::Unpin { target } => {
                self.kit.ext(id, EXT_UNPIN_TABLE, self.frame(who, target).0, 0);
            }
            Op::Base { cmd, target } => {
                self.kit.ext(id, cmd, self.frame(who, target).0, 0);
            }
            Op::Touch { page, write } => self.touch(page, write),
            Op::Decrease { target } => {
                self.kit.reservation(id, OP_DECREASE_RESERVATION, SELF, 0, &[self.frame(who, target).0]);
            }
            Op::Populate => {
                let before = self.allocated(who);
                self.kit.reservation(id, OP_POPULATE_PHYSMAP, SELF, 0, &[3]);
                self.assert_new_are_zero(who, &before);
                self.renumber(who);
            }
            Op::Grant { reference, to, target, read_only } => self.grant(who, reference, to, target, read_only),
            Op::Map { ones, multi } if !busy => self.map(who, ones, multi),
            Op::Unmap { ones, multi } if !busy => self.unmap(who, ones, multi),
            Op::Copy { ones, multi } if !busy => self.copy(who, ones, multi),
            Op::Exchange { of, targets, orders, unmap, multi } if !busy && self.guests[of].is_some() => {
                self.exchange(who, of, &targets, orders, unmap, multi);
            }
            _ => {}
        }
    }

    /// The guest that runs reaches for a page, and its processor remembers where it lies.
    fn touch(&self, page: usize, write: bool) {
        let machine = &self.kit.hv.machine;
        let _ = if write { machine.guest_write(va(page) + 8 * 511, 0x5ec2e7).map(|()| 0) } else { machine.guest_read(va(page)) };
    }

    fn begin(&mut self, who: usize, number: u64, args: [u64; 5], kind: Kind, ones: Vec<One>, multi: bool) {
        let cpu = self.cpu();
        let (number, args) = if multi {
            let at = region(who, cpu) + 0x1f00;
            let [a, b, c, d, e] = args;
            let entries = [MulticallEntry { op: number, result: 0, args: [a, b, c, d, e, 0] }; 1];
            self.kit.hv.machine.put(at, entries.as_bytes());
            (MULTICALL, [WINDOW + at as u64, 1, 0, 0, 0])
        } else {
            (number, args)
        };
        self.slice(Batch { who, cpu, number, args, kind, ones, seen: 0 });
    }

    /// A slice of a call, and what it did so far.
    fn slice(&mut self, mut batch: Batch) {
        if self.guests[batch.who].is_none() {
            return;
        }
        let handler = match batch.number {
            MULTICALL => multicall::handler::<FakeMachine>,
            MEMORY_OP => memory_op::handler,
            _ => grant_table_op::handler,
        };
        debug_assert!(Table::<FakeMachine>::ROWS.iter().any(|row| row.number == batch.number));
        let before: [Vec<Mfn>; DOMAINS] = core::array::from_fn(|of| self.allocated(of));
        let outcome = self.kit.once(batch.who as DomId, handler, batch.args);
        match batch.kind {
            Kind::Exchange => (0..DOMAINS).for_each(|of| {
                self.assert_new_are_zero(of, &before[of]);
                self.renumber(of);
            }),
            Kind::Map => self.see_maps(&mut batch),
            Kind::Unmap => self.see_unmaps(&mut batch),
            Kind::Copy => {}
        }
        match outcome {
            Outcome::Again(args) => {
                batch.args = args;
                self.batches.push(batch);
            }
            Outcome::Done(result) => {
                let done = batch.seen == batch.ones.len();
                assert!(matches!(batch.kind, Kind::Exchange | Kind::Copy) || result == 0 && done, "{result} {batch:?}");
            }
            other => panic!("it came to {other:?}"),
        }
    }

    fn element<T: FromBytes>(&self, batch: &Batch, index: usize) -> T {
        let bytes = self.kit.hv.machine.take(region(batch.who, batch.cpu) + index * size_of::<T>(), size_of::<T>());
        T::read_from_bytes(&bytes).map_err(|_| ()).expect("its size")
    }

    fn see_maps(&mut self, batch: &mut Batch) {
        while batch.seen < batch.ones.len() {
            let answer: MapGrantRef = self.element(batch, batch.seen);
            if answer.status == UNDONE {
                return;
            }
            let one = batch.ones[batch.seen];
            if answer.status == GNTST_OKAY {
                let frame = Mfn::containing(answer.dev_bus_addr);
                assert!(!self.mapped.iter().any(|mapped| (mapped.who, mapped.handle) == (batch.who, answer.handle)), "a handle twice");
                self.mapped.push(Mapped {
                    who: batch.who,
                    handle: answer.handle,
                    page: one.page,
                    by_entry: one.by_entry,
                    granter: one.of,
                    frame,
                });
            }
            batch.seen += 1;
        }
    }

    fn see_unmaps(&mut self, batch: &mut Batch) {
        while batch.seen < batch.ones.len() {
            let answer: UnmapGrantRef = self.element(batch, batch.seen);
            if answer.status == UNDONE {
                return;
            }
            if answer.status == GNTST_OKAY {
                let before = self.mapped.len();
                self.mapped.retain(|mapped| (mapped.who, mapped.handle) != (batch.who, answer.handle));
                assert_eq!(self.mapped.len() + 1, before, "a mapping that nobody made was undone");
            }
            batch.seen += 1;
        }
    }

    /// Most elements name what is granted to the domain.
    fn reference(&self, who: usize, one: &One) -> u32 {
        if one.which == 0 { one.reference } else { (who + one.reference as usize / 3 * DOMAINS) as u32 }
    }

    fn map(&mut self, who: usize, ones: Vec<One>, multi: bool) {
        let at = region(who, self.cpu());
        for (index, one) in ones.iter().enumerate() {
            let access = if one.write { 0 } else { GNTMAP_READONLY } | if one.by_entry { GNTMAP_CONTAINS_PTE } else { 0 };
            let host_addr = self.host_address(who, one.page, one.by_entry);
            let request = MapGrantRef {
                host_addr,
                flags: GNTMAP_HOST_MAP | access,
                grant_ref: self.reference(who, one),
                dom: one.of as u16,
                status: UNDONE,
                ..Default::default()
            };
            self.kit.hv.machine.put(at + index * size_of::<MapGrantRef>(), request.as_bytes());
        }
        let args = [OP_MAP_GRANT_REF.into(), WINDOW + at as u64, ones.len() as u64, 0, 0];
        self.begin(who, GRANT_TABLE_OP, args, Kind::Map, ones, multi);
    }

    fn unmap(&mut self, who: usize, ones: Vec<One>, multi: bool) {
        let at = region(who, self.cpu());
        (0..PAGES + 24).for_each(|page| self.touch(page, page % 2 == 0));
        let own: Vec<Mapped> = self.mapped.iter().copied().filter(|mapped| mapped.who == who).collect();
        for (index, one) in ones.iter().enumerate() {
            let found = own.get((index + one.which) % own.len().max(1));
            let (handle, mut host_addr) = found
                .map_or((one.which as u32, va(one.page)), |mapped| (mapped.handle, self.host_address(who, mapped.page, mapped.by_entry)));
            if one.which == 7 {
                host_addr = self.host_address(who, one.page, one.by_entry);
            }
            let request = UnmapGrantRef { host_addr, handle, status: UNDONE, ..Default::default() };
            self.kit.hv.machine.put(at + index * size_of::<UnmapGrantRef>(), request.as_bytes());
        }
        let args = [OP_UNMAP_GRANT_REF.into(), WINDOW + at as u64, ones.len() as u64, 0, 0];
        self.begin(who, GRANT_TABLE_OP, args, Kind::Unmap, ones, multi);
    }

    fn copy(&mut self, who: usize, ones: Vec<One>, multi: bool) {
        let at = region(who, self.cpu());
        for (index, one) in ones.iter().enumerate() {
            let granted = CopyPtr { ref_or_frame: self.reference(who, one).into(), domid: one.of as u16, offset: 8, ..Default::default() };
            let other = CopyPtr { ref_or_frame: (who + one.page % 2 * DOMAINS) as u64, domid: (one.which % DOMAINS) as u16, ..granted };
            let own = CopyPtr { ref_or_frame: self.frame(who, one.page % PAGES).0, domid: SELF, ..Default::default() };
            let (source, dest, which) = match (one.write, one.by_entry) {
                (true, true) => (own, granted, GNTCOPY_DEST_GREF),
                (true, false) => (other, granted, GNTCOPY_DEST_GREF | GNTCOPY_SOURCE_GREF),
                (false, _) => (granted, own, GNTCOPY_SOURCE_GREF),
            };
            let request = Copy { source, dest, len: 64, flags: which, status: UNDONE, ..Default::default() };
            self.kit.hv.machine.put(at + index * size_of::<Copy>(), request.as_bytes());
        }
        let args = [OP_COPY.into(), WINDOW + at as u64, ones.len() as u64, 0, 0];
        self.begin(who, GRANT_TABLE_OP, args, Kind::Copy, ones, multi);
    }

    fn exchange(&mut self, who: usize, of: usize, targets: &[usize], orders: (u32, u32), unmap: bool, multi: bool) {
        let id = who as DomId;
        if unmap && who == of {
            for &target in targets.iter().filter(|&&target| target >= 4) {
                // Now and then it is read-only at last, which no type tells of.
                if target % 3 == 0 {
                    let value = entry(self.frame(who, target), RO);
                    self.kit.update_va(id, va(target), value, UVMF_TLB_FLUSH | UVMF_ALL);
                }
                self.touch(target, target % 2 == 0);
                self.touch(target, false);
                self.kit.update_va(id, va(target), 0, 0);
            }
        }
        let at = region(who, self.cpu());
        let order = orders.0.max(orders.1);
        let frames = targets.len() >> order << order;
        let mut given: Vec<u64> = targets[..frames >> orders.0].iter().map(|&target| self.frame(of, target).0).collect();
        if orders.0 != 0 {
            given.iter_mut().for_each(|mfn| *mfn &= !((1 << orders.0) - 1));
        }
        let list = |extent_start: usize, extent_order, count: usize| Reservation {
            extent_start: WINDOW + extent_start as u64,
            nr_extents: count as u64,
            extent_order,
            domid: of as DomId,
            ..Reservation::default()
        };
        let request = Exchange {
            input: list(at + 256, orders.0, given.len()),
            output: list(at + 512, orders.1, frames >> orders.1),
            nr_exchanged: 0,
        };
        self.kit.hv.machine.put(at, request.as_bytes());
        self.kit.hv.machine.put(at + 256, given.as_bytes());
        self.kit.hv.machine.put(at + 512, [7u64; 16].as_bytes());
        self.begin(who, MEMORY_OP, [OP_EXCHANGE.into(), WINDOW + at as u64, 0, 0, 0], Kind::Exchange, Vec::new(), multi);
    }

    fn destroy(&mut self, of: usize, slices: usize) {
        let id = of as DomId;
        // The control domain runs here, and the domain nowhere: what a CPU unloads it forgets.
        for cpu in 0..2 {
            if self.kit.hv.cpus[cpu].current.is_some_and(|who| who.domain == id) {
                self.kit.hv.cpus[cpu].current = None;
                self.kit.hv.machine.roots.borrow_mut()[cpu] = Mfn::NONE;
                self.kit.hv.machine.mmu.flush(cpu);
            }
        }
        let cpu = self.cpu();
        self.kit.run_on(cpu, 0);
        self.guests[of] = None;
        self.batches.retain(|batch| batch.who != of);
        for _ in 0..slices {
            match lifecycle::destroy(&mut self.kit.hv, id) {
                Ok(Progress::More) => self.check(),
                Ok(Progress::HeldByOthers | Progress::Gone) | Err(_) => return,
            }
        }
    }

    fn check(&mut self) {
        let hv = &self.kit.hv;
        // What a dead domain had mapped may be left until its teardown comes to it.
        self.mapped.retain(|mapped| hv.domain(mapped.who as DomId).is_some_and(|domain| domain.grants.mapped() != 0));
        let owns = |of: usize, mfn: Mfn| hv.frames.get(mfn).is_some_and(|frame| frame.belongs_to(of as DomId));
        let mapped =
            self.mapped.iter().filter(|mapped| owns(mapped.granter, mapped.frame)).map(|mapped| (mapped.who as DomId, mapped.frame));
        self.kit.permitted.mappings = mapped.chain(self.foreign.iter().map(|&mfn| (0, mfn))).collect();
        self.kit.check();
        for id in 0..DOMAINS as DomId {
            let wrong = grants::check(&self.kit.hv, id).err();
            assert!(wrong.is_none(), "grants of domain {id}: {wrong:?}");
            let known = self.mapped.iter().filter(|mapped| mapped.who == usize::from(id)).count();
            let dying = self.kit.hv.domain(id).is_none_or(|domain| domain.dying);
            assert!(dying || self.kit.hv.domain(id).is_some_and(|domain| domain.grants.mapped() == known as u32));
        }
    }
}

fn play(ops: &[(usize, Op)]) {
    let mut world = World::new();
    world.check();
    for (who, op) in ops {
        world.run(*who, op);
        world.check();
    }
    world.kit.hv.machine.interrupt_every.set(0);
    for of in [1, 2] {
        world.destroy(of, 1000);
        world.check();
    }
    world.destroy(1, 1000);
    world.check();
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40)
}

proptest! {
    #![proptest_config(Config { cases: cases(), max_shrink_iters: 2000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_is_under_way_the_invariant_holds(ops in prop::collection::vec((0usize..DOMAINS, op()), 1..160)) {
        play(&ops);
    }
}
