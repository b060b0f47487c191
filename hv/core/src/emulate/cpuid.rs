//! What CPUID tells a PV guest: the machine's answers cut down by an allowlist, and the leaves of a Xen hypervisor.
//!
//! Guests see one thread per core per package: leaf 1, 4 and 0xb and AMD's core counts say so, and the APIC number is the vCPU's.
//! Leaves that no rule names read as zero, on every vendor. XSAVE is hidden, so leaf 0xd is zero.

use super::features as f;

/// The processor's CPUID.
pub trait HostCpuid {
    /// EAX, EBX, ECX and EDX of a leaf and subleaf.
    fn leaf(&self, leaf: u32, subleaf: u32) -> [u32; 4];
}

impl<F: Fn(u32, u32) -> [u32; 4]> HostCpuid for F {
    fn leaf(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        self(leaf, subleaf)
    }
}

/// Who made the processor, as far as rules differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vendor {
    /// Intel.
    Intel,
    /// AMD, and Hygon, which is the same for this purpose.
    Amd,
    /// Somebody else.
    Other,
}

impl Vendor {
    /// From leaf 0.
    pub fn of(host: &impl HostCpuid) -> Self {
        let [_, ebx, ecx, edx] = host.leaf(0, 0);
        let mut name = [0; 12];
        for (bytes, word) in name.chunks_exact_mut(4).zip([ebx, edx, ecx]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        match &name {
            b"GenuineIntel" => Vendor::Intel,
            b"AuthenticAMD" | b"HygonGenuine" => Vendor::Amd,
            _ => Vendor::Other,
        }
    }
}

/// Features that are shown only if the hypervisor does its part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Support {
    /// CR4.FSGSBASE is switched with the vCPU.
    pub fsgsbase: bool,
    /// MSR_TSC_AUX is switched with the vCPU: RDTSCP and RDPID give the guest's own value.
    pub tsc_aux: bool,
}

/// The clock as leaf 0x40000003 describes it. Guests always run on the machine's TSC, so there is no offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TscInfo {
    /// Frequency in kHz.
    pub khz: u32,
    /// Multiplier from (shifted) ticks to ns, a fraction of 2^32.
    pub to_ns_mul: u32,
    /// Shift before the multiplication.
    pub to_ns_shift: i8,
    /// The machine's TSC ticks at one rate on all CPUs.
    pub reliable: bool,
    /// How often the domain was migrated.
    pub incarnation: u32,
}

/// Who asks, and what it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    /// Number of the vCPU.
    pub vcpu: u32,
    /// Bits of the highest machine address that memory may ever have; above 44 Linux prefers grant tables v2.
    pub machine_address_width: u8,
    /// What the hypervisor switches.
    pub support: Support,
    /// The clock.
    pub tsc: TscInfo,
}

/// First leaf of the hypervisor (`XEN_CPUID_FIRST_LEAF`).
pub const XEN_FIRST_LEAF: u32 = 0x4000_0000;
/// Version of the ABI that leaf 0x40000001 names: 4.17.
pub const XEN_VERSION: (u16, u16) = (4, 17);
/// First MSR of the hypervisor; a write to it places a hypercall page.
pub const XEN_FIRST_MSR: u32 = 0x4000_0000;

const XEN_LEAVES: u32 = 5;
const FIRST_EXTENDED: u32 = 0x8000_0000;
const MAX_BASIC: u32 = 0xd;
const MAX_EXTENDED: u32 = 0x8000_0021;
const MAX_SUBLEAF_7: u32 = 2;
/// `XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD`
const FEATURE_PRESERVE_AD: u32 = 1;
/// `TSC_MODE_NEVER_EMULATE`
const TSC_NEVER_EMULATED: u32 = 2;
const HIDDEN: [u32; 4] = [0; 4];

/// What a guest gets for a leaf and subleaf.
pub fn guest_leaf(host: &impl HostCpuid, view: &View, leaf: u32, subleaf: u32) -> [u32; 4] {
    match leaf {
        XEN_FIRST_LEAF..=0x4000_00ff => xen_leaf(view, leaf - XEN_FIRST_LEAF, subleaf),
        0..=MAX_BASIC if leaf <= host.leaf(0, 0)[0] => basic_leaf(host, view, leaf, subleaf),
        FIRST_EXTENDED..=MAX_EXTENDED if leaf <= host.leaf(FIRST_EXTENDED, 0)[0] => extended_leaf(host, view, leaf),
        _ => HIDDEN,
    }
}

fn basic_leaf(host: &impl HostCpuid, view: &View, leaf: u32, subleaf: u32) -> [u32; 4] {
    let raw = host.leaf(leaf, subleaf);
    let [eax, ebx, ecx, edx] = raw;
    match leaf {
        0 => [eax.min(MAX_BASIC), ebx, ecx, edx],
        1 => [
            eax,
            // APIC number, one logical processor, size of CLFLUSH, brand.
            view.vcpu << 24 | 1 << 16 | ebx & 0xffff,
            ecx & f::LEAF_1_ECX | f::HYPERVISOR,
            edx & f::LEAF_1_EDX,
        ],
        // Caches and TLBs by descriptor.
        2 => raw,
        // Caches by parameter: without the counts of threads and cores that share them.
        4 => [eax & 0x3fff, ebx, ecx, edx],
        7 => features_7(raw, view.support, subleaf),
        0xb => topology(view, subleaf),
        _ => HIDDEN,
    }
}

fn features_7([eax, ebx, ecx, edx]: [u32; 4], support: Support, subleaf: u32) -> [u32; 4] {
    match subleaf {
        0 => [
            eax.min(MAX_SUBLEAF_7),
            unless(support.fsgsbase, f::FSGSBASE, ebx & f::LEAF_7_EBX),
            unless(support.tsc_aux, f::RDPID, ecx & f::LEAF_7_ECX),
            edx & f::LEAF_7_EDX,
        ],
        1 => [eax & f::LEAF_7_1_EAX, 0, 0, 0],
        2 => [0, 0, 0, edx & f::LEAF_7_2_EDX],
        _ => HIDDEN,
    }
}

/// One thread per core, one core per package: each level (1 is threads, 2 is cores) has one processor and shifts nothing away.
fn topology(view: &View, subleaf: u32) -> [u32; 4] {
    match subleaf {
        0 => [0, 1, 1 << 8, view.vcpu],
        1 => [0, 1, 2 << 8 | 1, view.vcpu],
        _ => [0, 0, subleaf & 0xff, view.vcpu],
    }
}

fn extended_leaf(host: &impl HostCpuid, view: &View, leaf: u32) -> [u32; 4] {
    let [eax, ebx, ecx, edx] = host.leaf(leaf, 0);
    match leaf {
        FIRST_EXTENDED => [eax.min(MAX_EXTENDED), ebx, ecx, edx],
        0x8000_0001 => extended_features(host, view, [eax, ebx, ecx, edx]),
        // The name, and AMD's caches and TLBs.
        0x8000_0002..=0x8000_0006 => [eax, ebx, ecx, edx],
        0x8000_0007 => [0, 0, 0, edx & f::EXT_7_EDX],
        // Address widths: the machine's physical one (frames are machine frames), four levels of page tables.
        0x8000_0008 => [48 << 8 | eax & 0xff, ebx & f::EXT_8_EBX, 0, 0],
        0x8000_0021 => [eax & f::EXT_21_EAX, 0, ecx & f::EXT_21_ECX, 0],
        _ => HIDDEN,
    }
}

fn extended_features(host: &impl HostCpuid, view: &View, raw: [u32; 4]) -> [u32; 4] {
    let [eax, ebx, ecx, edx] = raw;
    let edx = unless(view.support.tsc_aux, f::RDTSCP, edx & f::EXT_1_EDX);
    let ecx = ecx & f::EXT_1_ECX;
    match Vendor::of(host) {
        Vendor::Amd => {
            let common = host.leaf(1, 0)[3] & f::LEAF_1_EDX & f::AMD_COMMON_EDX;
            [eax, ebx, ecx, edx | common]
        }
        _ => [0, 0, ecx, edx],
    }
}

fn xen_leaf(view: &View, index: u32, subleaf: u32) -> [u32; 4] {
    let tsc = &view.tsc;
    match (index, subleaf) {
        (0, _) => {
            let [ebx, ecx, edx] = [*b"XenV", *b"MMXe", *b"nVMM"].map(u32::from_le_bytes);
            [XEN_FIRST_LEAF + XEN_LEAVES, ebx, ecx, edx]
        }
        (1, _) => [u32::from(XEN_VERSION.0) << 16 | u32::from(XEN_VERSION.1), 0, 0, 0],
        (2, _) => [1, XEN_FIRST_MSR, FEATURE_PRESERVE_AD, 0],
        (3, 0) => {
            let flags = u32::from(tsc.reliable) << 1 | u32::from(view.support.tsc_aux) << 2;
            [flags, TSC_NEVER_EMULATED, tsc.khz, tsc.incarnation]
        }
        (3, 1) => [0, 0, tsc.to_ns_mul, i32::from(tsc.to_ns_shift) as u32],
        (3, 2) => [tsc.khz, 0, 0, 0],
        // 4 is for HVM guests.
        (5, 0) => [0, view.machine_address_width.into(), 0, 0],
        _ => HIDDEN,
    }
}

/// `word`, without `bits` if the condition does not hold.
fn unless(condition: bool, bits: u32, word: u32) -> u32 {
    if condition { word } else { word & !bits }
}
