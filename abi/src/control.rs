//! Domus's control ABI: hypercall 55, for privileged domains only.
//!
//! Registers: rdi = operation (`u32`), rsi = interface version (`u32`, [`VERSION`]), rdx = guest virtual address of the operation's struct.
//! The struct is copied in once and, on success, copied out once. The result is 0 unless stated otherwise, or a negated error.
//!
//! Checks come in this order: an unprivileged caller gets -EPERM whatever else it passes; [`OP_VERSION`] accepts any version; any
//! other operation with a version other than the hypervisor's gets -EPROTONOSUPPORT; an unknown operation gets -ENOSYS; a struct that
//! cannot be read or written gets -EFAULT. Reserved fields and unknown flag bits must be 0, else -EINVAL. Domain identifiers are `u32` here so
//! that [`DOMID_ANY`] fits; an identifier that names no domain gets -ESRCH.

/// The version of this interface. Any change to a struct or to an operation's meaning counts it up.
pub const VERSION: u32 = 2;

/// Result: the hypervisor's [`VERSION`]; no struct.
pub const OP_VERSION: u32 = 0;
/// [`MachineInfo`], all out.
pub const OP_MACHINE_INFO: u32 = 1;
/// [`DomainCreate`]. The new domain is paused and has no memory but its shared info page; its vCPU 0 has no context yet.
/// -EEXIST: the identifier is in use; -ENOSPC: no identifier or domain slot is free; -ENOMEM; -EINVAL: a limit of 0 or too large.
pub const OP_DOMAIN_CREATE: u32 = 2;
/// [`Domain`]. Ends a domain and frees all it has. Re-executed by the hypervisor until done; -EINVAL for the caller itself.
/// Frames that other domains still map stay allocated until they are unmapped, and the domain stays listed as dying until then.
pub const OP_DOMAIN_DESTROY: u32 = 3;
/// [`Domain`]. Stops all vCPUs at once; pauses by control do not nest; -EINVAL for the caller itself.
pub const OP_DOMAIN_PAUSE: u32 = 4;
/// [`Domain`]. Lets vCPUs run again; a new domain starts so. -EINVAL if vCPU 0 has no context yet.
pub const OP_DOMAIN_UNPAUSE: u32 = 5;
/// [`DomainInfo`]: the first domain whose identifier is not less than `domid`; -ESRCH if there is none.
pub const OP_DOMAIN_INFO: u32 = 6;
/// [`DomainLimits`]: changes what is not 0.
pub const OP_DOMAIN_LIMITS: u32 = 7;
/// [`VcpuContext`]: reads or sets the state of a vCPU of a paused domain; -EBUSY if it is not paused, -EINVAL if the context is not valid,
/// -ESRCH if the domain is being destroyed.
pub const OP_VCPU_CONTEXT: u32 = 8;
/// [`LogRead`]: copies from the hypervisor's log.
pub const OP_LOG_READ: u32 = 9;
/// [`Power`]: ends the machine; does not return.
pub const OP_POWER: u32 = 10;

/// [`MmioPermit`]: lets the calling domain map frames of device memory as `DOMID_IO`, or withdraws that. -EPERM for frames of memory, of the
/// hypervisor's own devices, or that hold an MSI-X table; -ENOSPC if there are too many ranges; -EINVAL for an empty range or one that ends
/// beyond the processor's addresses; -EBUSY if frames to be withdrawn are still mapped, or frames that were permitted together with them.
pub const OP_MMIO_PERMIT: u32 = 11;
/// [`MsiBind`]: binds an entry of a PCI function's MSI-X table to a new event channel of the caller, on its vCPU 0. Closing the event channel
/// masks and unbinds the entry. The hypervisor alone writes the table. The function must answer at its memory addresses; that it may write
/// memory (bus mastering), without which it sends no message, is for its driver to see to. -ENODEV: no such function, or it has no MSI-X
/// table where one may be; -EINVAL: no such entry; -EEXIST: the entry is bound; -EPERM: a domain may map the table; -ENOSPC: no event
/// channel or interrupt vector is free.
pub const OP_MSI_BIND: u32 = 12;

/// `domid` of [`DomainCreate`]: let the hypervisor choose.
pub const DOMID_ANY: u32 = 0xffff_ffff;

/// [`DomainInfo`] flag: being destroyed.
pub const FLAG_DYING: u32 = 1 << 0;
/// [`DomainInfo`] flag: has ended; `shutdown_reason` says how.
pub const FLAG_SHUTDOWN: u32 = 1 << 1;
/// [`DomainInfo`] flag: paused by [`OP_DOMAIN_PAUSE`], or not started yet.
pub const FLAG_PAUSED: u32 = 1 << 2;
/// [`DomainInfo`] flag: every vCPU that is online waits for an event.
pub const FLAG_BLOCKED: u32 = 1 << 3;
/// [`DomainInfo`] flag: a vCPU runs right now.
pub const FLAG_RUNNING: u32 = 1 << 4;
/// [`DomainInfo`] flag: ended by the hypervisor because of an error of its own.
pub const FLAG_CRASHED: u32 = 1 << 5;
/// [`DomainInfo`] flag: may use this interface.
pub const FLAG_PRIVILEGED: u32 = 1 << 6;

/// [`Power`] action: switch off.
pub const POWER_OFF: u32 = 0;
/// [`Power`] action: reset.
pub const POWER_REBOOT: u32 = 1;

/// Weight of a new domain.
pub const WEIGHT_DEFAULT: u32 = 256;
/// ECAM ranges in [`MachineInfo`] at most.
pub const MAX_ECAM: usize = 8;
/// Bytes of one [`LogRead`] at most; more is cut off.
pub const LOG_READ_MAX: u32 = 65536;

/// The name of an operation, for logs.
pub const fn op_name(op: u32) -> Option<&'static str> {
    Some(match op {
        OP_VERSION => "version",
        OP_MACHINE_INFO => "machine_info",
        OP_DOMAIN_CREATE => "domain_create",
        OP_DOMAIN_DESTROY => "domain_destroy",
        OP_DOMAIN_PAUSE => "domain_pause",
        OP_DOMAIN_UNPAUSE => "domain_unpause",
        OP_DOMAIN_INFO => "domain_info",
        OP_DOMAIN_LIMITS => "domain_limits",
        OP_VCPU_CONTEXT => "vcpu_context",
        OP_LOG_READ => "log_read",
        OP_POWER => "power",
        OP_MMIO_PERMIT => "mmio_permit",
        OP_MSI_BIND => "msi_bind",
        _ => return None,
    })
}

layout! {
    /// A range of PCI configuration space in memory (ACPI MCFG).
    Ecam [16] {
        /// Physical address of bus 0 of the segment.
        @0 base: u64,
        /// PCI segment.
        @8 segment: u16,
        /// First bus.
        @10 bus_start: u8,
        /// Last bus.
        @11 bus_end: u8,
        /// 0.
        @12 _pad: u32,
    }

    /// What the machine is and how much of it is in use.
    MachineInfo [232] {
        /// Physical CPUs that the firmware lists.
        @0 cpus_present: u32,
        /// Physical CPUs that run domains.
        @4 cpus_running: u32,
        /// Frames of usable memory.
        @8 total_frames: u64,
        /// Frames that nobody has.
        @16 free_frames: u64,
        /// Frames the hypervisor keeps for itself: image, tables, per-domain structures.
        @24 hypervisor_frames: u64,
        /// Highest machine frame number of usable memory.
        @32 max_mfn: u64,
        /// Frequency of the TSC.
        @40 tsc_khz: u64,
        /// Nanoseconds since the hypervisor started: the system time of guests.
        @48 uptime_ns: u64,
        /// Nanoseconds that physical CPUs were idle, summed.
        @56 idle_ns: u64,
        /// Bytes ever written to the log: the end of its sequence.
        @64 log_end: u64,
        /// Domains that exist, dying ones included.
        @72 domains: u32,
        /// Domains that there is room for.
        @76 max_domains: u32,
        /// vCPUs of a domain at most.
        @80 max_vcpus: u32,
        /// Valid entries of `ecam`.
        @84 ecam_count: u32,
        /// Frames that belong to dying domains.
        @88 dying_frames: u64,
        /// 0.
        @96 _reserved: u64,
        /// Where PCI configuration space lies.
        @104 ecam: [Ecam; 8],
    }

    /// Argument of [`OP_DOMAIN_CREATE`].
    DomainCreate [64] {
        /// In: an identifier from 1 up or [`DOMID_ANY`]; out: the identifier.
        @0 domid: u32,
        /// vCPUs at most.
        @4 max_vcpus: u32,
        /// Frames at most, page tables and shared pages included.
        @8 max_frames: u64,
        /// Event channels at most.
        @16 max_event_channels: u32,
        /// Frames of the grant table at most.
        @20 max_grant_frames: u32,
        /// Frames for records of mapped grants at most.
        @24 max_maptrack_frames: u32,
        /// 0.
        @28 flags: u32,
        /// The domain's UUID.
        @32 handle: [u8; 16],
        /// Out: the frame of its shared info page.
        @48 shared_info_mfn: u64,
        /// 0.
        @56 _reserved: u64,
    }

    /// Argument of the operations that only name a domain.
    Domain [8] {
        /// Which.
        @0 domid: u32,
        /// 0.
        @4 _pad: u32,
    }

    /// Argument of [`OP_DOMAIN_INFO`].
    DomainInfo [136] {
        /// In: the least identifier; out: the one found.
        @0 domid: u32,
        /// Out: `FLAG_*`; so are all that follow.
        @4 flags: u32,
        /// `SHUTDOWN_*` of [`crate::sched`], if [`FLAG_SHUTDOWN`].
        @8 shutdown_reason: u32,
        /// vCPUs that are up.
        @12 vcpus_online: u32,
        /// vCPUs at most.
        @16 max_vcpu: u32,
        /// Share of the CPU relative to other domains.
        @20 weight: u32,
        /// Frames it has.
        @24 frames: u64,
        /// Frames it may have.
        @32 max_frames: u64,
        /// Frame of its shared info page.
        @40 shared_info_mfn: u64,
        /// Nanoseconds that its vCPUs ran, summed.
        @48 cpu_time_ns: u64,
        /// Page tables that are pinned.
        @56 pinned_tables: u64,
        /// Grants of others that it has mapped.
        @64 mapped_grants: u64,
        /// Event channels in use.
        @72 bound_ports: u64,
        /// 0.
        @80 _reserved0: u64,
        /// Frames in use as page tables.
        @88 page_table_frames: u64,
        /// Its own frames that others map or hold.
        @96 frames_held_by_others: u64,
        /// Share of one CPU at most, in percent; 0 means no cap.
        @104 cap: u32,
        /// 0.
        @108 _pad: u32,
        /// The domain's UUID.
        @112 handle: [u8; 16],
        /// 0.
        @128 _reserved: u64,
    }

    /// Argument of [`OP_DOMAIN_LIMITS`].
    DomainLimits [24] {
        /// Which.
        @0 domid: u32,
        /// Share of the CPU relative to other domains, 1 to 65535; 0 leaves it.
        @4 weight: u32,
        /// Frames at most; 0 leaves it. May be less than it has: then it gets no more.
        @8 max_frames: u64,
        /// Share of one CPU at most, in percent; 0 leaves it, [`CAP_NONE`] removes it.
        @16 cap: u32,
        /// 0.
        @20 _pad: u32,
    }

    /// Argument of [`OP_VCPU_CONTEXT`].
    VcpuContext [24] {
        /// Which domain.
        @0 domid: u32,
        /// Which vCPU.
        @4 vcpu: u32,
        /// 0 reads, 1 sets.
        @8 set: u32,
        /// 0.
        @12 _pad: u32,
        /// Guest virtual address of a [`crate::context::VcpuGuestContext`]; frame numbers in it are machine frames.
        @16 context: u64,
    }

    /// Argument of [`OP_LOG_READ`].
    LogRead [24] {
        /// Guest virtual address of the buffer.
        @0 buffer: u64,
        /// Its bytes; at most [`LOG_READ_MAX`] are used.
        @8 length: u32,
        /// Out: bytes written; 0 if there is nothing newer.
        @12 written: u32,
        /// In: first byte wanted, counted since boot; moved up to the oldest byte kept. Out: the byte behind the last one copied.
        @16 sequence: u64,
    }

    /// Argument of [`OP_POWER`].
    Power [8] {
        /// [`POWER_OFF`] or [`POWER_REBOOT`].
        @0 action: u32,
        /// The N in the log's last line, `domus-exit: N`.
        @4 status: u32,
    }

    /// Argument of [`OP_MMIO_PERMIT`].
    MmioPermit [24] {
        /// First machine frame.
        @0 first_frame: u64,
        /// How many.
        @8 frames: u64,
        /// 1 permits, 0 withdraws.
        @16 allow: u32,
        /// 0.
        @20 _pad: u32,
    }

    /// Argument of [`OP_MSI_BIND`].
    MsiBind [16] {
        /// PCI segment.
        @0 segment: u16,
        /// PCI bus.
        @2 bus: u8,
        /// PCI device (bits 7-3) and function (bits 2-0).
        @3 devfn: u8,
        /// Entry of the function's MSI-X table.
        @4 entry: u32,
        /// Out: the event channel.
        @8 port: u32,
        /// 0.
        @12 _pad: u32,
    }
}

/// `cap` of [`DomainLimits`]: no cap.
pub const CAP_NONE: u32 = u32::MAX;
