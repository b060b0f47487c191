//! `vcpu_op`: bringing up vCPUs, their timers and the areas they share with the hypervisor (`vcpu.h`).

/// Set the initial state: address of a [`crate::context::VcpuGuestContext`].
pub const OP_INITIALISE: u32 = 0;
/// Start.
pub const OP_UP: u32 = 1;
/// Stop.
pub const OP_DOWN: u32 = 2;
/// 1 if started, 0 if not.
pub const OP_IS_UP: u32 = 3;
/// Out: [`RunstateInfo`].
pub const OP_GET_RUNSTATE_INFO: u32 = 4;
/// [`RegisterArea`] of a [`RunstateInfo`].
pub const OP_REGISTER_RUNSTATE_MEMORY_AREA: u32 = 5;
/// [`SetPeriodicTimer`].
pub const OP_SET_PERIODIC_TIMER: u32 = 6;
/// Stops the periodic timer.
pub const OP_STOP_PERIODIC_TIMER: u32 = 7;
/// [`SetSingleshotTimer`].
pub const OP_SET_SINGLESHOT_TIMER: u32 = 8;
/// Stops the one-shot timer.
pub const OP_STOP_SINGLESHOT_TIMER: u32 = 9;
/// [`RegisterVcpuInfo`], once for each vCPU.
pub const OP_REGISTER_VCPU_INFO: u32 = 10;
/// Sends an NMI.
pub const OP_SEND_NMI: u32 = 11;
/// Out: [`GetPhysid`].
pub const OP_GET_PHYSID: u32 = 12;
/// [`RegisterArea`] of a [`crate::shared_info::VcpuTimeInfo`].
pub const OP_REGISTER_VCPU_TIME_MEMORY_AREA: u32 = 13;

/// Running on a physical CPU.
pub const RUNSTATE_RUNNING: u32 = 0;
/// Could run.
pub const RUNSTATE_RUNNABLE: u32 = 1;
/// Waits for an event.
pub const RUNSTATE_BLOCKED: u32 = 2;
/// Not started, paused, or stopped.
pub const RUNSTATE_OFFLINE: u32 = 3;
/// Bit of `state_entry_time` that is set while the area is being written, if that assist is on.
pub const RUNSTATE_UPDATE: u64 = 1 << 63;

/// Refuse with -ETIME if the time has passed already.
pub const SSHOTTMR_FUTURE: u32 = 1;

layout! {
    /// In which state a vCPU spent its time.
    RunstateInfo [48] {
        /// One of the `RUNSTATE_*` numbers.
        @0 state: u32,
        /// Padding.
        @4 _pad: u32,
        /// System time of entering it, in nanoseconds.
        @8 state_entry_time: u64,
        /// Nanoseconds spent in each state.
        @16 time: [u64; 4],
    }

    /// Guest virtual address of an area that the hypervisor keeps current; 0 unregisters.
    RegisterArea [8] {
        /// The address.
        @0 addr: u64,
    }

    /// Argument of [`OP_SET_PERIODIC_TIMER`].
    SetPeriodicTimer [8] {
        /// Nanoseconds, at least 1 ms.
        @0 period_ns: u64,
    }

    /// Argument of [`OP_SET_SINGLESHOT_TIMER`].
    SetSingleshotTimer [16] {
        /// System time in nanoseconds.
        @0 timeout_abs_ns: u64,
        /// [`SSHOTTMR_FUTURE`] or 0.
        @8 flags: u32,
        /// Padding.
        @12 _pad: u32,
    }

    /// Argument of [`OP_REGISTER_VCPU_INFO`].
    RegisterVcpuInfo [16] {
        /// Frame of the new `vcpu_info`.
        @0 mfn: u64,
        /// Its offset in the frame, in bytes.
        @8 offset: u32,
        /// Unused.
        @12 rsvd: u32,
    }

    /// Result of [`OP_GET_PHYSID`].
    GetPhysid [8] {
        /// APIC ID in the low half, ACPI ID in the high half.
        @0 phys_id: u64,
    }
}
