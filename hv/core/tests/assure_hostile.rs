//! Whatever guests ask for, in any order and with any arguments, the hypervisor neither panics nor loops, and what isolates domains from each other
//! still holds.
//!
//! Arguments are not random numbers, which nothing would accept, but drawn from what a hostile guest would try: its own frames and
//! tables, those of others, addresses of every kind, operation numbers, extremes. Structures in memory are filled in the same way.

mod sched_world;

use std::collections::BTreeSet;

use abi::context::CpuUserRegs;
use abi::hypercall::{CONTROL, MMU_UPDATE, PHYSDEV_OP_COMPAT};
use abi::layout::is_canonical;
use abi::trap::{DEBUG, GENERAL_PROTECTION, INVALID_OPCODE, NO_DEVICE, PAGE_FAULT, VECTORS};
use domus_hv_core::call::{Call, Outcome};
use domus_hv_core::fake::kit::{Guest, RO, RW, entry, slot};
use domus_hv_core::fake::{FakeMachine, WINDOW, check::Holder};
use domus_hv_core::frames::PageType;
use domus_hv_core::grants;
use domus_hv_core::hypercalls::{Table, dispatch};
use domus_hv_core::ids::{Mfn, VcpuRef};
use domus_hv_core::sched::Next;
use domus_hv_core::traps::{self, ExceptionInfo};
use sched_world::{HOSTILE, READ_ONLY, UNMAPPED, World, vcpu};
use zerocopy::{FromZeros, IntoBytes};

/// Worlds, each with a fate of its own.
const WORLDS: u64 = 300;
/// What happens in one.
const STEPS: usize = 40;
/// Slices of one hypercall. The longest list that any can be handed fits into the window.
const SLICES: usize = 20_000;
/// Words of the window that are filled before each call: structures, and the lists that they point to.
const WORDS: usize = 96;

/// xorshift64*: the same stories every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

struct Story {
    world: World,
    guests: [Guest; 2],
    random: Random,
    /// Hypercalls that were accepted.
    accepted: BTreeSet<u64>,
}

impl Story {
    fn new(seed: u64) -> Story {
        let mut world = World::new();
        let guests = [world.domain(0, 1), world.domain(1, 2)];
        for id in [0, 1] {
            grants::init(world.hv(), id, 4, 4).expect("RAM");
        }
        world.pass(1_000_000_000);
        for who in [vcpu(0, 0), vcpu(1, 0), vcpu(1, 1)] {
            let state = world.state(who);
            state.traps.iter_mut().for_each(|trap| (trap.address, trap.cs) = (0x5000, 0xe033));
            state.kernel_sp = 8 << 12;
        }
        let mut story = Story { world, guests, random: Random(0x9e37_79b9_7f4a_7c15 ^ seed << 20 | 1), accepted: BTreeSet::new() };
        let every = story.random.of(&[0, 0, 1, 2, 5]);
        story.world.kit.hv.machine.interrupt_every.set(every);
        story
    }

    fn frame(&mut self) -> Mfn {
        let guest = self.random.below(8).min(1);
        let index = self.random.below(self.guests[guest].frames.len());
        self.guests[guest].frames[index]
    }

    /// Something that a guest might pass.
    fn value(&mut self) -> u64 {
        match self.random.below(24) {
            0..6 => self.random.below(8) as u64,
            6 => self.random.below(64) as u64,
            7..11 => WINDOW + 8 * self.random.below(WORDS / 2) as u64,
            11 => self.random.of(&[WINDOW + 1, WINDOW + 0xfff8, WINDOW + 0xffff]),
            12 => (self.random.below(14) as u64) << 12 | self.random.of(&[0, 8, 0xff8, 0xfff, 0x123]),
            13 => self.random.of(&[HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[3], HOSTILE[4], UNMAPPED, READ_ONLY]),
            14 | 15 => self.frame().0,
            16 => slot(self.frame(), self.random.below(16)) | self.random.of(&[0, 0, 1, 2, 3, 4]),
            17 => entry(self.frame(), self.random.of(&[RO, RW, RW | 1 << 7, RW | 1 << 8, 0])),
            18..21 => self.random.of(&[0x7ff0, 0x7ff0, 0x7ff0, 0x7fff, 0x7ff4, 0, 1, 2, 1 << 16]),
            21 => self.random.of(&[u64::MAX, 1 << 63, 1 << 31, u32::MAX.into(), i32::MAX as u64, 1 << 52, 511, 512, 4096]),
            22 => self.random.next(),
            _ => self.random.next() & 0xffff_ffff,
        }
    }

    fn fill_window(&mut self) {
        for index in 0..WORDS {
            let value = match self.random.below(4) {
                // Structures of 32-bit fields.
                0 => self.value() << 32 | self.value() & 0xffff_ffff,
                _ => self.value(),
            };
            self.world.kit.hv.machine.put(index * 8, value.as_bytes());
        }
    }

    /// Who runs now, as the scheduler says; all are woken if nobody would.
    fn scheduled(&mut self) -> Option<VcpuRef> {
        for _ in 0..4 {
            if let Next::Run(who) = self.world.schedule() {
                return Some(who);
            }
            self.world.pass(10_000_000);
            let now = self.world.now();
            self.world.hv().timer_interrupt(0, now);
            for who in [vcpu(0, 0), vcpu(1, 0), vcpu(1, 1)] {
                if self.world.hv().vcpu(who).is_some() {
                    self.world.hv().wake(who);
                }
            }
        }
        None
    }

    fn step(&mut self, who: VcpuRef) {
        self.fill_window();
        let mut regs = self.registers();
        match self.random.below(8) {
            0 => self.exception(who, &mut regs),
            1 => {
                self.with(who, &mut regs, traps::system_call);
            }
            _ => self.hypercall(who, &mut regs),
        }
        let going = self.world.kit.hv.vcpu(who).is_some_and(|vcpu| vcpu.sched.running);
        if going {
            self.with(who, &mut regs, traps::leave);
        }
        assert_eq!((regs.cs & 3, regs.ss & 3), (3, 3), "a guest runs in ring 3");
        assert_eq!(regs.rflags & (3 << 12 | 1 << 17), 0, "without I/O privilege, not in virtual-8086 mode");
    }

    fn registers(&mut self) -> CpuUserRegs {
        let mut regs = CpuUserRegs::new_zeroed();
        for register in [&mut regs.rdi, &mut regs.rsi, &mut regs.rdx, &mut regs.r10, &mut regs.r8, &mut regs.rcx, &mut regs.rbx] {
            *register = self.value();
        }
        regs.rax = self.number();
        regs.rip = Some(self.value()).filter(|&rip| is_canonical(rip)).unwrap_or(0x5000);
        regs.rsp = if self.random.below(4) == 0 { self.value() } else { 0x9ff8 };
        (regs.cs, regs.ss, regs.rflags) = (0xe033, 0xe02b, 0x202 | self.random.next() & 0x4_4dd5);
        regs
    }

    fn number(&mut self) -> u64 {
        let rows = Table::<FakeMachine>::ROWS;
        match self.random.below(16) {
            0 => self.value(),
            // Of all calls, chance makes these succeed most seldom.
            1 => self.random.of(&[MMU_UPDATE, CONTROL]),
            _ => rows[self.random.below(rows.len())].number,
        }
    }

    fn with<R>(&mut self, who: VcpuRef, regs: &mut CpuUserRegs, entry: impl FnOnce(&mut Call<'_, FakeMachine>) -> R) -> R {
        entry(&mut Call { hv: &mut self.world.kit.hv, cpu: 0, who, regs })
    }

    fn exception(&mut self, who: VcpuRef, regs: &mut CpuUserRegs) {
        let vector = match self.random.below(8) {
            0 => self.random.below(VECTORS) as u8,
            _ => self.random.of(&[PAGE_FAULT, PAGE_FAULT, GENERAL_PROTECTION, INVALID_OPCODE, NO_DEVICE, DEBUG]),
        };
        let info =
            ExceptionInfo { vector, error_code: self.random.below(64) as u32, fault_address: self.value(), debug_status: self.value() };
        self.with(who, regs, |call| traps::exception_entry(call, info));
    }

    fn hypercall(&mut self, who: VcpuRef, regs: &mut CpuUserRegs) {
        let number = regs.rax;
        let mut args = [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8];
        for _ in 0..SLICES {
            let mut call = Call { hv: &mut self.world.kit.hv, cpu: 0, who, regs: &mut *regs };
            match dispatch(&mut call, number, args) {
                Outcome::Again(next) => args = next,
                Outcome::Done(..0) | Outcome::Gone => return,
                Outcome::Done(_) | Outcome::Replaced => {
                    self.accepted.insert(number);
                    return;
                }
            }
        }
        panic!("hypercall {number} goes on for ever: {args:x?}");
    }

    /// All domains live, and the machine goes on.
    fn goes_on(&self) -> bool {
        let hv = &self.world.kit.hv;
        let lives = |id| hv.domain(id).is_some_and(|domain| !domain.shut_down && !domain.dying);
        lives(0) && lives(1) && hv.machine_exit.is_none()
    }

    fn check(&mut self) {
        let hv = &self.world.kit.hv;
        let vcpus = hv.domains.iter().flat_map(|domain| domain.vcpus.iter().flatten());
        let registered = vcpus.filter(|vcpu| vcpu.info_registered);
        let held = registered.map(|vcpu| Holder { mfn: Mfn(vcpu.info_mfn), kind: Some(PageType::Writable) });
        self.world.kit.permitted.holders = held.collect();
        // The first domain may map all memory; the other's frames are its own.
        self.world.kit.permitted.mappings = (0..512).map(|mfn| (0, Mfn(mfn))).collect();
        self.world.kit.check();
        for id in [0, 1] {
            domus_hv_core::events::check(&self.world.kit.hv, id).expect("ports");
            grants::check(&self.world.kit.hv, id).expect("grants");
        }
    }
}

#[test]
fn no_guest_can_break_or_stop_the_hypervisor() {
    let (mut steps, mut accepted) = (0, BTreeSet::new());
    for seed in 0..WORLDS {
        let mut story = Story::new(seed);
        for _ in 0..STEPS {
            let Some(who) = story.scheduled() else { break };
            story.step(who);
            story.check();
            steps += 1;
            if !story.goes_on() {
                break;
            }
        }
        accepted.append(&mut story.accepted);
    }
    println!("{steps} steps");
    // The number of its operation lies in memory, where chance does not put one of the two that there are.
    let refused: Vec<_> = Table::<FakeMachine>::ROWS
        .iter()
        .filter(|row| !accepted.contains(&row.number) && row.number != PHYSDEV_OP_COMPAT)
        .map(|row| row.name)
        .collect();
    assert!(refused.is_empty(), "never accepted, so hardly tried: {refused:?}");
}
