//! Domain 0 and two hostile guests with everything that ties domains together: grants, foreign mappings, shared pages, pins by the control
//! domain, registered `vcpu_info`, descriptor tables; and the guests are destroyed and made anew in the middle of it. The whole invariant
//! holds after every step, and what a slice of teardown leaves behind is consistent, too.

use abi::grant::*;
use abi::memory::{OP_DECREASE_RESERVATION, OP_POPULATE_PHYSMAP};
use abi::mmu::*;
use core::sync::atomic::Ordering::Relaxed;
use domus_hv_core::context::vcpu_info;
use domus_hv_core::fake::WINDOW;
use domus_hv_core::fake::check::Holder;
use domus_hv_core::fake::kit::{Guest, Kit, RO, RW, entry, slot};
use domus_hv_core::frames::PageType;
use domus_hv_core::grants;
use domus_hv_core::hypercalls::{grant_table_op, set_gdt, update_va_mapping};
use domus_hv_core::ids::{DomId, Mfn, VcpuRef};
use domus_hv_core::lifecycle::{self, Limits, Progress};
use domus_hv_core::machine::Machine;
use domus_hv_core::mm::base;
use proptest::prelude::*;
use proptest::test_runner::Config;
use zerocopy::IntoBytes;

const PAGES: usize = 12;
const RAM: usize = 260;
const DOMAINS: usize = 3;
const LIMITS: Limits = Limits { vcpus: 1, frames: PAGES as u64 + 3, event_channels: 63, grant_frames: 1, maptrack_frames: 1 };

#[derive(Clone, Copy, Debug)]
enum Op {
    Update {
        page: usize,
        target: usize,
        write: bool,
    },
    Table {
        table: usize,
        index: usize,
        target: usize,
        write: bool,
    },
    MapShared {
        page: usize,
        grant_frame: bool,
        write: bool,
    },
    Foreign {
        page: usize,
        of: usize,
        target: usize,
        write: bool,
        by_va: bool,
    },
    ForeignShared {
        page: usize,
        of: usize,
        grant_frame: bool,
    },
    ForeignPin {
        of: usize,
        cmd: u32,
        target: usize,
    },
    Pin {
        cmd: u32,
        target: usize,
    },
    Unpin {
        target: usize,
    },
    /// To each domain its grant has the domain's number as reference.
    Grant {
        to: usize,
        target: usize,
        flags: u16,
    },
    Revoke {
        to: usize,
    },
    Map {
        page: usize,
        of: usize,
        write: bool,
        by_entry: bool,
    },
    /// One of the mappings made, where it was made or elsewhere.
    Unmap {
        which: usize,
        elsewhere: Option<usize>,
    },
    Copy {
        of: usize,
        target: usize,
        into_grant: bool,
    },
    Info {
        target: usize,
        offset: u32,
    },
    Gdt {
        target: usize,
        entries: u32,
    },
    Base {
        cmd: u32,
        target: usize,
    },
    Decrease {
        target: usize,
    },
    Populate,
    Write {
        page: usize,
        index: usize,
        target: usize,
        write: bool,
    },
    Read {
        page: usize,
    },
    Interrupts {
        every: u32,
    },
    Destroy {
        of: usize,
        slices: usize,
    },
    Renew {
        of: usize,
    },
    Ask,
}

fn op() -> impl Strategy<Value = Op> {
    let page = || 4usize..PAGES + 4;
    let target = || 0usize..PAGES;
    let other = || 0usize..DOMAINS;
    let cmd = || EXT_PIN_L1_TABLE..=EXT_PIN_L4_TABLE;
    prop_oneof![
        4 => (page(), target(), any::<bool>()).prop_map(|(page, target, write)| Op::Update { page, target, write }),
        2 => (0usize..4, target(), target(), any::<bool>()).prop_map(|(table, index, target, write)| Op::Table { table, index, target, write }),
        2 => (page(), any::<bool>(), any::<bool>()).prop_map(|(page, grant_frame, write)| Op::MapShared { page, grant_frame, write }),
        4 => (page(), 1usize..DOMAINS, target(), any::<bool>(), any::<bool>()).prop_map(|(page, of, target, write, by_va)| Op::Foreign { page, of, target, write, by_va }),
        2 => (page(), 1usize..DOMAINS, any::<bool>()).prop_map(|(page, of, grant_frame)| Op::ForeignShared { page, of, grant_frame }),
        2 => (1usize..DOMAINS, cmd(), target()).prop_map(|(of, cmd, target)| Op::ForeignPin { of, cmd, target }),
        2 => (cmd(), target()).prop_map(|(cmd, target)| Op::Pin { cmd, target }),
        1 => target().prop_map(|target| Op::Unpin { target }),
        8 => (other(), target(), prop_oneof![3 => Just(GTF_PERMIT_ACCESS), 1 => Just(GTF_PERMIT_ACCESS | GTF_READONLY)])
            .prop_map(|(to, target, flags)| Op::Grant { to, target, flags }),
        1 => other().prop_map(|to| Op::Revoke { to }),
        12 => (page(), other(), any::<bool>(), any::<bool>()).prop_map(|(page, of, write, by_entry)| Op::Map { page, of, write, by_entry }),
        10 => (0usize..3, prop_oneof![4 => Just(None), 1 => page().prop_map(Some)]).prop_map(|(which, elsewhere)| Op::Unmap { which, elsewhere }),
        3 => (other(), target(), any::<bool>()).prop_map(|(of, target, into_grant)| Op::Copy { of, target, into_grant }),
        1 => (target(), 0u32..65).prop_map(|(target, offset)| Op::Info { target, offset: offset * 64 }),
        1 => (target(), 0u32..600).prop_map(|(target, entries)| Op::Gdt { target, entries }),
        1 => (prop_oneof![Just(EXT_NEW_BASEPTR), Just(EXT_NEW_USER_BASEPTR)], target()).prop_map(|(cmd, target)| Op::Base { cmd, target }),
        2 => target().prop_map(|target| Op::Decrease { target }),
        2 => Just(Op::Populate),
        6 => (page(), target(), target(), any::<bool>()).prop_map(|(page, index, target, write)| Op::Write { page, index, target, write }),
        4 => page().prop_map(|page| Op::Read { page }),
        1 => (0u32..4).prop_map(|every| Op::Interrupts { every }),
        1 => (1usize..DOMAINS, 1usize..40).prop_map(|(of, slices)| Op::Destroy { of, slices }),
        2 => (1usize..DOMAINS).prop_map(|of| Op::Renew { of }),
        1 => Just(Op::Ask),
    ]
}

struct World {
    kit: Kit,
    guests: [Option<Guest>; DOMAINS],
    mapped: Vec<Mapped>,
}

/// A grant that a domain mapped, as it knows it.
#[derive(Clone, Copy)]
struct Mapped {
    who: usize,
    page: usize,
    handle: u32,
    by_entry: bool,
}

fn vcpu(id: DomId) -> VcpuRef {
    VcpuRef { domain: id, vcpu: 0 }
}

fn flags(write: bool) -> u64 {
    if write { RW } else { RO }
}

impl World {
    fn new() -> World {
        let mut kit = Kit::new(RAM);
        let first = kit.guest(0, PAGES, 4);
        kit.privilege(0);
        grants::init(&mut kit.hv, 0, 1, 1).expect("memory");
        kit.run(0);
        let mut world = World { kit, guests: [Some(first), None, None], mapped: Vec::new() };
        world.renew(1);
        world.renew(2);
        world
    }

    /// A guest as the control domain makes one, with the tables of the kit.
    fn renew(&mut self, of: usize) {
        let (hv, id) = (&mut self.kit.hv, of as DomId);
        if self.guests[of].is_some() || lifecycle::create(hv, Some(id), &LIMITS, [of as u8; 16]).is_err() {
            return;
        }
        let frames: Vec<Mfn> = (0..PAGES).map(|_| hv.frames.allocate_for(&hv.machine, id).expect("RAM for a guest")).collect();
        for level in 0..3 {
            hv.machine.word(frames[level], 0).store(entry(frames[level + 1], RW), Relaxed);
        }
        for (index, &mfn) in frames.iter().enumerate() {
            hv.machine.word(frames[3], index).store(entry(mfn, flags(index >= 4)), Relaxed);
        }
        let every = hv.machine.interrupt_every.replace(0);
        base::set_tables(hv, vcpu(id), frames[0], Mfn::NONE).expect("the tables are valid");
        hv.machine.interrupt_every.set(every);
        hv.vcpu_mut(vcpu(id)).expect("it has one").initialised = true;
        self.guests[of] = Some(Guest { id, frames });
    }

    fn frame(&self, who: usize, index: usize) -> Mfn {
        self.guests[who].as_ref().map_or(Mfn::NONE, |guest| guest.frames[index])
    }

    fn l1_slot(&self, who: usize, page: usize) -> u64 {
        slot(self.frame(who, 3), page)
    }

    fn shared(&self, of: usize, grant_frame: bool) -> Mfn {
        let Some(domain) = self.kit.hv.domain(of as DomId) else { return Mfn::NONE };
        if grant_frame { domain.grants.frame(0).unwrap_or(Mfn::NONE) } else { Mfn(domain.shared_info) }
    }

    fn permit(&mut self, who: usize, mfn: Mfn) {
        self.kit.permitted.mappings.push((who as DomId, mfn));
    }

    fn grant_op<T: IntoBytes + zerocopy::Immutable>(&mut self, who: usize, op: u32, request: &T) -> Vec<u8> {
        self.kit.hv.machine.put(0, request.as_bytes());
        assert_eq!(self.kit.call(who as DomId, grant_table_op::handler, [op.into(), WINDOW, 1, 0, 0]), 0);
        self.kit.hv.machine.take(0, size_of::<T>())
    }

    fn run(&mut self, who: usize, op: Op) {
        let id = who as DomId;
        match op {
            Op::Interrupts { every } => return self.kit.hv.machine.interrupt_every.set(if every == 1 { 2 } else { every }),
            Op::Renew { of } => {
                self.kit.run(0);
                return self.renew(of);
            }
            Op::Destroy { of, slices } => return self.destroy(of, slices),
            Op::Ask => {
                lifecycle::reap(&mut self.kit.hv);
                for from in 0..DOMAINS as u32 {
                    let _ = lifecycle::domain_info(&self.kit.hv, from);
                }
                let _ = lifecycle::machine_info(&self.kit.hv);
                return;
            }
            _ => {}
        }
        if self.guests[who].is_none() {
            return;
        }
        self.kit.run(id);
        let va = |page: usize| (page as u64) << 12;
        match op {
            Op::Update { page, target, write } => {
                let value = entry(self.frame(who, target), flags(write));
                self.kit.update_va(id, va(page), value, 0);
            }
            Op::Table { table, index, target, write } => {
                let request = (slot(self.frame(who, table), index), entry(self.frame(who, target), flags(write)));
                self.kit.mmu_update(id, &[request]);
            }
            Op::MapShared { page, grant_frame, write } => {
                let value = entry(self.shared(who, grant_frame), flags(write));
                self.kit.update_va(id, va(page), value, 0);
            }
            Op::Foreign { page, of, target, write, by_va } => {
                let mfn = self.frame(of, target);
                let value = entry(mfn, flags(write));
                let result = if by_va {
                    self.kit.call(id, update_va_mapping::handler_other, [va(page), value, 0, of as u64, 0])
                } else {
                    let request = (self.l1_slot(who, page), value);
                    self.kit.mmu_update_for(id, &[request], of as u64)
                };
                assert!(result != 0 || id == 0 || who == of, "a guest names another's frames");
                if result == 0 {
                    self.permit(who, mfn);
                }
            }
            Op::ForeignShared { page, of, grant_frame } => {
                let mfn = self.shared(of, grant_frame);
                let request = (self.l1_slot(who, page), entry(mfn, RW));
                if self.kit.mmu_update_for(id, &[request], of as u64) == 0 {
                    assert!(id == 0 || who == of);
                    self.permit(who, mfn);
                }
            }
            Op::ForeignPin { of, cmd, target } => {
                let mfn = self.frame(of, target).0;
                let result = self.kit.ext_for(id, cmd, mfn, 0, of as u64);
                assert!(result != 0 || id == 0 || who == of);
            }
            Op::Pin { cmd, target } => {
                let mfn = self.frame(who, target).0;
                self.kit.ext(id, cmd, mfn, 0);
            }
            Op::Unpin { target } => {
                let mfn = self.frame(who, target).0;
                self.kit.ext(id, EXT_UNPIN_TABLE, mfn, 0);
            }
            Op::Grant { to, target, flags } => {
                let table = self.shared(who, true);
                let marks = self.kit.hv.machine.word(table, to).load(Relaxed) & u64::from(GTF_READING | GTF_WRITING);
                // The guest owns its table: it may do this while the grant is in use.
                let value = u64::from(flags) | marks | (to as u64) << 16 | self.frame(who, target).0 << 32;
                self.kit.hv.machine.word(table, to).store(value, Relaxed);
            }
            Op::Revoke { to } => {
                let table = self.shared(who, true);
                let word = self.kit.hv.machine.word(table, to);
                if word.load(Relaxed) & u64::from(GTF_READING | GTF_WRITING) == 0 {
                    word.store(0, Relaxed);
                }
            }
            Op::Map { page, of, write, by_entry } => {
                let host_addr = if by_entry { self.l1_slot(who, page) } else { va(page) };
                let access = if write { 0 } else { GNTMAP_READONLY } | if by_entry { GNTMAP_CONTAINS_PTE } else { 0 };
                let request =
                    MapGrantRef { host_addr, flags: GNTMAP_HOST_MAP | access, grant_ref: who as u32, dom: of as u16, ..Default::default() };
                let answer = self.grant_op(who, OP_MAP_GRANT_REF, &request);
                let answer = <MapGrantRef as zerocopy::FromBytes>::read_from_bytes(&answer).expect("its size");
                if answer.status == GNTST_OKAY {
                    self.permit(who, Mfn::containing(answer.dev_bus_addr));
                    self.mapped.push(Mapped { who, page, handle: answer.handle, by_entry });
                }
            }
            Op::Unmap { which, elsewhere } => {
                let mut own = self.mapped.iter().filter(|mapped| mapped.who == who);
                let Some(&Mapped { page, handle, by_entry, .. }) = own.nth(which) else { return };
                let page = elsewhere.unwrap_or(page);
                let host_addr = if by_entry { self.l1_slot(who, page) } else { va(page) };
                let answer = self.grant_op(who, OP_UNMAP_GRANT_REF, &UnmapGrantRef { host_addr, handle, ..Default::default() });
                let answer = <UnmapGrantRef as zerocopy::FromBytes>::read_from_bytes(&answer).expect("its size");
                if answer.status == GNTST_OKAY {
                    self.mapped.retain(|mapped| (mapped.who, mapped.handle) != (who, handle));
                }
            }
            Op::Copy { of, target, into_grant } => {
                let own = CopyPtr { ref_or_frame: self.frame(who, target).0, domid: abi::domid::SELF, ..Default::default() };
                let granted = CopyPtr { ref_or_frame: who as u64, domid: of as u16, offset: 8, ..Default::default() };
                let (source, dest, which) =
                    if into_grant { (own, granted, GNTCOPY_DEST_GREF) } else { (granted, own, GNTCOPY_SOURCE_GREF) };
                self.grant_op(who, OP_COPY, &Copy { source, dest, len: 64, flags: which, ..Default::default() });
            }
            Op::Info { target, offset } => {
                let mfn = self.frame(who, target);
                let _ = vcpu_info::register(&mut self.kit.hv, vcpu(id), mfn, offset);
            }
            Op::Gdt { target, entries } => {
                let list = [self.frame(who, target).0, self.frame(who, (target + 1) % PAGES).0];
                let count = (entries as usize).div_ceil(512);
                let _ = set_gdt::set(&mut self.kit.hv, vcpu(id), &list[..count], entries);
            }
            Op::Base { cmd, target } => {
                let mfn = self.frame(who, target).0;
                self.kit.ext(id, cmd, mfn, 0);
            }
            Op::Decrease { target } => {
                let mfn = self.frame(who, target).0;
                self.kit.reservation(id, OP_DECREASE_RESERVATION, abi::domid::SELF, 0, &[mfn]);
            }
            Op::Populate => self.populate(who),
            Op::Write { page, index, target, write } => {
                let value = entry(self.frame(who, target), flags(write));
                let _ = self.kit.hv.machine.guest_write(va(page) + index as u64 * 8, value);
            }
            Op::Read { page } => {
                let _ = self.kit.hv.machine.guest_read(va(page));
            }
            Op::Interrupts { .. } | Op::Destroy { .. } | Op::Renew { .. } | Op::Ask => {}
        }
    }

    fn populate(&mut self, who: usize) {
        let id = who as DomId;
        let (done, list) = self.kit.reservation(id, OP_POPULATE_PHYSMAP, abi::domid::SELF, 0, &[3]);
        let Some(guest) = self.guests[who].as_mut().filter(|_| done == 1) else { return };
        let lost = |mfn: &Mfn| !self.kit.hv.frames.get(*mfn).is_some_and(|frame| frame.belongs_to(id) && frame.allocated());
        if let Some(place) = guest.frames.iter().position(lost) {
            guest.frames[place] = Mfn(list[0]);
        }
    }

    fn destroy(&mut self, of: usize, slices: usize) {
        // The control domain runs; nobody else does.
        self.kit.run(0);
        self.guests[of] = None;
        self.mapped.retain(|mapped| mapped.who != of);
        for _ in 0..slices {
            match lifecycle::destroy(&mut self.kit.hv, of as DomId) {
                Ok(Progress::More) => self.check(),
                Ok(Progress::HeldByOthers | Progress::Gone) | Err(_) => return,
            }
        }
    }

    fn check(&mut self) {
        let registered = self.kit.hv.domains.iter().flat_map(|domain| domain.vcpus.iter().flatten()).filter(|vcpu| vcpu.info_registered);
        self.kit.permitted.holders = registered.map(|vcpu| Holder { mfn: Mfn(vcpu.info_mfn), kind: Some(PageType::Writable) }).collect();
        self.kit.check();
        for id in 0..DOMAINS as DomId {
            let wrong = grants::check(&self.kit.hv, id).err();
            // A granter that takes the marks out of its own table deceives itself alone.
            assert!(wrong.is_none_or(|wrong| wrong.contains("is not marked")), "grants of domain {id}: {wrong:?}");
        }
    }
}

fn play(ops: &[(usize, Op)]) {
    let mut world = World::new();
    world.check();
    for &(who, op) in ops {
        world.run(who, op);
        world.check();
    }
    world.kit.hv.machine.interrupt_every.set(0);
    world.destroy(1, 1000);
    world.check();
    world.destroy(2, 1000);
    world.check();
    // Domain 0 lets go of what it maps of them, as far as it reaches its tables still.
    world.kit.run(0);
    for page in 0..512 {
        world.kit.update_va(0, page << 12, 0, 0);
    }
    lifecycle::reap(&mut world.kit.hv);
    world.check();
    let named = named_by_first(&world);
    for id in 1..DOMAINS as DomId {
        let held = world.kit.hv.frames.of(id).total != 0;
        let stays = world.kit.hv.domain(id).is_some_and(|domain| domain.grants.in_use() == 0 && !held);
        assert!(!stays, "domain {id} stays although nobody holds anything of it");
        for mfn in frames_of(&world, id) {
            assert!(named.contains(&mfn), "{mfn:?} of the dead domain {id} is left, and nobody maps it");
        }
    }
}

fn frames_of(world: &World, id: DomId) -> Vec<Mfn> {
    let frames = &world.kit.hv.frames;
    let own = |mfn: &Mfn| frames.get(*mfn).is_some_and(|frame| frame.belongs_to(id) && !frame.shared());
    (0..frames.stats().end).map(Mfn).filter(own).collect()
}

/// The frames that the L1 tables of domain 0 name, reachable or not.
fn named_by_first(world: &World) -> Vec<Mfn> {
    let hv = &world.kit.hv;
    let tables = frames_of(world, 0).into_iter().filter(|&mfn| hv.frames.get(mfn).is_some_and(|frame| frame.usage().is(PageType::L1)));
    let entries = tables.flat_map(|table| (0..512).map(move |index| hv.machine.word(table, index).load(Relaxed)));
    entries.filter(|entry| entry & pte::PRESENT != 0).map(|entry| Mfn((entry & pte::ADDR_MASK) >> 12)).collect()
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60)
}

proptest! {
    #![proptest_config(Config { cases: cases(), max_shrink_iters: 2000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_domains_do_to_each_other_the_invariant_holds(ops in prop::collection::vec((0usize..DOMAINS, op()), 1..160)) {
        play(&ops);
    }
}
