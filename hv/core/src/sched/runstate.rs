//! The account of a vCPU's time: running, runnable, blocked, offline (`RUNSTATE_*` of `vcpu.h`).
//!
//! The four times add up to the time since [`Runstate::begin`], always: that is what guests compute stolen time from.

use abi::vcpu::{RUNSTATE_OFFLINE, RUNSTATE_RUNNING, RunstateInfo};
use zerocopy::FromZeros;

/// The account.
#[derive(FromZeros, Clone, Copy)]
#[repr(C)]
pub struct Runstate {
    state: u32,
    _pad: u32,
    entered: u64,
    spent: [u64; 4],
}

impl Runstate {
    /// Opens the account of a vCPU that is offline.
    pub fn begin(&mut self, now: u64) {
        *self = Runstate { state: RUNSTATE_OFFLINE, _pad: 0, entered: now, spent: [0; 4] };
    }

    /// Which of the four states it is in.
    pub fn state(&self) -> u32 {
        self.state
    }

    /// Changes the state (`RUNSTATE_*`); no effect if it is the same.
    pub fn enter(&mut self, state: u32, now: u64) {
        if state != self.state {
            self.spent = self.spent_until(now);
            self.entered = now;
            self.state = state;
        }
    }

    /// Nanoseconds spent in each state, up to `now`.
    pub fn spent_until(&self, now: u64) -> [u64; 4] {
        let mut spent = self.spent;
        if let Some(time) = spent.get_mut(self.state as usize) {
            *time += now.saturating_sub(self.entered);
        }
        spent
    }

    /// Nanoseconds on a processor, up to `now`.
    pub fn ran(&self, now: u64) -> u64 {
        self.spent_until(now)[RUNSTATE_RUNNING as usize]
    }

    /// As a guest reads it from its registered area: up to the last change of state.
    pub fn info(&self) -> RunstateInfo {
        RunstateInfo { state: self.state, _pad: 0, state_entry_time: self.entered, time: self.spent }
    }

    /// As `VCPUOP_get_runstate_info` tells it: up to `now`.
    pub fn info_until(&self, now: u64) -> RunstateInfo {
        RunstateInfo { time: self.spent_until(now), ..self.info() }
    }
}
