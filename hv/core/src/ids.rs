//! The names that all parts share for frames, domains, vCPUs and CPUs, so that one is never taken for another.

/// A machine frame number: a machine address divided by 4096.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[repr(transparent)]
pub struct Mfn(pub u64);

impl Mfn {
    /// "No frame": what an empty field holds. Frame 0 is never handed out, so zeroed memory means "none".
    pub const NONE: Mfn = Mfn(0);

    /// The machine address of the frame's first byte.
    pub const fn address(self) -> u64 {
        self.0 << 12
    }

    /// The frame that holds a machine address.
    pub const fn containing(address: u64) -> Mfn {
        Mfn(address >> 12)
    }

    /// True unless this is [`Mfn::NONE`].
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }
}

/// A domain's number, also its index in the domain table.
pub type DomId = u16;

/// Domain 0, the first domain.
pub const DOM0: DomId = 0;

/// How many domains there can be at once (and so the first number that is never a domain's).
pub const MAX_DOMAINS: usize = 512;

/// How many vCPUs a domain can have: the `vcpu_info` slots of `shared_info` (`XEN_LEGACY_MAX_VCPUS`).
pub const MAX_VCPUS: usize = 32;

/// How many physical CPUs there is state for.
pub const MAX_CPUS: usize = 64;

/// A physical CPU, counted from 0 in the order of discovery.
pub type CpuId = usize;

/// A set of physical CPUs, bit per CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CpuMask(pub u64);

impl CpuMask {
    /// The set of one CPU.
    pub const fn one(cpu: CpuId) -> CpuMask {
        CpuMask(1 << (cpu % MAX_CPUS))
    }
}

/// One virtual CPU of one domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VcpuRef {
    /// Whose.
    pub domain: DomId,
    /// Which of its vCPUs.
    pub vcpu: u16,
}
