//! Two hostile guests and a granting neighbour do whatever comes: after every operation the whole invariant holds.
//!
//! Guests write valid-looking entries into their own memory, ask for every type on every frame, map each other's frames, read and write through
//! what their CPUs remember, map device memory that they are permitted or not, abandon work half-way. Most operations are refused; the check counts everything anew after each.

use abi::memory::{Exchange, OP_DECREASE_RESERVATION, OP_EXCHANGE, OP_POPULATE_PHYSMAP, Reservation};
use abi::mmu::*;
use domus_hv_core::devices::{self, Range};
use domus_hv_core::fake::WINDOW;
use domus_hv_core::fake::kit::{Guest, Kit, RO, RW, entry, slot};
use domus_hv_core::hypercalls::{memory_op, mmuext_op};
use domus_hv_core::ids::{CpuMask, DomId, Mfn, VcpuRef};
use domus_hv_core::machine::Flush;
use domus_hv_core::mm::update::Store;
use domus_hv_core::mm::{Stop, ldt};
use proptest::prelude::*;
use proptest::test_runner::Config;
use zerocopy::IntoBytes;

const PAGES: usize = 14;
const RAM: usize = 48;
/// Frames behind RAM that the frame table has; more lie behind it.
const HOLE: usize = 2;

/// Which frame: one of the guest's own by its number there, one of the other's, or any.
#[derive(Clone, Copy, Debug)]
enum Which {
    Own(usize),
    Others(usize),
    Any(u64),
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Update { table: Which, index: usize, target: Which, flags: u64, command: u64 },
    Clear { table: Which, index: usize },
    UpdateVa { page: u64, target: Which, flags: u64, flush: u64 },
    Pin { cmd: u32, target: Which },
    PinSlice { cmd: u32, target: Which },
    Unpin { target: Which },
    Base { cmd: u32, target: Which },
    CopyOrClear { cmd: u32, to: Which, from: Which },
    Decrease { target: Which },
    Populate,
    Exchange { targets: [Which; 2], adjacent: bool, unmap: bool },
    Ptwr { page: u64, index: u64, target: Which, flags: u64 },
    Write { page: u64, index: u64, target: Which, flags: u64 },
    Read { page: u64 },
    Flush { all: bool },
    Ldt { page: u64, entries: u64 },
    LdtFault { index: usize },
    Descriptor { target: Which, index: usize, value: u64 },
    GrantMap { page: u64, target: usize, write: bool },
    GrantUnmap { page: u64, target: usize, write: bool },
    Device { page: u64, mfn: u64, flags: u64 },
    Permit { first: u64, count: u64 },
    Withdraw { first: u64, count: u64 },
    Interrupts { every: u32 },
    Cpu { cpu: usize },
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        8 => (0..PAGES).prop_map(Which::Own),
        1 => (0..PAGES).prop_map(Which::Others),
        1 => (0..RAM as u64 + 4).prop_map(Which::Any),
    ]
}

fn flags() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => Just(RW),
        6 => Just(RO),
        1 => Just(pte::PRESENT | pte::RW),
        1 => Just(RW | pte::NX | pte::AVAIL),
        1 => Just(RW & !pte::PRESENT),
        1 => (0u64..512).prop_map(|low| low | pte::PRESENT),
        2 => Just(RW | pte::PCD | pte::PWT),
    ]
}

fn index() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0..PAGES, 1 => Just(256usize), 1 => Just(271usize), 1 => Just(511usize)]
}

fn page() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..PAGES as u64, 1 => Just(511u64), 1 => Just(512u64), 1 => Just(0x000f_fff8_0000_0000u64), 1 => 512u64..520]
}

/// A frame of a device, now and then of RAM.
fn device() -> impl Strategy<Value = u64> {
    RAM as u64 - 1..RAM as u64 + 4
}

fn op() -> impl Strategy<Value = Op> {
    let small = || 0..PAGES as u64;
    prop_oneof![
        8 => (which(), index(), which(), flags(), 0u64..4).prop_map(|(table, index, target, flags, command)| Op::Update { table, index, target, flags, command }),
        2 => (which(), index()).prop_map(|(table, index)| Op::Clear { table, index }),
        8 => (page(), which(), flags(), 0u64..8).prop_map(|(page, target, flags, flush)| Op::UpdateVa { page, target, flags, flush }),
        4 => (0u32..4, which()).prop_map(|(cmd, target)| Op::Pin { cmd, target }),
        2 => (0u32..4, which()).prop_map(|(cmd, target)| Op::PinSlice { cmd, target }),
        2 => which().prop_map(|target| Op::Unpin { target }),
        3 => (prop_oneof![Just(EXT_NEW_BASEPTR), Just(EXT_NEW_USER_BASEPTR)], which()).prop_map(|(cmd, target)| Op::Base { cmd, target }),
        1 => (prop_oneof![Just(EXT_CLEAR_PAGE), Just(EXT_COPY_PAGE)], which(), which()).prop_map(|(cmd, to, from)| Op::CopyOrClear { cmd, to, from }),
        2 => which().prop_map(|target| Op::Decrease { target }),
        2 => Just(Op::Populate),
        3 => ([which(), which()], any::<bool>(), any::<bool>()).prop_map(|(targets, adjacent, unmap)| Op::Exchange { targets, adjacent, unmap }),
        4 => (page(), small(), which(), flags()).prop_map(|(page, index, target, flags)| Op::Ptwr { page, index, target, flags }),
        12 => (page(), small(), which(), flags()).prop_map(|(page, index, target, flags)| Op::Write { page, index, target, flags }),
        4 => page().prop_map(|page| Op::Read { page }),
        1 => any::<bool>().prop_map(|all| Op::Flush { all }),
        1 => (page(), 0u64..1200).prop_map(|(page, entries)| Op::Ldt { page, entries }),
        1 => (0usize..3).prop_map(|index| Op::LdtFault { index }),
        1 => (which(), index(), any::<u64>()).prop_map(|(target, index, value)| Op::Descriptor { target, index, value }),
        2 => (page(), 0..PAGES, any::<bool>()).prop_map(|(page, target, write)| Op::GrantMap { page, target, write }),
        2 => (page(), 0..PAGES, any::<bool>()).prop_map(|(page, target, write)| Op::GrantUnmap { page, target, write }),
        4 => (page(), device(), flags()).prop_map(|(page, mfn, flags)| Op::Device { page, mfn, flags }),
        2 => (device(), 1u64..4).prop_map(|(first, count)| Op::Permit { first, count }),
        1 => (device(), 1u64..4).prop_map(|(first, count)| Op::Withdraw { first, count }),
        1 => (0u32..4).prop_map(|every| Op::Interrupts { every }),
        1 => (0usize..2).prop_map(|cpu| Op::Cpu { cpu }),
    ]
}

struct World {
    kit: Kit,
    guests: [Guest; 2],
}

impl World {
    /// Notes a new frame of a guest in place of one that it has no more.
    fn replace_lost(&mut self, who: usize, mfn: Mfn) {
        let id = self.guests[who].id;
        let lost = |mfn: &Mfn| !self.kit.hv.frames.get(*mfn).is_some_and(|frame| frame.belongs_to(id) && frame.allocated());
        if let Some(place) = self.guests[who].frames.iter().position(lost) {
            self.guests[who].frames[place] = mfn;
        }
    }

    /// Exchanges two frames for two others, adjacent or not; tells those that the guest has now.
    fn exchange(&mut self, id: DomId, given: [u64; 2], adjacent: bool) -> Vec<Mfn> {
        let order = u32::from(adjacent);
        let list = |extent_start, nr_extents, extent_order| Reservation {
            extent_start,
            nr_extents,
            extent_order,
            domid: abi::domid::SELF,
            ..Reservation::default()
        };
        let input = list(WINDOW + 128, 2, 0);
        let output = list(WINDOW + 192, 2 >> order, order);
        self.kit.hv.machine.put(0, Exchange { input, output, nr_exchanged: 0 }.as_bytes());
        self.kit.hv.machine.put(128, given.as_bytes());
        self.kit.call(id, memory_op::handler, [OP_EXCHANGE.into(), WINDOW, 0, 0, 0]);
        let word = |offset| u64::from_le_bytes(self.kit.hv.machine.take(offset, 8).try_into().expect("8 bytes"));
        let done = word(64);
        (0..done).map(|index| if adjacent { Mfn(word(192) + index) } else { Mfn(word(192 + 8 * index as usize)) }).collect()
    }

    fn new() -> World {
        let mut kit = Kit::with_hole(RAM, HOLE);
        kit.set_cpus(2);
        let guests = [kit.guest(1, PAGES, 4), kit.guest(2, PAGES, 4)];
        World { kit, guests }
    }

    fn mfn(&self, who: usize, which: Which) -> Mfn {
        match which {
            Which::Own(index) => self.guests[who].frames[index],
            Which::Others(index) => self.guests[1 - who].frames[index],
            Which::Any(mfn) => Mfn(mfn),
        }
    }

    fn root(&self, domain: DomId) -> Mfn {
        Mfn(self.kit.hv.vcpu(VcpuRef { domain, vcpu: self.kit.hv.machine.cpu.get() as u16 }).expect("exists").kernel_table)
    }

    fn run(&mut self, who: usize, op: Op) {
        let id = self.guests[who].id;
        let cpu = self.kit.hv.machine.cpu.get();
        self.kit.run_on(cpu, id);
        let at = |page: u64| {
            if page >> 51 & 1 != 0 { page << 12 | 0xffff << 48 } else { page << 12 }
        };
        match op {
            Op::Update { table, index, target, flags, command } => {
                let request = (slot(self.mfn(who, table), index) | command, entry(self.mfn(who, target), flags));
                self.kit.mmu_update(id, &[request]);
            }
            Op::Clear { table, index } => {
                self.kit.mmu_update(id, &[(slot(self.mfn(who, table), index), 0)]);
            }
            Op::UpdateVa { page, target, flags, flush } => {
                let value = entry(self.mfn(who, target), flags);
                self.kit.update_va(id, at(page), value, flush);
            }
            Op::Pin { cmd, target } => {
                self.kit.ext(id, cmd, self.mfn(who, target).0, 0);
            }
            Op::PinSlice { cmd, target } => {
                let request = MmuextOp { cmd, _pad: 0, arg1: self.mfn(who, target).0, arg2: 0 };
                self.kit.hv.machine.put(0, request.as_bytes());
                let every = self.kit.hv.machine.interrupt_every.replace(1);
                self.kit.once(id, mmuext_op::handler, [WINDOW, 1, 0, abi::domid::SELF.into(), 0]);
                self.kit.hv.machine.interrupt_every.set(every);
            }
            Op::Unpin { target } => {
                self.kit.ext(id, EXT_UNPIN_TABLE, self.mfn(who, target).0, 0);
            }
            Op::Base { cmd, target } => {
                self.kit.ext(id, cmd, self.mfn(who, target).0, 0);
            }
            Op::CopyOrClear { cmd, to, from } => {
                self.kit.ext(id, cmd, self.mfn(who, to).0, self.mfn(who, from).0);
            }
            Op::Decrease { target } => {
                let mfn = self.mfn(who, target).0;
                self.kit.reservation(id, OP_DECREASE_RESERVATION, abi::domid::SELF, 0, &[mfn]);
            }
            Op::Populate => {
                let (done, list) = self.kit.reservation(id, OP_POPULATE_PHYSMAP, abi::domid::SELF, 0, &[3]);
                if done == 1 {
                    self.replace_lost(who, Mfn(list[0]));
                }
            }
            Op::Exchange { targets, adjacent, unmap } => {
                for target in targets {
                    // As likely as not it is mapped at its first place only, and then free to go.
                    if let (true, Which::Own(index)) = (unmap, target) {
                        self.kit.update_va(id, at(index as u64), 0, 0);
                    }
                }
                let given = targets.map(|target| self.mfn(who, target).0);
                for mfn in self.exchange(id, given, adjacent) {
                    self.replace_lost(who, mfn);
                }
            }
            Op::Ptwr { page, index, target, flags } => {
                let value = entry(self.mfn(who, target), flags);
                let root = self.root(id);
                let mut mm = self.kit.hv.mm();
                if let Some(found) = mm.ptwr_begin(root, id, at(page) + index * 8)
                    && mm.ptwr_commit(found, value, id) == Err(Stop::Preempted)
                {
                    let _ = mm.ptwr_commit(found, value, id);
                }
            }
            Op::Write { page, index, target, flags } => {
                let value = entry(self.mfn(who, target), flags);
                let _ = self.kit.hv.machine.guest_write(at(page) + index * 8, value);
            }
            Op::Read { page } => {
                let _ = self.kit.hv.machine.guest_read(at(page));
            }
            Op::Flush { all } => {
                self.kit.ext(id, if all { EXT_TLB_FLUSH_ALL } else { EXT_TLB_FLUSH_LOCAL }, 0, 0);
            }
            Op::Ldt { page, entries } => {
                self.kit.ext(id, EXT_SET_LDT, at(page), entries);
            }
            Op::LdtFault { index } => {
                let _ = ldt::frame(&mut self.kit.hv, VcpuRef { domain: id, vcpu: cpu as u16 }, index);
            }
            Op::Descriptor { target, index, value } => {
                let table = self.mfn(who, target);
                let _ = self.kit.hv.mm().update_descriptor(domus_hv_core::mm::update::Slot { table, index }, value, id);
            }
            Op::GrantMap { page, target, write } => {
                let other = &self.guests[1 - who];
                let mfn = other.frames[target];
                let (owner, root) = (other.id, self.root(id));
                let mut mm = self.kit.hv.mm();
                if mm.get_granted(mfn, owner, write).is_ok() {
                    if mm.map_granted(root, at(page), mfn, write, 0).is_ok() {
                        self.kit.permitted.mappings.push((id, mfn));
                    } else {
                        mm.put_granted(mfn, write);
                    }
                }
            }
            Op::GrantUnmap { page, target, write } => {
                let mfn = self.guests[1 - who].frames[target];
                let root = self.root(id);
                // As the grant code does: only what was granted, and a flush before the grant ends.
                if self.kit.permitted.mappings.contains(&(id, mfn)) && self.kit.hv.mm().unmap_granted(root, at(page), mfn, write).is_ok() {
                    let cpus = self.kit.hv.cpus_of(id);
                    self.kit.hv.flush(CpuMask(cpus.0), Flush::All);
                }
            }
            Op::Device { page, mfn, flags } => {
                let root = self.root(id);
                let mut mm = self.kit.hv.mm();
                if let Some(slot) = mm.walk(root, at(page)) {
                    let _ = mm.update_l1(slot, entry(Mfn(mfn), flags), abi::domid::IO, Store::Replace);
                }
            }
            Op::Permit { first, count } => {
                let range = Range::new(first, count).expect("a few frames");
                let permitted = devices::permit(&mut self.kit.hv, id, range);
                assert_eq!(permitted.is_ok(), first >= RAM as u64, "{first}");
            }
            Op::Withdraw { first, count } => {
                let range = Range::new(first, count).expect("a few frames");
                let _ = devices::withdraw(&mut self.kit.hv, id, range);
            }
            Op::Interrupts { every } => self.kit.hv.machine.interrupt_every.set(if every == 1 { 2 } else { every }),
            Op::Cpu { cpu } => self.kit.hv.machine.cpu.set(cpu),
        }
    }
}

fn play(ops: &[(usize, Op)]) {
    let mut world = World::new();
    world.kit.check();
    for &(who, op) in ops {
        world.run(who, op);
        world.kit.check();
    }
    world.kit.hv.machine.interrupt_every.set(0);
    for who in 0..2 {
        world.kit.destroy(world.guests[who].id);
        world.kit.check();
    }
    let used = world.kit.hv.frames.stats();
    assert_eq!(used.free, RAM as u64 - 1, "both are gone: everything is free");
    assert_eq!(world.kit.hv.frames.devices.iter().count(), 0, "and nobody may map a device");
}

/// A hundred, or as many as PROPTEST_CASES says.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(100)
}

proptest! {
    #![proptest_config(Config { cases: cases(), max_shrink_iters: 4000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_guests_do_the_invariant_holds(ops in prop::collection::vec((0usize..2, op()), 1..160)) {
        play(&ops);
    }
}
