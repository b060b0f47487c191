//! The page that a domain shares with the hypervisor (`xen.h`, `arch-x86/xen.h`).

/// vCPUs that have a `vcpu_info` in the page; further ones must register theirs.
pub const LEGACY_MAX_VCPUS: usize = 32;

/// `flags` of [`VcpuTimeInfo`]: the TSC is good on every CPU.
pub const PVCLOCK_TSC_STABLE: u8 = 1 << 0;
/// `flags` of [`VcpuTimeInfo`]: the guest was stopped.
pub const PVCLOCK_GUEST_STOPPED: u8 = 1 << 1;

layout! {
    /// How to turn the TSC into system time:
    /// `system_time + (((tsc - tsc_timestamp) << tsc_shift) * tsc_to_system_mul >> 32)`.
    VcpuTimeInfo [32] {
        /// Odd while it is being written.
        @0 version: u32,
        /// Padding.
        @4 pad0: u32,
        /// TSC at the last update.
        @8 tsc_timestamp: u64,
        /// Nanoseconds since boot at that time.
        @16 system_time: u64,
        /// 32-bit fixed-point fraction.
        @24 tsc_to_system_mul: u32,
        /// Shift left if positive, right if negative.
        @28 tsc_shift: i8,
        /// `PVCLOCK_*`.
        @29 flags: u8,
        /// Padding.
        @30 pad1: [u8; 2],
    }

    /// Of each vCPU.
    VcpuInfo [64] {
        /// Not 0 if an event is pending.
        @0 evtchn_upcall_pending: u8,
        /// Not 0 if upcalls are masked.
        @1 evtchn_upcall_mask: u8,
        /// Padding.
        @2 _pad: [u8; 6],
        /// Bit n: word n of `evtchn_pending` has something for this vCPU.
        @8 evtchn_pending_sel: u64,
        /// Address of the last page fault.
        @16 cr2: u64,
        /// Unused.
        @24 arch_pad: u64,
        /// Time.
        @32 time: VcpuTimeInfo,
    }

    /// The x86 part.
    ArchSharedInfo [48] {
        /// Highest frame in the p2m list.
        @0 max_pfn: u64,
        /// Frame of the top of the three-level p2m list, or all ones if that is not kept.
        @8 pfn_to_mfn_frame_list_list: u64,
        /// Why an NMI came.
        @16 nmi_reason: u64,
        /// Page table in which `p2m_vaddr` holds; 0 if there is no linear list.
        @24 p2m_cr3: u64,
        /// Address of the linear p2m list.
        @32 p2m_vaddr: u64,
        /// Odd while the list's mapping changes.
        @40 p2m_generation: u64,
    }

    /// The page.
    SharedInfo [3136] {
        /// Of each vCPU.
        @0 vcpu_info: [VcpuInfo; 32],
        /// A bit for each port.
        @2048 evtchn_pending: [u64; 64],
        /// A bit for each port.
        @2560 evtchn_mask: [u64; 64],
        /// Odd while the wall clock is being written.
        @3072 wc_version: u32,
        /// Wall-clock seconds at system time 0, low half.
        @3076 wc_sec: u32,
        /// Nanoseconds.
        @3080 wc_nsec: u32,
        /// Seconds, high half.
        @3084 wc_sec_hi: u32,
        /// The x86 part.
        @3088 arch: ArchSharedInfo,
    }
}
