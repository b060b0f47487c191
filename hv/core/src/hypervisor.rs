//! The whole of the hypervisor's state, in one value: what a hypercall may read and change.
//!
//! Its fields are apart so that a rule borrows only what it uses: page-table code takes `machine` and `frames`, never `domains`.

use crate::console::ConsoleInput;
use crate::cpu::Cpu;
use crate::devices::Devices;
use crate::domain::{Domain, DomainTable};
use crate::frames::Frames;
use crate::ids::{DomId, MAX_CPUS, VcpuRef};
use crate::machine::Machine;
use crate::platform::Platform;
use crate::sched::{MachineExit, Policy};
use crate::time::TimerQueue;
use crate::vcpu::Vcpu;

/// Everything. One exists; the shell keeps it behind a lock.
pub struct Hypervisor<M: Machine> {
    /// The hardware.
    pub machine: M,
    /// The frame table and the allocator of free frames.
    pub frames: Frames,
    /// The domains.
    pub domains: DomainTable,
    /// Who runs next.
    pub scheduler: Policy,
    /// The physical CPUs.
    pub cpus: [Cpu; MAX_CPUS],
    /// The timers of all vCPUs.
    pub timers: TimerQueue,
    /// What was typed for the first domain and not read yet.
    pub console_input: ConsoleInput,
    /// Set when the first domain ends: so must the machine.
    pub machine_exit: Option<MachineExit>,
    /// The number that the last new domain got.
    pub last_domain: DomId,
    /// What the boot code found out.
    pub platform: Platform,
    /// What is known of devices.
    pub devices: Devices,
}

impl<M: Machine> Hypervisor<M> {
    /// A hypervisor without domains, on a machine whose memory is described by `frames`.
    pub const fn new(machine: M, frames: Frames) -> Self {
        Hypervisor {
            machine,
            frames,
            domains: DomainTable::new(),
            scheduler: Policy::new(),
            cpus: [Cpu::IDLE; MAX_CPUS],
            timers: TimerQueue::new(),
            console_input: ConsoleInput::new(),
            machine_exit: None,
            last_domain: 0,
            platform: Platform::UNKNOWN,
            devices: Devices::new(),
        }
    }

    /// A domain by number.
    pub fn domain(&self, id: DomId) -> Option<&Domain> {
        self.domains.get(id)
    }

    /// A vCPU by name.
    pub fn vcpu(&self, name: VcpuRef) -> Option<&Vcpu> {
        self.domains.get(name.domain)?.vcpu(name.vcpu)
    }

    /// A vCPU by name.
    pub fn vcpu_mut(&mut self, name: VcpuRef) -> Option<&mut Vcpu> {
        self.domains.get_mut(name.domain)?.vcpu_mut(name.vcpu)
    }
}
