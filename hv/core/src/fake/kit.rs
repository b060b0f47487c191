//! A hypervisor on the machine of the host, and domains to play guests on it.
//!
//! A guest of the kit has its first frames as tables, L4, L3, L2, L1, and all of its frames mapped in a row from linear address 0: the page
//! at `i << 12` is its frame `i`, writable unless it is a table. (512 frames at most.)

use core::sync::atomic::Ordering::Relaxed;
use std::boxed::Box;
use std::vec::Vec;

use abi::context::CpuUserRegs;
use abi::memory::Reservation;
use abi::mmu::{MmuUpdate, MmuextOp, pte};
use zerocopy::{FromZeros, IntoBytes};

use super::check::{Permitted, check};
use super::machine::{FakeMachine, WINDOW};
use crate::call::{Call, Outcome};
use crate::domain::Domain;
use crate::frames::{Frame, Frames};
use crate::hypercalls::{Handler, memory_op, mmu_update, mmuext_op, update_va_mapping};
use crate::hypervisor::Hypervisor;
use crate::ids::{CpuId, CpuMask, DomId, MAX_CPUS, MAX_VCPUS, Mfn, VcpuRef};
use crate::machine::Machine;
use crate::mm::base;
use crate::vcpu::Vcpu;

/// A present, accessed, dirty entry for a guest's own use.
pub const RW: u64 = pte::PRESENT | pte::RW | pte::USER | pte::ACCESSED | pte::DIRTY;
/// The same, read-only.
pub const RO: u64 = pte::PRESENT | pte::USER | pte::ACCESSED | pte::DIRTY;

/// An entry.
pub fn entry(mfn: Mfn, flags: u64) -> u64 {
    mfn.address() | flags
}

/// The machine address of an entry of a table.
pub fn slot(table: Mfn, index: usize) -> u64 {
    table.address() + index as u64 * 8
}

/// A guest of the kit.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its number.
    pub id: DomId,
    /// Its frames, the tables first.
    pub frames: Vec<Mfn>,
}

impl Guest {
    /// Its top-level table.
    pub fn l4(&self) -> Mfn {
        self.frames[0]
    }
    /// The table below.
    pub fn l3(&self) -> Mfn {
        self.frames[1]
    }
    /// The table below.
    pub fn l2(&self) -> Mfn {
        self.frames[2]
    }
    /// The table below.
    pub fn l1(&self) -> Mfn {
        self.frames[3]
    }
    /// The linear address at which frame `index` is mapped at first.
    pub fn va(&self, index: usize) -> u64 {
        (index as u64) << 12
    }
}

/// A hypervisor on the host.
pub struct Kit {
    /// The hypervisor.
    pub hv: Box<Hypervisor<FakeMachine>>,
    /// What [`Kit::check`] permits.
    pub permitted: Permitted,
}

impl Kit {
    /// A hypervisor with `frames` frames of RAM, frame 0 reserved. What lies behind is devices'.
    pub fn new(frames: usize) -> Kit {
        Kit::with_hole(frames, 0)
    }

    /// The same with `hole` frames behind RAM that the frame table has and that are no RAM.
    pub fn with_hole(frames: usize, hole: usize) -> Kit {
        let table: Vec<Frame> = (0..frames + hole).map(|_| Frame::absent()).collect();
        let mut book = Frames::new(Vec::leak(table));
        book.reserve(Mfn(0), Mfn(1));
        book.add_region(Mfn(1), Mfn(frames as u64));
        let hv = Hypervisor::new(FakeMachine::new(frames), book);
        Kit { hv: Box::new(hv), permitted: Permitted::default() }
    }

    /// A domain with one vCPU and `pages` frames, mapped as the module says; it may get `spare` more.
    pub fn guest(&mut self, id: DomId, pages: usize, spare: u64) -> Guest {
        assert!((4..=512).contains(&pages), "a guest of the kit has 4 to 512 frames");
        self.empty_domain(id, pages as u64 + spare);
        let hv = &mut self.hv;
        let frames: Vec<Mfn> = (0..pages).map(|_| hv.frames.allocate_for(&hv.machine, id).expect("RAM for a guest")).collect();
        let guest = Guest { id, frames };
        for level in 0..3 {
            hv.machine.word(guest.frames[level], 0).store(entry(guest.frames[level + 1], RW), Relaxed);
        }
        for (index, &mfn) in guest.frames.iter().enumerate() {
            let flags = if index < 4 { RO } else { RW };
            hv.machine.word(guest.l1(), index).store(entry(mfn, flags), Relaxed);
            hv.machine.set_m2p(mfn, index as u64);
        }
        let who = VcpuRef { domain: id, vcpu: 0 };
        base::set_tables(hv, who, guest.l4(), Mfn::NONE).expect("the kit's tables are valid");
        guest
    }

    /// A domain with one vCPU and nothing else.
    pub fn empty_domain(&mut self, id: DomId, limit: u64) {
        let domain = Box::leak(Domain::new_box_zeroed().expect("memory of the host"));
        domain.id = id;
        self.hv.frames.open(id, limit);
        self.hv.domains.insert(domain);
        self.add_vcpu(VcpuRef { domain: id, vcpu: 0 });
    }

    /// Makes a domain privileged.
    pub fn privilege(&mut self, id: DomId) {
        self.hv.domains.get_mut(id).expect("the domain exists").privileged = true;
    }

    /// How many CPUs there are.
    pub fn set_cpus(&mut self, count: usize) {
        self.hv.frames.clock.set_online(CpuMask((1 << count) - 1));
    }

    /// A CPU runs a domain from now on: CPU n its vCPU n, which at first has the table that vCPU 0 has then.
    pub fn run_on(&mut self, cpu: CpuId, id: DomId) {
        self.hv.machine.cpu.set(cpu);
        let who = VcpuRef { domain: id, vcpu: cpu as u16 };
        if self.hv.cpus[cpu].current == Some(who) {
            return;
        }
        if self.hv.vcpu(who).is_none() {
            self.add_vcpu(who);
        }
        self.hv.cpus[cpu].current = Some(who);
        let root = Mfn(self.hv.vcpu(who).expect("just added").kernel_table);
        let hv = &mut *self.hv;
        hv.frames.load_page_table(&hv.machine, cpu, root);
    }

    fn add_vcpu(&mut self, who: VcpuRef) {
        let vcpu = Box::leak(Vcpu::new_box_zeroed().expect("memory of the host"));
        (vcpu.domain, vcpu.id, vcpu.in_kernel, vcpu.initialised) = (who.domain, who.vcpu, true, true);
        let domain = self.hv.domains.get_mut(who.domain).expect("the domain exists");
        domain.max_vcpus = domain.max_vcpus.max(u32::from(who.vcpu) + 1);
        domain.vcpus[usize::from(who.vcpu)] = Some(vcpu);
        if who.vcpu != 0 {
            let first = VcpuRef { vcpu: 0, ..who };
            let root = Mfn(self.hv.vcpu(first).expect("every domain has one").kernel_table);
            base::set_tables(&mut self.hv, who, root, Mfn::NONE).expect("the first vCPU runs on it");
        }
    }

    /// CPU 0 runs a domain from now on.
    pub fn run(&mut self, id: DomId) {
        self.run_on(0, id);
    }

    /// No CPU runs anything.
    pub fn idle(&mut self) {
        for cpu in 0..MAX_CPUS {
            self.hv.cpus[cpu].current = None;
            self.hv.machine.roots.borrow_mut()[cpu] = Mfn::NONE;
            self.hv.machine.mmu.flush(cpu);
        }
    }

    /// One try of a hypercall of a domain, on the CPU that executes.
    pub fn once(&mut self, id: DomId, handler: Handler<FakeMachine>, args: [u64; 5]) -> Outcome {
        let cpu = self.hv.machine.cpu.get();
        self.run_on(cpu, id);
        let mut regs = CpuUserRegs::new_zeroed();
        let mut call = Call { hv: &mut self.hv, cpu, who: VcpuRef { domain: id, vcpu: cpu as u16 }, regs: &mut regs };
        handler(&mut call, args)
    }

    /// A hypercall of a domain, continued until it is done.
    pub fn call(&mut self, id: DomId, handler: Handler<FakeMachine>, args: [u64; 5]) -> i64 {
        let mut args = args;
        for _ in 0..1_000_000 {
            match self.once(id, handler, args) {
                Outcome::Done(result) => return result,
                Outcome::Again(next) => args = next,
                other => panic!("a memory hypercall came to {other:?}"),
            }
        }
        panic!("a hypercall goes on for ever");
    }

    /// `mmu_update` for whom `foreign` says (0x7ff0 for oneself).
    pub fn mmu_update_for(&mut self, id: DomId, requests: &[(u64, u64)], foreign: u64) -> i64 {
        for (index, &(ptr, val)) in requests.iter().enumerate() {
            self.hv.machine.put(index * 16, MmuUpdate { ptr, val }.as_bytes());
        }
        self.call(id, mmu_update::handler, [WINDOW, requests.len() as u64, 0, foreign, 0])
    }

    /// `mmu_update` of one's own.
    pub fn mmu_update(&mut self, id: DomId, requests: &[(u64, u64)]) -> i64 {
        self.mmu_update_for(id, requests, abi::domid::SELF.into())
    }

    /// One operation of `mmuext_op` on a domain.
    pub fn ext_for(&mut self, id: DomId, cmd: u32, arg1: u64, arg2: u64, foreign: u64) -> i64 {
        self.hv.machine.put(0, MmuextOp { cmd, _pad: 0, arg1, arg2 }.as_bytes());
        self.call(id, mmuext_op::handler, [WINDOW, 1, 0, foreign, 0])
    }

    /// One operation of `mmuext_op` of one's own.
    pub fn ext(&mut self, id: DomId, cmd: u32, arg1: u64, arg2: u64) -> i64 {
        self.ext_for(id, cmd, arg1, arg2, abi::domid::SELF.into())
    }

    /// `update_va_mapping`.
    pub fn update_va(&mut self, id: DomId, va: u64, value: u64, flags: u64) -> i64 {
        self.call(id, update_va_mapping::handler, [va, value, flags, 0, 0])
    }

    /// `memory_op` on a list of extents; tells the result and the list afterwards.
    pub fn reservation(&mut self, id: DomId, op: u32, domid: DomId, order: u32, list: &[u64]) -> (i64, Vec<u64>) {
        const LIST: usize = 64;
        let request = Reservation {
            extent_start: WINDOW + LIST as u64,
            nr_extents: list.len() as u64,
            extent_order: order,
            domid,
            ..Reservation::new_zeroed()
        };
        self.hv.machine.put(0, request.as_bytes());
        self.hv.machine.put(LIST, list.as_bytes());
        let result = self.call(id, memory_op::handler, [op.into(), WINDOW, 0, 0, 0]);
        let bytes = self.hv.machine.take(LIST, list.len() * 8);
        let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")));
        (result, words.collect())
    }

    /// Destroys a domain as far as memory goes.
    pub fn destroy(&mut self, id: DomId) {
        self.idle();
        for vcpu in 0..MAX_VCPUS as u16 {
            let who = VcpuRef { domain: id, vcpu };
            crate::mm::ldt::drop_frames(&mut self.hv, who);
            base::drop_tables(&mut self.hv, who);
        }
        for _ in 0..1_000_000 {
            if self.hv.mm().relinquish(id) {
                self.hv.domains.remove(id);
                return;
            }
        }
        panic!("teardown goes on for ever");
    }

    /// Everything that must always hold.
    pub fn check(&self) {
        check(&self.hv, &self.permitted);
    }
}
