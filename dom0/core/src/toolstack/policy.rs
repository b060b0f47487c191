//! What happens when a domain ends: `on_poweroff`, `on_reboot`, `on_crash`, `on_watchdog`.

use abi::sched;

use crate::config::DomainConfig;

/// What to do with a domain that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Free all that it had.
    Destroy,
    /// Free it, and create it anew from the same configuration.
    Restart,
    /// Keep it as it is, for a look at it.
    Preserve,
}

impl Action {
    /// The names of all, for messages.
    pub const NAMES: &'static str = "destroy, restart, preserve";

    /// The action that xl.cfg calls so. `rename-restart`, the `coredump-` ones and `soft-reset` do not exist here.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "destroy" => Self::Destroy,
            "restart" => Self::Restart,
            "preserve" => Self::Preserve,
            _ => return None,
        })
    }
}

/// Why a domain has ended (`sched.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has powered off.
    Poweroff,
    /// It wants to start again.
    Reboot,
    /// It is suspended, for somebody who saves it.
    Suspend,
    /// It has crashed, or was ended for an error.
    Crash,
    /// Its watchdog has fired.
    Watchdog,
    /// It wants its devices reset.
    SoftReset,
}

impl Reason {
    /// The reason with a number; what is not known counts as a crash.
    pub fn from_number(number: u32) -> Self {
        match number {
            sched::SHUTDOWN_POWEROFF => Self::Poweroff,
            sched::SHUTDOWN_REBOOT => Self::Reboot,
            sched::SHUTDOWN_SUSPEND => Self::Suspend,
            sched::SHUTDOWN_WATCHDOG => Self::Watchdog,
            sched::SHUTDOWN_SOFT_RESET => Self::SoftReset,
            _ => Self::Crash,
        }
    }

    /// What the domain did, for messages.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Poweroff => "powered off",
            Self::Reboot => "rebooted",
            Self::Suspend => "suspended itself",
            Self::Crash => "crashed",
            Self::Watchdog => "was ended by its watchdog",
            Self::SoftReset => "asked for a soft reset",
        }
    }
}

/// What the configuration says about an end. Nobody asked for a suspension unless the toolstack did, and a soft reset does not exist here:
/// such a domain is kept, for it would otherwise lose its memory.
pub fn decide(config: &DomainConfig, reason: Reason) -> Action {
    match reason {
        Reason::Poweroff => config.on_poweroff,
        Reason::Reboot => config.on_reboot,
        Reason::Crash => config.on_crash,
        Reason::Watchdog => config.on_watchdog,
        Reason::Suspend | Reason::SoftReset => Action::Preserve,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_own_key() {
        let text = "name='n'\nkernel='k'\nmemory=1\non_poweroff='preserve'\non_crash='restart'\non_reboot='destroy'";
        let config = crate::config::parse(text, &[]).unwrap().config;
        assert_eq!(decide(&config, Reason::from_number(0)), Action::Preserve);
        assert_eq!(decide(&config, Reason::from_number(1)), Action::Destroy);
        assert_eq!(decide(&config, Reason::from_number(2)), Action::Preserve);
        assert_eq!(decide(&config, Reason::from_number(3)), Action::Restart);
        assert_eq!(decide(&config, Reason::from_number(4)), Action::Destroy);
        assert_eq!(decide(&config, Reason::from_number(77)), Action::Restart, "an unknown reason is a crash");
    }
}
