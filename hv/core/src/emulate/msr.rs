//! What happens when a guest reads or writes a model-specific register: one table.
//!
//! Linux touches a few dozen, some without a handler for the fault. A register that no row names is a #GP, except that reads give zero
//! while the guest has no #GP handler yet, for early boot code does not expect one. STAR, LSTAR, SYSENTER and their like have no row:
//! guests set those entry points by hypercall.

use super::cpuid::{Vendor, XEN_FIRST_MSR};

/// What the hardware's PAT is on every CPU, and what guests read: WB, WT, UC-, UC, WC, WP, UC, UC (`mmu_update` flags rely on it).
pub const PAT: u64 = 0x0000_0501_0007_0406;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// The processor.
    pub vendor: Vendor,
    /// vCPU 0.
    pub first_vcpu: bool,
    /// The guest has registered a handler for #GP.
    pub has_gp_handler: bool,
    /// MSR_TSC_AUX is switched with the vCPU (see [`super::cpuid::Support`]).
    pub tsc_aux: bool,
}

/// Answer to RDMSR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MsrRead {
    /// This.
    Value(u64),
    /// The machine's own value `& and | or`; #GP if the machine has no such register.
    Host {
        /// Bits of the machine's that show.
        and: u64,
        /// Bits that are always set.
        or: u64,
    },
    /// The TSC.
    Tsc,
    /// Base of FS.
    FsBase,
    /// Base of GS in kernel mode.
    GsBaseKernel,
    /// Base of GS in user mode.
    GsBaseUser,
    /// The vCPU's TSC_AUX.
    TscAux,
    /// #GP.
    Fault,
}

/// Answer to WRMSR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MsrWrite {
    /// Accepted without effect.
    Ignore,
    /// Accepted without effect if it is what RDMSR reads (`host & and | or`), otherwise #GP.
    IfUnchanged {
        /// Bits of the machine's that show.
        and: u64,
        /// Bits that are always set.
        or: u64,
    },
    /// Base of FS; canonical.
    FsBase(u64),
    /// Base of GS in kernel mode; canonical.
    GsBaseKernel(u64),
    /// Base of GS in user mode; canonical.
    GsBaseUser(u64),
    /// The vCPU's TSC_AUX.
    TscAux(u32),
    /// Fill the frame with this number with a hypercall page (if the guest owns it and may write it, otherwise #GP).
    HypercallPage(u64),
    /// #GP.
    Fault,
}

/// How a row answers reads.
#[derive(Clone, Copy)]
enum Read {
    Value(u64),
    Host(u64, u64),
    ApicBase,
    Tsc,
    FsBase,
    GsBaseKernel,
    GsBaseUser,
    TscAux,
    Fault,
}

/// How a row answers writes.
#[derive(Clone, Copy)]
enum Write {
    Ignore,
    Only(u64),
    Unchanged,
    FsBase,
    GsBaseKernel,
    GsBaseUser,
    TscAux,
    HypercallPage,
    Fault,
}

struct Row {
    first: u32,
    last: u32,
    vendor: Option<Vendor>,
    read: Read,
    write: Write,
}

const fn all(msr: u32, read: Read, write: Write) -> Row {
    Row { first: msr, last: msr, vendor: None, read, write }
}

const fn on(vendor: Vendor, msr: u32, read: Read, write: Write) -> Row {
    Row { first: msr, last: msr, vendor: Some(vendor), read, write }
}

const fn range(first: u32, last: u32, read: Read, write: Write) -> Row {
    Row { first, last, vendor: None, read, write }
}

const EFER_SHOWN: u64 = 1 << 0 | 1 << 8 | 1 << 10 | 1 << 11;
const APIC_BASE: u64 = 0xfee0_0000 | 1 << 11;
const APIC_BASE_FIRST_CPU: u64 = 1 << 8;
/// IA32_MISC_ENABLE: no performance monitoring, no MONITOR; no BTS, no PEBS, no xTPR messages.
const MISC_ENABLE_AND: u64 = !(1 << 7 | 1 << 18);
const MISC_ENABLE_OR: u64 = 1 << 11 | 1 << 12 | 1 << 23;

/// The policy. The first row that names a register counts.
const ROWS: &[Row] = &[
    // Segment bases: the first things that Linux writes.
    all(0xc000_0100, Read::FsBase, Write::FsBase),
    all(0xc000_0101, Read::GsBaseKernel, Write::GsBaseKernel),
    all(0xc000_0102, Read::GsBaseUser, Write::GsBaseUser),
    all(0xc000_0103, Read::TscAux, Write::TscAux),
    // EFER: SCE, LME, LMA, NXE.
    all(0xc000_0080, Read::Host(EFER_SHOWN, 0), Write::Unchanged),
    all(0x277, Read::Value(PAT), Write::Fault),
    all(0x10, Read::Tsc, Write::Fault),
    // APIC base.
    all(0x1b, Read::ApicBase, Write::Fault),
    // Platform ID: Linux's microcode driver reads it without a safety net.
    on(Vendor::Intel, 0x17, Read::Host(u64::MAX, 0), Write::Fault),
    // Feature control: locked, nothing enabled.
    on(Vendor::Intel, 0x3a, Read::Value(1), Write::Fault),
    // Microcode revision; on Intel one writes 0 before reading it.
    on(Vendor::Intel, 0x8b, Read::Host(u64::MAX, 0), Write::Only(0)),
    on(Vendor::Amd, 0x8b, Read::Host(u64::MAX, 0), Write::Fault),
    // Platform info and misc features: no CPUID faulting.
    all(0xce, Read::Value(0), Write::Fault),
    all(0x140, Read::Value(0), Write::Only(0)),
    // Frequency, temperature, energy: not a guest's business.
    on(Vendor::Intel, 0x198, Read::Value(0), Write::Fault),
    on(Vendor::Intel, 0x199, Read::Value(0), Write::Ignore),
    on(Vendor::Intel, 0x19a, Read::Fault, Write::Ignore),
    on(Vendor::Intel, 0x19c, Read::Value(0), Write::Fault),
    on(Vendor::Intel, 0x1b0, Read::Fault, Write::Ignore),
    on(Vendor::Amd, 0xc001_0041, Read::Value(0), Write::Ignore),
    on(Vendor::Amd, 0xc001_0042, Read::Value(0), Write::Ignore),
    Row { first: 0xc001_0061, last: 0xc001_006b, vendor: Some(Vendor::Amd), read: Read::Value(0), write: Write::Ignore },
    all(0x1a0, Read::Host(MISC_ENABLE_AND, MISC_ENABLE_OR), Write::Ignore),
    // Performance capabilities: none.
    all(0x345, Read::Value(0), Write::Fault),
    // Machine check: a unit without banks.
    range(0x0, 0x1, Read::Value(0), Write::Fault),
    all(0x179, Read::Value(0), Write::Fault),
    all(0x17a, Read::Value(0), Write::Ignore),
    range(0x400, 0x47f, Read::Value(0), Write::Ignore),
    // AMD's configuration registers. DE_CFG shows only that LFENCE serialises, where it does.
    on(Vendor::Amd, 0xc001_0015, Read::Value(0), Write::Ignore),
    on(Vendor::Amd, 0xc001_001f, Read::Value(0), Write::Ignore),
    on(Vendor::Amd, 0xc001_1029, Read::Host(1 << 1, 0), Write::Ignore),
    all(XEN_FIRST_MSR, Read::Value(0), Write::HypercallPage),
];

fn find(msr: u32, vendor: Vendor) -> Option<&'static Row> {
    ROWS.iter().find(|row| (row.first..=row.last).contains(&msr) && row.vendor.is_none_or(|only| only == vendor))
}

/// RDMSR by guest-kernel code.
pub fn read(msr: u32, context: &Context) -> MsrRead {
    let answer = match find(msr, context.vendor).map_or(Read::Fault, |row| row.read) {
        Read::Value(value) => MsrRead::Value(value),
        Read::Host(and, or) => MsrRead::Host { and, or },
        Read::ApicBase if context.first_vcpu => MsrRead::Value(APIC_BASE | APIC_BASE_FIRST_CPU),
        Read::ApicBase => MsrRead::Value(APIC_BASE),
        Read::Tsc => MsrRead::Tsc,
        Read::FsBase => MsrRead::FsBase,
        Read::GsBaseKernel => MsrRead::GsBaseKernel,
        Read::GsBaseUser => MsrRead::GsBaseUser,
        Read::TscAux if context.tsc_aux => MsrRead::TscAux,
        Read::TscAux | Read::Fault => MsrRead::Fault,
    };
    let hypervisor_range = msr >> 16 == XEN_FIRST_MSR >> 16;
    match answer {
        MsrRead::Fault => unhandled(!context.has_gp_handler && !hypervisor_range),
        answer => answer,
    }
}

/// The answer for a register that is not there.
fn unhandled(lenient: bool) -> MsrRead {
    if lenient { MsrRead::Value(0) } else { MsrRead::Fault }
}

/// WRMSR by guest-kernel code.
pub fn write(msr: u32, value: u64, context: &Context) -> MsrWrite {
    let Some(row) = find(msr, context.vendor) else {
        return MsrWrite::Fault;
    };
    match row.write {
        Write::Ignore => MsrWrite::Ignore,
        Write::Only(only) if value == only => MsrWrite::Ignore,
        Write::Unchanged => match row.read {
            Read::Host(and, or) => MsrWrite::IfUnchanged { and, or },
            _ => MsrWrite::Fault,
        },
        Write::FsBase if canonical(value) => MsrWrite::FsBase(value),
        Write::GsBaseKernel if canonical(value) => MsrWrite::GsBaseKernel(value),
        Write::GsBaseUser if canonical(value) => MsrWrite::GsBaseUser(value),
        Write::TscAux if context.tsc_aux => match value.try_into() {
            Ok(aux) => MsrWrite::TscAux(aux),
            Err(_) => MsrWrite::Fault,
        },
        Write::HypercallPage if value & 0xfff == 0 => MsrWrite::HypercallPage(value >> 12),
        _ => MsrWrite::Fault,
    }
}

/// True if an address is canonical with four levels of page tables.
fn canonical(address: u64) -> bool {
    (address << 16) as i64 >> 16 == address as i64
}
