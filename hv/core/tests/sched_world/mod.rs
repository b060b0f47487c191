//! A small world for tests of scheduling, time and the hypercalls about them: domains with several vCPUs, `shared_info` and event channels
//! on the machine of the host, with one CPU that runs whom the scheduler names.
#![expect(dead_code, reason = "each test file uses its part")]

use std::sync::atomic::Ordering::SeqCst;

use abi::context::CpuUserRegs;
use abi::shared_info::SharedInfo;
use domus_hv_core::call::{Call, Outcome};
use domus_hv_core::events;
use domus_hv_core::fake::kit::Guest;
use domus_hv_core::fake::{FakeMachine, Kit, WINDOW};
use domus_hv_core::hypercalls::Handler;
use domus_hv_core::hypervisor::Hypervisor;
use domus_hv_core::ids::{DomId, Mfn, VcpuRef};
use domus_hv_core::machine::Machine;
use domus_hv_core::mm::base;
use domus_hv_core::sched::{Next, upcall};
use domus_hv_core::vcpu::Vcpu;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// How many frames a guest has, mapped in a row from linear address 0, the first four of them tables.
pub const PAGES: usize = 12;

/// A linear address that no guest maps.
pub const UNMAPPED: u64 = 0x40_0000;

/// A linear address that every guest maps read-only: its own L1 table.
pub const READ_ONLY: u64 = 3 << 12;

/// Addresses of which none may be read or written: not mapped, in the hypervisor's range, not canonical, at the very end.
pub const HOSTILE: [u64; 5] = [UNMAPPED, 0xffff_8000_0000_0000, 0xffff_87ff_ffff_fff8, 0x8000_0000_0000, u64::MAX - 7];

pub struct World {
    pub kit: Kit,
}

pub fn vcpu(domain: DomId, vcpu: u16) -> VcpuRef {
    VcpuRef { domain, vcpu }
}

impl World {
    pub fn new() -> World {
        World { kit: Kit::new(512) }
    }

    pub fn hv(&mut self) -> &mut Hypervisor<FakeMachine> {
        &mut self.kit.hv
    }

    /// A domain with `vcpus` vCPUs that are online; number 0 is privileged. Its upcalls are not masked.
    pub fn domain(&mut self, id: DomId, vcpus: u16) -> Guest {
        let guest = self.kit.guest(id, PAGES, 4);
        let hv = &mut self.kit.hv;
        let shared_info = hv.frames.allocate_shared(&hv.machine, id).expect("RAM");
        let domain = hv.domains.get_mut(id).expect("just made");
        domain.privileged = id == 0;
        domain.max_vcpus = u32::from(vcpus);
        domain.shared_info = shared_info.0;
        domain.events.set_limit(63);
        for number in 0..vcpus {
            self.vcpu(vcpu(id, number), &guest, shared_info);
        }
        guest
    }

    fn vcpu(&mut self, who: VcpuRef, guest: &Guest, shared_info: Mfn) {
        if who.vcpu != 0 {
            let object = Box::leak(Vcpu::new_box_zeroed().expect("memory of the host"));
            object.domain = who.domain;
            object.id = who.vcpu;
            object.in_kernel = true;
            object.initialised = true;
            self.hv().domains.get_mut(who.domain).expect("it exists").vcpus[usize::from(who.vcpu)] = Some(object);
            base::set_tables(self.hv(), who, guest.l4(), Mfn::NONE).expect("the kit's tables are valid");
        }
        let state = self.state(who);
        state.info_mfn = shared_info.0;
        state.info_offset = u32::from(who.vcpu) * 64;
        self.hv().begin_vcpu(who);
        self.hv().vcpu_up(who).expect("it has a context");
    }

    pub fn state(&mut self, who: VcpuRef) -> &mut Vcpu {
        self.kit.hv.vcpu_mut(who).expect("the vCPU exists")
    }

    pub fn now(&self) -> u64 {
        self.kit.hv.machine.time.get()
    }

    /// Time passes; nothing notices.
    pub fn pass(&mut self, nanoseconds: u64) {
        self.kit.hv.machine.time.set(self.now() + nanoseconds);
    }

    /// The CPU asks who runs, and loads its state.
    pub fn schedule(&mut self) -> Next {
        let now = self.now();
        let next = self.hv().schedule(0, now);
        match next {
            Next::Run(who) => {
                self.load(who);
                self.hv().publish_on_schedule(0, who);
            }
            Next::Idle => self.hv().cpus[0].current = None,
        }
        self.hv().arm_timer(0);
        next
    }

    /// Schedules until `who` runs.
    pub fn run(&mut self, who: VcpuRef) {
        for _ in 0..2_000 {
            if self.schedule() == Next::Run(who) {
                return;
            }
            self.pass(10_000_000);
        }
        panic!("{who:?} never runs");
    }

    fn load(&mut self, who: VcpuRef) {
        let hv = &mut *self.kit.hv;
        hv.cpus[0].current = Some(who);
        let root = hv.vcpu(who).expect("the vCPU exists").active_table();
        hv.frames.load_page_table(&hv.machine, 0, root);
    }

    /// One try of a hypercall of a vCPU.
    pub fn once(&mut self, who: VcpuRef, handler: Handler<FakeMachine>, args: [u64; 5]) -> Outcome {
        self.load(who);
        let mut regs = CpuUserRegs::new_zeroed();
        handler(&mut Call { hv: &mut self.kit.hv, cpu: 0, who, regs: &mut regs }, args)
    }

    /// A hypercall of a vCPU, continued until it is done.
    pub fn call(&mut self, who: VcpuRef, handler: Handler<FakeMachine>, args: [u64; 5]) -> i64 {
        let mut args = args;
        for _ in 0..100_000 {
            match self.once(who, handler, args) {
                Outcome::Done(result) => return result,
                Outcome::Again(next) => args = next,
                other => panic!("the call came to {other:?}"),
            }
        }
        panic!("the call goes on for ever");
    }

    /// A hypercall `op(cmd, &value)`.
    pub fn op(&mut self, who: VcpuRef, handler: Handler<FakeMachine>, cmd: u32, value: &(impl IntoBytes + Immutable)) -> i64 {
        self.put(0, value);
        self.call(who, handler, [cmd.into(), WINDOW, 0, 0, 0])
    }

    /// Puts a value where guests find it at [`WINDOW`] plus `offset`.
    pub fn put(&mut self, offset: usize, value: &(impl IntoBytes + Immutable)) {
        self.kit.hv.machine.put(offset, value.as_bytes());
    }

    /// Reads a value from [`WINDOW`] plus `offset`.
    pub fn take<T: FromBytes>(&self, offset: usize) -> T {
        T::read_from_bytes(&self.kit.hv.machine.take(offset, size_of::<T>())).expect("as many bytes as it has")
    }

    /// A value in a frame.
    pub fn read<T: FromBytes>(&self, mfn: Mfn, offset: usize) -> T {
        let mut bytes = vec![0; size_of::<T>()];
        self.kit.hv.machine.read_frame(mfn, offset, &mut bytes);
        T::read_from_bytes(&bytes).expect("as many bytes as it has")
    }

    pub fn shared_info(&self, id: DomId) -> SharedInfo {
        self.read(Mfn(self.kit.hv.domain(id).expect("it exists").shared_info), 0)
    }

    /// A new port that notifies a vCPU.
    pub fn port(&mut self, who: VcpuRef) -> u32 {
        events::bind_ipi(self.hv(), who.domain, who.vcpu.into()).expect("a free port")
    }

    /// A new port for a virtual interrupt.
    pub fn virq(&mut self, who: VcpuRef, virq: u32) -> u32 {
        events::bind_virq(self.hv(), who.domain, virq, who.vcpu.into()).expect("a free port")
    }

    pub fn send(&mut self, id: DomId, port: u32) {
        events::send(self.hv(), id, port).expect("the port is bound");
    }

    pub fn pending(&self, id: DomId, port: u32) -> bool {
        events::is_pending(&self.kit.hv, id, port).expect("the port is open")
    }

    /// The guest handles all of its events.
    pub fn take_events(&mut self, who: VcpuRef) {
        let hv = &self.kit.hv;
        let shared_info = Mfn(hv.domain(who.domain).expect("it exists").shared_info);
        for index in 0..64 {
            hv.machine.word(shared_info, 256 + index).store(0, SeqCst);
        }
        let state = hv.vcpu(who).expect("it exists");
        let first = state.info_offset as usize / 8;
        hv.machine.word(Mfn(state.info_mfn), first).fetch_and(!0xff, SeqCst);
        hv.machine.word(Mfn(state.info_mfn), first + 1).store(0, SeqCst);
    }

    /// The guest masks or unmasks the upcalls of a vCPU, by itself.
    pub fn set_mask(&mut self, who: VcpuRef, masked: bool) {
        let hv = &self.kit.hv;
        let state = hv.vcpu(who).expect("it exists");
        let word = hv.machine.word(Mfn(state.info_mfn), state.info_offset as usize / 8);
        let rest = word.load(SeqCst) & !0xff00;
        word.store(rest | u64::from(masked) << 8, SeqCst);
    }

    pub fn deliverable(&self, who: VcpuRef) -> bool {
        upcall::deliverable(&self.kit.hv.machine, self.kit.hv.vcpu(who).expect("it exists"))
    }
}
