//! A small world for tests of events and grants: domains with vCPUs, page tables and shared pages, on the machine on the host, which
//! remembers translations as a processor does, so that a missing flush shows.
#![expect(dead_code, reason = "each test file uses its part")]

use core::sync::atomic::Ordering::SeqCst;

use abi::context::CpuUserRegs;
use abi::event::NR_CHANNELS_2L;
use abi::mmu::pte;
use abi::shared_info::{SharedInfo, VcpuInfo};
use core::mem::offset_of;
use domus_hv_core::call::{Call, Outcome};
use domus_hv_core::domain::Domain;
use domus_hv_core::fake::FakeMachine;
use domus_hv_core::fake::check::{Permitted, check};
use domus_hv_core::frames::{Frame, Frames};
use domus_hv_core::hypercalls::{event_channel_op, grant_table_op};
use domus_hv_core::hypervisor::Hypervisor;
use domus_hv_core::ids::{DomId, Mfn, VcpuRef};
use domus_hv_core::machine::Machine;
use domus_hv_core::mm::base;
use domus_hv_core::vcpu::Vcpu;
use domus_hv_core::{events, grants};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// How many frames the machine has.
pub const FRAMES: usize = 1024;

/// How many frames each domain may have.
const LIMIT: u64 = 256;

/// The pages that every domain has mapped writable from linear address 0.
pub const PAGES: u64 = 4;

/// The whole.
pub struct World {
    pub hv: Hypervisor<FakeMachine>,
}

/// What the test knows of a domain.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    pub root: Mfn,
    pub l1: Mfn,
    pub pages: [Mfn; PAGES as usize],
}

impl World {
    pub fn new() -> World {
        let table: &'static [Frame] = Vec::leak((0..FRAMES).map(|_| Frame::absent()).collect());
        let mut frames = Frames::new(table);
        frames.add_region(Mfn(1), Mfn(FRAMES as u64));
        World { hv: Hypervisor::new(FakeMachine::new(FRAMES), frames) }
    }

    /// A domain with `vcpus` vCPUs; number 0 is privileged.
    pub fn domain(&mut self, id: DomId, vcpus: u16) -> Space {
        self.hv.frames.open(id, LIMIT);
        let domain = self.hv.new_object::<Domain>(id).expect("memory");
        domain.id = id;
        domain.privileged = id == 0;
        domain.max_vcpus = u32::from(vcpus);
        domain.shared_info = self.hv.frames.allocate_shared(&self.hv.machine, id).expect("memory").0;
        domain.events.set_limit(events::PORT_LIMIT_DEFAULT);
        let shared_info = domain.shared_info;
        for number in 0..vcpus {
            let vcpu = self.hv.new_object::<Vcpu>(id).expect("memory");
            (vcpu.domain, vcpu.id, vcpu.initialised, vcpu.in_kernel) = (id, number, true, true);
            vcpu.sched.online = true;
            vcpu.info_mfn = shared_info;
            vcpu.info_offset = 64 * u32::from(number);
            domain.vcpus[usize::from(number)] = Some(vcpu);
        }
        self.hv.domains.insert(domain);
        grants::init(&mut self.hv, id, grants::GRANT_FRAMES_DEFAULT, grants::MAPTRACK_FRAMES_DEFAULT).expect("memory");
        let space = self.space(id);
        for vcpu in 0..vcpus {
            base::set_tables(&mut self.hv, VcpuRef { domain: id, vcpu }, space.root, Mfn::NONE).expect("valid tables");
        }
        space
    }

    fn frame(&mut self, id: DomId) -> Mfn {
        self.hv.frames.allocate_for(&self.hv.machine, id).expect("memory")
    }

    fn put(&self, table: Mfn, index: usize, entry: u64) {
        self.hv.machine.word(table, index).store(entry, SeqCst);
    }

    /// Page tables whose first pages are mapped.
    fn space(&mut self, id: DomId) -> Space {
        let [root, l3, l2, l1] = core::array::from_fn(|_| self.frame(id));
        let pages = core::array::from_fn(|_| self.frame(id));
        let rights = pte::PRESENT | pte::RW | pte::USER;
        self.put(root, 0, l3.address() | rights);
        self.put(l3, 0, l2.address() | rights);
        self.put(l2, 0, l1.address() | rights);
        for (index, page) in pages.iter().enumerate() {
            self.put(l1, index, page.address() | rights);
        }
        Space { root, l1, pages }
    }

    pub fn vcpu(&mut self, domain: DomId, vcpu: u16) -> &mut Vcpu {
        self.hv.vcpu_mut(VcpuRef { domain, vcpu }).expect("it was made")
    }

    /// Makes a vCPU the one that runs; its domain's translations are dropped if another domain ran.
    pub fn run(&mut self, who: VcpuRef) {
        let root = Mfn(self.vcpu(who.domain, who.vcpu).kernel_table);
        if self.hv.cpus[0].current != Some(who) {
            self.hv.frames.load_page_table(&self.hv.machine, 0, root);
            self.hv.cpus[0].current = Some(who);
        }
    }

    /// One hypercall of vCPU 0, not continued.
    pub fn try_call(&mut self, caller: DomId, number: Number, args: [u64; 5]) -> Outcome {
        let who = VcpuRef { domain: caller, vcpu: 0 };
        self.run(who);
        let mut regs = CpuUserRegs::default();
        let mut call = Call { hv: &mut self.hv, cpu: 0, who, regs: &mut regs };
        match number {
            Number::Events => event_channel_op::handler(&mut call, args),
            Number::Grants => grant_table_op::handler(&mut call, args),
        }
    }

    /// One hypercall of vCPU 0, continued until it is done.
    pub fn call(&mut self, caller: DomId, number: Number, mut args: [u64; 5]) -> i64 {
        for _ in 0..1000 {
            match self.try_call(caller, number, args) {
                Outcome::Done(result) => return result,
                Outcome::Again(next) => args = next,
                other => panic!("unexpected outcome {other:?}"),
            }
        }
        panic!("the call does not end");
    }

    /// Writes a value into the caller's first page and makes an event-channel hypercall with it; the value comes back changed.
    pub fn event_op<T: FromBytes + IntoBytes + Immutable>(&mut self, caller: DomId, operation: u32, value: &mut T) -> i64 {
        self.write(caller, 0x100, value);
        let result = self.call(caller, Number::Events, [u64::from(operation), 0x100, 0, 0, 0]);
        *value = self.read(caller, 0x100);
        result
    }

    /// The same for an array and a grant-table hypercall.
    pub fn grant_op<T: FromBytes + IntoBytes + Immutable + Copy>(&mut self, caller: DomId, operation: u32, values: &mut [T]) -> i64 {
        const AT: u64 = 0x1000;
        assert!(values.as_bytes().len() <= 0x2000);
        for (index, value) in values.iter().enumerate() {
            self.write(caller, AT + (index * size_of::<T>()) as u64, value);
        }
        let result = self.call(caller, Number::Grants, [u64::from(operation), AT, values.len() as u64, 0, 0]);
        for (index, value) in values.iter_mut().enumerate() {
            *value = self.read(caller, AT + (index * size_of::<T>()) as u64);
        }
        result
    }

    /// Writes to a domain's memory as its kernel would.
    pub fn write<T: IntoBytes + Immutable>(&mut self, domain: DomId, address: u64, value: &T) {
        self.run(VcpuRef { domain, vcpu: 0 });
        self.hv.machine.copy_to_guest(address, value.as_bytes()).expect("mapped");
    }

    /// Reads a domain's memory as its kernel would.
    pub fn read<T: FromBytes + IntoBytes>(&mut self, domain: DomId, address: u64) -> T {
        self.run(VcpuRef { domain, vcpu: 0 });
        let mut value = T::new_zeroed();
        self.hv.machine.copy_from_guest(address, value.as_mut_bytes()).expect("mapped");
        value
    }

    // The shared bits, as the guest sees them

    fn port_bit(&self, domain: DomId, offset: usize, port: u32) -> (Mfn, usize, u64) {
        assert!(port < NR_CHANNELS_2L);
        let mfn = Mfn(self.hv.domain(domain).expect("exists").shared_info);
        (mfn, offset / 8 + port as usize / 64, 1 << (port % 64))
    }

    pub fn is_pending(&self, domain: DomId, port: u32) -> bool {
        let (mfn, word, bit) = self.port_bit(domain, offset_of!(SharedInfo, evtchn_pending), port);
        self.hv.machine.word(mfn, word).load(SeqCst) & bit != 0
    }

    pub fn set_pending(&self, domain: DomId, port: u32) {
        let (mfn, word, bit) = self.port_bit(domain, offset_of!(SharedInfo, evtchn_pending), port);
        self.hv.machine.word(mfn, word).fetch_or(bit, SeqCst);
    }

    pub fn set_mask(&self, domain: DomId, port: u32) {
        let (mfn, word, bit) = self.port_bit(domain, offset_of!(SharedInfo, evtchn_mask), port);
        self.hv.machine.word(mfn, word).fetch_or(bit, SeqCst);
    }

    pub fn is_masked(&self, domain: DomId, port: u32) -> bool {
        let (mfn, word, bit) = self.port_bit(domain, offset_of!(SharedInfo, evtchn_mask), port);
        self.hv.machine.word(mfn, word).load(SeqCst) & bit != 0
    }

    fn info(&self, who: VcpuRef, offset: usize) -> &core::sync::atomic::AtomicU64 {
        let vcpu = self.hv.vcpu(who).expect("exists");
        self.hv.machine.word(Mfn(vcpu.info_mfn), (vcpu.info_offset as usize + offset) / 8)
    }

    pub fn upcall_due(&self, domain: DomId, vcpu: u16) -> bool {
        self.info(VcpuRef { domain, vcpu }, offset_of!(VcpuInfo, evtchn_upcall_pending)).load(SeqCst) & 0xff != 0
    }

    pub fn selector(&self, domain: DomId, vcpu: u16) -> u64 {
        self.info(VcpuRef { domain, vcpu }, offset_of!(VcpuInfo, evtchn_pending_sel)).load(SeqCst)
    }

    /// Clears upcall and selector without looking at ports.
    pub fn drop_upcall(&self, domain: DomId, vcpu: u16) {
        let who = VcpuRef { domain, vcpu };
        self.info(who, offset_of!(VcpuInfo, evtchn_upcall_pending)).fetch_and(!0xff, SeqCst);
        self.info(who, offset_of!(VcpuInfo, evtchn_pending_sel)).store(0, SeqCst);
    }

    /// Handles an upcall as a guest does; the ports whose events it found.
    pub fn take_upcall(&self, domain: DomId, vcpu: u16) -> Vec<u32> {
        let who = VcpuRef { domain, vcpu };
        self.info(who, offset_of!(VcpuInfo, evtchn_upcall_pending)).fetch_and(!0xff, SeqCst);
        let words = self.info(who, offset_of!(VcpuInfo, evtchn_pending_sel)).swap(0, SeqCst);
        let mut found = vec![];
        for port in (0..NR_CHANNELS_2L).filter(|port| words & 1 << (port / 64) != 0) {
            if self.is_pending(domain, port) && !self.is_masked(domain, port) {
                let (mfn, word, bit) = self.port_bit(domain, offset_of!(SharedInfo, evtchn_pending), port);
                self.hv.machine.word(mfn, word).fetch_and(!bit, SeqCst);
                found.push(port);
            }
        }
        found
    }

    /// What the running domain reaches at an address, as the processor would: the frame, and whether it may be written.
    pub fn reach(&self, address: u64) -> Option<(Mfn, bool)> {
        let machine = &self.hv.machine;
        let access = |write| machine.mmu.translate(&machine.memory, 0, machine.root(), address, write);
        access(true).map(|mfn| (mfn, true)).or_else(|_| access(false).map(|mfn| (mfn, false))).ok()
    }

    /// What page tables make reachable of the first 512 pages, and if they are those that run, what the processor remembers.
    pub fn reachable(&self, root: Mfn) -> Vec<(Mfn, bool)> {
        let walked = (0..512).filter_map(|page| self.walk(root, page << 12));
        let remembered = self.hv.machine.mmu.translations();
        let cached = remembered.iter().filter(|(_, _, entry)| entry.root == root).map(|(_, _, entry)| (entry.mfn, entry.writable));
        walked.chain(cached).collect()
    }

    fn walk(&self, root: Mfn, address: u64) -> Option<(Mfn, bool)> {
        let (mut table, mut writable) = (root, true);
        for shift in [39, 30, 21, 12] {
            let entry = self.hv.machine.word(table, (address >> shift) as usize & 511).load(SeqCst);
            if entry & pte::PRESENT == 0 {
                return None;
            }
            writable &= entry & pte::RW != 0;
            table = Mfn((entry & pte::ADDR_MASK) >> 12);
        }
        Some((table, writable))
    }

    /// All invariants of memory: what a domain maps of another stands in an entry that is marked in use.
    pub fn check_memory(&self) {
        let mut permitted = Permitted::default();
        for domain in self.hv.domains.iter() {
            for table in (0..domain.grants.count()).filter_map(|index| domain.grants.frame(index)) {
                let entries = (0..512).map(|slot| self.hv.machine.word(table, slot).load(SeqCst));
                let used = entries.filter(|entry| entry & u64::from(abi::grant::GTF_READING) != 0);
                permitted.mappings.extend(used.map(|entry| ((entry >> 16) as DomId, Mfn(entry >> 32))));
            }
        }
        check(&self.hv, &permitted);
    }

    /// All invariants of events and grants.
    pub fn check(&self) {
        for domain in self.hv.domains.iter() {
            events::check(&self.hv, domain.id).unwrap_or_else(|what| panic!("events of {}: {what}", domain.id));
            grants::check(&self.hv, domain.id).unwrap_or_else(|what| panic!("grants of {}: {what}", domain.id));
        }
    }
}

/// Which hypercall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Number {
    Events,
    Grants,
}
