//! What the clock and the timers keep in each vCPU and each domain.

use abi::shared_info::VcpuTimeInfo;
use zerocopy::FromZeros;

use super::watchdog::WATCHDOGS;
use crate::ids::MAX_VCPUS;

/// The period of a timer that the guest has neither set nor stopped: 100 Hz, as Xen's.
pub const DEFAULT_PERIOD: u64 = 10_000_000;

/// Of a vCPU. All zero is right for a new one. Times are nanoseconds since boot.
#[derive(FromZeros)]
#[repr(C)]
pub struct VcpuTime {
    /// When the one-shot timer fires; 0 is never.
    pub singleshot: u64,
    /// When a poll gives up; 0 is never.
    pub poll_timeout: u64,
    /// The guest has stopped the periodic timer.
    pub periodic_stopped: bool,
    /// What it last wrote to the registered areas is out of date, since they could not be reached from user mode.
    pub areas_stale: bool,
    /// The period that the guest set; 0 if it set none.
    pub period_set: u64,
    /// When the periodic timer fired last.
    pub ticked: u64,
    /// What was published last; its version is the one that guests see.
    pub published: VcpuTimeInfo,
    /// Linear address of a second copy (`VCPUOP_register_vcpu_time_memory_area`); 0 is none.
    pub time_area: u64,
    /// Linear address of the account of run states (`VCPUOP_register_runstate_memory_area`); 0 is none.
    pub runstate_area: u64,
}

impl VcpuTime {
    /// The period of the periodic timer, if it runs.
    #[inline]
    pub fn period(&self) -> Option<u64> {
        match (self.periodic_stopped, self.period_set) {
            (true, _) => None,
            (false, 0) => Some(DEFAULT_PERIOD),
            (false, period) => Some(period),
        }
    }

    /// When the periodic timer fires next, provided that the vCPU runs then.
    #[inline]
    pub fn next_tick(&self) -> Option<u64> {
        self.period().map(|period| self.ticked.saturating_add(period))
    }

    /// When the one-shot timer or a poll's time-out is due; 0 is never.
    #[inline]
    pub fn deadline(&self) -> u64 {
        match (self.singleshot, self.poll_timeout) {
            (0, other) | (other, 0) => other,
            (a, b) => a.min(b),
        }
    }
}

/// Of a domain. All zero is right for a new one.
#[derive(FromZeros)]
#[repr(C)]
pub struct DomainTime {
    /// The earliest deadline of each vCPU, so that the earliest of all is found without touching them; 0 is none.
    pub deadlines: [u64; MAX_VCPUS],
    /// When the domain's watchdogs fire; 0 where there is none.
    pub watchdogs: [u64; WATCHDOGS],
}

impl DomainTime {
    /// The earliest deadline of the domain.
    #[inline]
    pub fn earliest(&self) -> Option<u64> {
        self.deadlines.iter().chain(&self.watchdogs).copied().filter(|&deadline| deadline != 0).min()
    }
}
