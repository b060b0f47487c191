//! Watchdogs (`SCHEDOP_watchdog`): a domain that fails to put them off is shut down. They are the domain's, not a vCPU's, and tick whether it
//! runs or not.

use abi::errno::Errno;
use abi::sched::{SHUTDOWN_WATCHDOG, Watchdog};

use super::queue::NEVER;
use crate::hypervisor::Hypervisor;
use crate::ids::DomId;
use crate::machine::{Level, Machine};

/// How many a domain may have, as on Xen.
pub const WATCHDOGS: usize = 2;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

impl<M: Machine> Hypervisor<M> {
    /// Makes a watchdog (`id` 0), puts one off, or ends it (no seconds). Gives the number of a new one, else 0.
    ///
    /// # Errors
    /// -ENOSPC if the domain has all that it may have, -EINVAL if there is no such watchdog.
    pub fn watchdog(&mut self, domain: DomId, request: Watchdog) -> Result<i64, Errno> {
        let deadline = self.machine.now().saturating_add(u64::from(request.timeout) * SECOND).clamp(1, NEVER);
        let dogs = &mut self.domains.get_mut(domain).ok_or(Errno::SRCH)?.time.watchdogs;
        let Some(index) = (request.id as usize).checked_sub(1) else {
            let free = dogs.iter().position(|&dog| dog == 0).ok_or(Errno::NOSPC)?;
            dogs[free] = deadline;
            self.note_earliest(domain);
            return Ok(free as i64 + 1);
        };
        let dog = dogs.get_mut(index).filter(|dog| **dog != 0).ok_or(Errno::INVAL)?;
        *dog = if request.timeout == 0 { 0 } else { deadline };
        self.note_earliest(domain);
        Ok(0)
    }

    /// Shuts a domain down if one of its watchdogs is due at `now` (ns since boot).
    pub(super) fn expire_watchdogs(&mut self, domain: DomId, now: u64) {
        let Some(state) = self.domains.get_mut(domain) else { return };
        let (mut fired, runs) = (false, !state.shut_down);
        for dog in state.time.watchdogs.iter_mut().filter(|dog| **dog != 0 && **dog <= now) {
            *dog = 0;
            fired = true;
        }
        if fired {
            self.note_earliest(domain);
        }
        if fired && runs {
            self.machine.log(Level::Warning, format_args!("domain {domain} did not put off its watchdog"));
            self.shut_down(domain, SHUTDOWN_WATCHDOG);
        }
    }

    fn note_earliest(&mut self, domain: DomId) {
        let earliest = self.domains.get(domain).and_then(|state| state.time.earliest());
        self.timers.set(domain, earliest);
    }
}
