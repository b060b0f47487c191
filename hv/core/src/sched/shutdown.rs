//! How a domain ends by its own doing: it shuts down, or breaks a rule and is crashed. It stays, stopped, until it is destroyed.

use core::fmt::Arguments;

use abi::event::VIRQ_DOM_EXC;
use abi::sched::{SHUTDOWN_CRASH, SHUTDOWN_POWEROFF, SHUTDOWN_REBOOT};

use crate::events;
use crate::hypervisor::Hypervisor;
use crate::ids::{DOM0, DomId};
use crate::machine::{Level, Machine};

/// How the machine is to end, because the first domain has: the shell does it at the next opportunity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MachineExit {
    /// Switch off and report this status (0: all is well).
    PowerOff {
        /// Goes into the log's last line.
        status: u32,
    },
    /// Start again and report this status.
    Reboot {
        /// Goes into the log's last line.
        status: u32,
    },
}

impl MachineExit {
    /// What the end of the first domain, for this reason (`SHUTDOWN_*`), means for the machine.
    fn for_reason(reason: u32) -> MachineExit {
        match reason {
            SHUTDOWN_POWEROFF => MachineExit::PowerOff { status: 0 },
            SHUTDOWN_REBOOT => MachineExit::Reboot { status: 0 },
            _ => MachineExit::PowerOff { status: 1 },
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Stops a domain for good, or until [`Hypervisor::resume_domain`], for a reason (`SHUTDOWN_*`), and tells domain 0.
    /// A reason that the domain latched earlier wins, unless it crashed. No effect if it is shut down already.
    pub fn shut_down(&mut self, domain: DomId, reason: u32) {
        let Some(state) = self.domains.get_mut(domain) else { return };
        if state.shut_down {
            return;
        }
        let latched = state.sched.latched_reason.checked_sub(1);
        let reason = if reason == SHUTDOWN_CRASH { reason } else { latched.unwrap_or(reason) };
        state.shut_down = true;
        state.shutdown_reason = reason;
        self.reconsider_domain(domain);
        if domain == DOM0 {
            self.machine_exit.get_or_insert(MachineExit::for_reason(reason));
        } else {
            events::send_global_virq(self, DOM0, VIRQ_DOM_EXC);
        }
    }

    /// Ends a domain that broke a rule: says why in the log, and shuts it down as crashed.
    #[cold]
    pub fn crash_domain(&mut self, domain: DomId, why: Arguments<'_>) {
        if self.domains.get(domain).is_some_and(|state| !state.shut_down) {
            self.machine.log(Level::Warning, format_args!("domain {domain} crashed: {why}"));
            self.shut_down(domain, SHUTDOWN_CRASH);
        }
    }

    /// Lets a domain that was shut down (suspended) run on.
    pub fn resume_domain(&mut self, domain: DomId) {
        if let Some(state) = self.domains.get_mut(domain) {
            state.shut_down = false;
            state.sched.latched_reason = 0;
            self.reconsider_domain(domain);
        }
    }

    /// Latches the reason of a later shutdown (`SCHEDOP_shutdown_code`); the first one counts.
    pub fn latch_shutdown_reason(&mut self, domain: DomId, reason: u32) {
        if let Some(state) = self.domains.get_mut(domain)
            && state.sched.latched_reason == 0
        {
            state.sched.latched_reason = reason.saturating_add(1);
        }
    }
}
