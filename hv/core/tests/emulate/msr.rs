//! Model-specific registers that guests are known to touch.

use domus_hv_core::emulate::cpuid::Vendor;
use domus_hv_core::emulate::msr::{Context, MsrRead, MsrWrite, PAT, read, write};

const INTEL: Context = Context { vendor: Vendor::Intel, first_vcpu: true, has_gp_handler: true, tsc_aux: true };
const AMD: Context = Context { vendor: Vendor::Amd, ..INTEL };
const EARLY: Context = Context { has_gp_handler: false, ..INTEL };

#[test]
fn segment_bases() {
    let base = 0xffff_8880_0000_0000;
    assert_eq!(write(0xc000_0100, base, &EARLY), MsrWrite::FsBase(base));
    assert_eq!(write(0xc000_0101, base, &EARLY), MsrWrite::GsBaseKernel(base));
    assert_eq!(write(0xc000_0102, 0, &EARLY), MsrWrite::GsBaseUser(0));
    assert_eq!(read(0xc000_0101, &INTEL), MsrRead::GsBaseKernel);
    for msr in 0xc000_0100..=0xc000_0102 {
        for bad in [0x8000_0000_0000, 0xffff_7fff_ffff_ffff, 1 << 63] {
            assert_eq!(write(msr, bad, &INTEL), MsrWrite::Fault);
        }
        for good in [0x7fff_ffff_ffff, 0xffff_8000_0000_0000, u64::MAX] {
            assert_ne!(write(msr, good, &INTEL), MsrWrite::Fault);
        }
    }
}

#[test]
fn efer_and_pat_keep_their_values() {
    assert_eq!(read(0xc000_0080, &INTEL), MsrRead::Host { and: 0xd01, or: 0 });
    assert_eq!(write(0xc000_0080, 0x500, &INTEL), MsrWrite::IfUnchanged { and: 0xd01, or: 0 });
    assert_eq!(read(0x277, &INTEL), MsrRead::Value(PAT));
    assert_eq!(write(0x277, PAT, &INTEL), MsrWrite::Fault);
    assert_eq!(write(0x277, PAT ^ 1, &INTEL), MsrWrite::Fault);
}

#[test]
fn read_by_linux_without_a_safety_net() {
    assert_eq!(read(0x1b, &INTEL), MsrRead::Value(0xfee0_0900));
    let second = Context { first_vcpu: false, ..INTEL };
    assert_eq!(read(0x1b, &second), MsrRead::Value(0xfee0_0800));
    for msr in [0x10, 0x17, 0x3a, 0x8b, 0xce, 0x140, 0x179, 0x1a0] {
        assert_ne!(read(msr, &INTEL), MsrRead::Fault, "{msr:#x}");
    }
    for msr in [0x10, 0x8b, 0x179, 0xc001_0015, 0xc001_001f, 0xc001_1029, 0xc001_0064] {
        assert_ne!(read(msr, &AMD), MsrRead::Fault, "{msr:#x}");
    }
    // The microcode revision is read by writing 0 first, on Intel.
    assert_eq!(write(0x8b, 0, &INTEL), MsrWrite::Ignore);
    assert_eq!(write(0x8b, 1, &INTEL), MsrWrite::Fault);
    assert_eq!(write(0x8b, 0, &AMD), MsrWrite::Fault);
    assert_eq!(write(0x140, 0, &INTEL), MsrWrite::Ignore);
    assert_eq!(write(0x140, 1, &INTEL), MsrWrite::Fault);
}

#[test]
fn what_is_hidden_faults() {
    // SPEC_CTRL, PRED_CMD, ARCH_CAPABILITIES, TSC_ADJUST, x2APIC, XSS, STAR, LSTAR, VM_CR, SYSENTER_EIP, LBR.
    let hidden = [0x48, 0x49, 0x10a, 0x3b, 0x800, 0x83f, 0xda0, 0xc000_0081, 0xc000_0082, 0xc001_0114, 0x176, 0x1d9];
    for msr in hidden {
        assert_eq!(read(msr, &INTEL), MsrRead::Fault, "{msr:#x}");
        assert_eq!(write(msr, 0, &INTEL), MsrWrite::Fault, "{msr:#x}");
        assert_eq!(write(msr, 0, &EARLY), MsrWrite::Fault, "{msr:#x}");
    }
}

#[test]
fn before_there_is_a_handler_reads_give_zero() {
    for msr in [0x48, 0x3b, 0xdead_beef] {
        assert_eq!(read(msr, &EARLY), MsrRead::Value(0));
    }
    assert_eq!(read(0x4000_0001, &EARLY), MsrRead::Fault);
}

#[test]
fn vendors_have_their_own() {
    assert_eq!(read(0x3a, &AMD), MsrRead::Fault);
    assert_eq!(read(0xc001_0015, &INTEL), MsrRead::Fault);
    assert_eq!(read(0xc001_0060, &AMD), MsrRead::Fault);
    assert_eq!(read(0xc001_006c, &AMD), MsrRead::Fault);
}

#[test]
fn tsc_aux_only_if_switched() {
    assert_eq!(read(0xc000_0103, &INTEL), MsrRead::TscAux);
    assert_eq!(write(0xc000_0103, 0x1003, &INTEL), MsrWrite::TscAux(0x1003));
    assert_eq!(write(0xc000_0103, 1 << 32, &INTEL), MsrWrite::Fault);
    let without = Context { tsc_aux: false, ..INTEL };
    assert_eq!(read(0xc000_0103, &without), MsrRead::Fault);
    assert_eq!(write(0xc000_0103, 1, &without), MsrWrite::Fault);
}

#[test]
fn hypercall_page() {
    assert_eq!(read(0x4000_0000, &INTEL), MsrRead::Value(0));
    assert_eq!(write(0x4000_0000, 0x12_3000, &INTEL), MsrWrite::HypercallPage(0x123));
    assert_eq!(write(0x4000_0000, 0x12_3001, &INTEL), MsrWrite::Fault);
}

#[test]
fn misc_enable_hides_what_guests_cannot_use() {
    let shown = MsrRead::Host { and: !(1 << 7 | 1 << 18), or: 0x80_1800 };
    assert_eq!(read(0x1a0, &INTEL), shown);
    assert_eq!(write(0x1a0, 0, &INTEL), MsrWrite::Ignore);
}

#[test]
fn what_is_not_there_reads_as_zero() {
    for msr in [0x0, 0x1, 0xce, 0x140, 0x179, 0x17a, 0x198, 0x199, 0x19c, 0x345, 0x400, 0x47f] {
        assert_eq!(read(msr, &INTEL), MsrRead::Value(0), "{msr:#x}");
    }
    for msr in [0xc001_0015, 0xc001_001f, 0xc001_0041, 0xc001_0042, 0xc001_0061, 0xc001_006b] {
        assert_eq!(read(msr, &AMD), MsrRead::Value(0), "{msr:#x}");
        assert_eq!(write(msr, 1, &AMD), MsrWrite::Ignore, "{msr:#x}");
    }
    assert_eq!(read(0x3a, &INTEL), MsrRead::Value(1));
    assert_eq!(read(0xc001_1029, &AMD), MsrRead::Host { and: 2, or: 0 });
    assert_eq!(read(0x480, &INTEL), MsrRead::Fault);
}
