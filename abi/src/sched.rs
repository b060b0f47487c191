//! `sched_op`: giving up the processor, waiting for events, ending a domain (`sched.h`).

/// Give up the processor; no argument.
pub const OP_YIELD: u32 = 0;
/// Unmask upcalls and wait for an event; no argument.
pub const OP_BLOCK: u32 = 1;
/// End the calling domain: [`Shutdown`].
pub const OP_SHUTDOWN: u32 = 2;
/// Wait until one of a set of ports is pending, or a time is reached: [`Poll`].
pub const OP_POLL: u32 = 3;
/// End another domain: [`RemoteShutdown`].
pub const OP_REMOTE_SHUTDOWN: u32 = 4;
/// Latch the reason of a later shutdown: [`Shutdown`].
pub const OP_SHUTDOWN_CODE: u32 = 5;
/// Arm, poke or disarm a watchdog: [`Watchdog`].
pub const OP_WATCHDOG: u32 = 6;
/// Override the pinning of the calling vCPU: [`PinOverride`].
pub const OP_PIN_OVERRIDE: u32 = 7;

/// The domain has stopped and is to be cleaned up.
pub const SHUTDOWN_POWEROFF: u32 = 0;
/// To be cleaned up and started again.
pub const SHUTDOWN_REBOOT: u32 = 1;
/// To be saved.
pub const SHUTDOWN_SUSPEND: u32 = 2;
/// The domain has crashed.
pub const SHUTDOWN_CRASH: u32 = 3;
/// A watchdog expired.
pub const SHUTDOWN_WATCHDOG: u32 = 4;
/// To be reset in place.
pub const SHUTDOWN_SOFT_RESET: u32 = 5;
/// The highest valid reason.
pub const SHUTDOWN_MAX: u32 = 5;

layout! {
    /// Argument of [`OP_SHUTDOWN`] and [`OP_SHUTDOWN_CODE`].
    Shutdown [4] {
        /// One of the `SHUTDOWN_*` numbers.
        @0 reason: u32,
    }

    /// Argument of [`OP_POLL`].
    Poll [24] {
        /// Guest address of an array of `u32` ports.
        @0 ports: u64,
        /// How many ports, at most 128.
        @8 nr_ports: u32,
        /// Padding.
        @12 _pad: u32,
        /// System time in nanoseconds at which to give up; 0 means never.
        @16 timeout: u64,
    }

    /// Argument of [`OP_REMOTE_SHUTDOWN`].
    RemoteShutdown [8] {
        /// The domain to end.
        @0 domain_id: u16,
        /// Padding.
        @2 _pad: u16,
        /// One of the `SHUTDOWN_*` numbers.
        @4 reason: u32,
    }

    /// Argument of [`OP_WATCHDOG`].
    Watchdog [8] {
        /// 0 to create one, otherwise the identifier that creation returned.
        @0 id: u32,
        /// Seconds from now; 0 disarms.
        @4 timeout: u32,
    }

    /// Argument of [`OP_PIN_OVERRIDE`].
    PinOverride [4] {
        /// The physical CPU, or negative to remove the override.
        @0 pcpu: i32,
    }
}

/// The most ports that one [`Poll`] may name.
pub const MAX_POLL_PORTS: u32 = 128;
