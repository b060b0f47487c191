//! What guests see of the processor: an allowlist, checked against a processor that claims everything and one like QEMU's.

use domus_hv_core::emulate::cpuid::{Support, TscInfo, Vendor, View, guest_leaf};

const VIEW: View = View {
    vcpu: 5,
    machine_address_width: 40,
    support: Support { fsgsbase: true, tsc_aux: true },
    tsc: TscInfo { khz: 2_400_000, to_ns_mul: 0xd555_5555, to_ns_shift: -1, reliable: true, incarnation: 3 },
};

fn vendor_leaf(name: &[u8; 12], max: u32) -> [u32; 4] {
    let word = |at: usize| u32::from_le_bytes(name[at..at + 4].try_into().unwrap());
    [max, word(0), word(8), word(4)]
}

/// Every bit of every leaf set, but for what the vendor leaves hold.
fn everything(name: &'static [u8; 12]) -> impl Fn(u32, u32) -> [u32; 4] {
    move |leaf, _| match leaf {
        0 => vendor_leaf(name, 0x20),
        0x8000_0000 => vendor_leaf(name, 0x8000_0028),
        _ => [u32::MAX; 4],
    }
}

fn intel(leaf: u32, subleaf: u32) -> [u32; 4] {
    guest_leaf(&everything(b"GenuineIntel"), &VIEW, leaf, subleaf)
}

fn amd(leaf: u32, subleaf: u32) -> [u32; 4] {
    guest_leaf(&everything(b"AuthenticAMD"), &VIEW, leaf, subleaf)
}

fn has(word: u32, bit: u32) -> bool {
    word & 1 << bit != 0
}

#[test]
fn vendors() {
    assert_eq!(Vendor::of(&everything(b"GenuineIntel")), Vendor::Intel);
    assert_eq!(Vendor::of(&everything(b"AuthenticAMD")), Vendor::Amd);
    assert_eq!(Vendor::of(&everything(b"HygonGenuine")), Vendor::Amd);
    assert_eq!(Vendor::of(&everything(b"CentaurHauls")), Vendor::Other);
}

#[test]
fn what_linux_cannot_do_without_is_there() {
    let [_, ebx, ecx, edx] = intel(1, 0);
    // FPU TSC MSR PAE CX8 CMOV FXSR SSE SSE2; CX16; hypervisor.
    for bit in [0, 4, 5, 6, 8, 15, 24, 25, 26] {
        assert!(has(edx, bit), "{bit}");
    }
    assert!(has(ecx, 13) && has(ecx, 31));
    assert_eq!((ebx >> 24, ebx >> 16 & 0xff), (5, 1));
    let [_, _, ecx, edx] = intel(0x8000_0001, 0);
    // SYSCALL NX LM; LAHF_LM.
    assert!(has(edx, 11) && has(edx, 20) && has(edx, 29) && has(ecx, 0));
}

#[test]
fn what_the_hypervisor_keeps_is_hidden() {
    let [_, _, ecx, edx] = intel(1, 0);
    // VME PSE MTRR PGE PSE36 DS HTT TM PBE.
    for bit in [1, 3, 12, 13, 17, 18, 21, 28, 29, 30, 31] {
        assert!(!has(edx, bit), "{bit}");
    }
    // DTES64 MONITOR DSCPL VMX SMX EIST TM2 FMA XTPR PDCM PCID DCA X2APIC TSC_DEADLINE XSAVE OSXSAVE AVX F16C.
    for bit in [2, 3, 4, 5, 6, 7, 8, 12, 14, 15, 17, 18, 21, 24, 26, 27, 28, 29] {
        assert!(!has(ecx, bit), "{bit}");
    }
    let [max, ebx, ecx, edx] = intel(7, 0);
    assert_eq!(max, 2);
    // TSC_ADJUST SGX HLE AVX2 SMEP INVPCID RTM PQM MPX AVX512F SMAP PT AVX512VL.
    for bit in [1, 2, 4, 5, 7, 10, 11, 12, 14, 15, 16, 17, 20, 21, 25, 26, 27, 28, 30, 31] {
        assert!(!has(ebx, bit), "{bit}");
    }
    // AVX512_VBMI UMIP PKU OSPKE VBMI2 CET_SS VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ LA57 MOVDIRI MOVDIR64B ENQCMD.
    for bit in [1, 2, 3, 4, 6, 7, 9, 10, 11, 12, 14, 16, 27, 28, 29] {
        assert!(!has(ecx, bit), "{bit}");
    }
    // 4VNNIW 4FMAPS VP2INTERSECT TSX_FORCE_ABORT HYBRID CET_IBT FP16 IBRSB STIBP L1D_FLUSH ARCH_CAPS CORE_CAPS SSBD.
    for bit in [2, 3, 8, 13, 15, 20, 23, 26, 27, 28, 29, 30, 31] {
        assert!(!has(edx, bit), "{bit}");
    }
    let [_, _, ecx, edx] = amd(0x8000_0001, 0);
    // PAGE1GB and PSE, PGE, MTRR, which AMD repeats.
    assert!(!has(edx, 26) && !has(edx, 3) && !has(edx, 13) && !has(edx, 12));
    // CMP_LEGACY SVM EXTAPIC CR8 OSVW IBS XOP SKINIT WDT LWP FMA4 NODEID TOPOEXT PERFCTR DBEXT MONITORX.
    for bit in [1, 2, 3, 4, 9, 10, 11, 12, 13, 15, 16, 19, 22, 23, 24, 26, 29] {
        assert!(!has(ecx, bit), "{bit}");
    }
    // IBPB IBRS STIBP SSBD and kin.
    assert_eq!(amd(0x8000_0008, 0)[1] & 0x59df_f200, 0);
}

#[test]
fn leaves_that_nobody_named_are_zero() {
    for leaf in [3, 5, 6, 8, 9, 0xa, 0xc, 0xd, 0xe, 0xf, 0x12, 0x14, 0x15, 0x16, 0x19, 0x1f, 0x20] {
        assert_eq!(intel(leaf, 0), [0; 4], "{leaf:#x}");
    }
    for leaf in [0x8000_0009, 0x8000_000a, 0x8000_001d, 0x8000_001e, 0x8000_001f, 0x8000_0022] {
        assert_eq!(amd(leaf, 0), [0; 4], "{leaf:#x}");
    }
    for leaf in [0x3fff_ffff, 0x4000_0006, 0x4000_0100, 0x7fff_ffff, 0xc000_0000, u32::MAX] {
        assert_eq!(intel(leaf, 0), [0; 4], "{leaf:#x}");
    }
    assert_eq!(intel(7, 3), [0; 4]);
    assert_eq!(intel(0, 0)[0], 0xd);
    assert_eq!(amd(0x8000_0000, 0)[0], 0x8000_0021);
}

#[test]
fn a_guest_sees_no_more_than_the_machine_has() {
    let nothing = |leaf: u32, _| match leaf {
        0 => vendor_leaf(b"AuthenticAMD", 1),
        0x8000_0000 => vendor_leaf(b"AuthenticAMD", 0x8000_0001),
        7 | 0x8000_0008 => panic!("leaf {leaf:#x} is beyond the last"),
        _ => [0; 4],
    };
    assert_eq!(guest_leaf(&nothing, &VIEW, 0, 0)[0], 1);
    // All but the vCPU's number, and that there is a hypervisor.
    assert_eq!(guest_leaf(&nothing, &VIEW, 1, 0), [0, 0x0501_0000, 1 << 31, 0]);
    assert_eq!(guest_leaf(&nothing, &VIEW, 7, 0), [0; 4]);
    assert_eq!(guest_leaf(&nothing, &VIEW, 0x8000_0001, 0), [0; 4]);
    assert_eq!(guest_leaf(&nothing, &VIEW, 0x8000_0008, 0), [0; 4]);
}

#[test]
fn what_is_not_switched_is_not_shown() {
    let view = View { support: Support { fsgsbase: false, tsc_aux: false }, ..VIEW };
    let host = everything(b"GenuineIntel");
    let leaf = |view: &View, leaf| guest_leaf(&host, view, leaf, 0);
    let (shown, hidden) = (leaf(&VIEW, 7), leaf(&view, 7));
    assert_eq!((shown[1] ^ hidden[1], shown[2] ^ hidden[2]), (1, 1 << 22));
    assert_eq!(leaf(&VIEW, 0x8000_0001)[3] ^ leaf(&view, 0x8000_0001)[3], 1 << 27);
}

#[test]
fn topology_is_one_thread_per_package() {
    // Linux numbers threads and cores by shifting the APIC number right by EAX.
    assert_eq!(intel(0xb, 0), [0, 1, 0x100, 5]);
    assert_eq!(intel(0xb, 1), [0, 1, 0x201, 5]);
    assert_eq!(intel(0xb, 2), [0, 0, 2, 5]);
    assert_eq!(intel(4, 0)[0] >> 14, 0);
    assert_eq!(amd(0x8000_0008, 0)[2], 0);
}

#[test]
fn addresses_are_48_bits_wide() {
    let host = |leaf: u32, _| match leaf {
        0x8000_0000 => [0x8000_0008, 0, 0, 0],
        // 46 physical, 57 virtual.
        0x8000_0008 => [57 << 8 | 46, 0, 0x1234, 0],
        _ => [0; 4],
    };
    assert_eq!(guest_leaf(&host, &VIEW, 0x8000_0008, 0), [48 << 8 | 46, 0, 0, 0]);
}

#[test]
fn the_hypervisor_introduces_itself() {
    let [max, ebx, ecx, edx] = intel(0x4000_0000, 0);
    let name: Vec<u8> = [ebx, ecx, edx].iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!((max, name.as_slice()), (0x4000_0005, &b"XenVMMXenVMM"[..]));
    assert_eq!(intel(0x4000_0001, 0), [4 << 16 | 17, 0, 0, 0]);
    assert_eq!(intel(0x4000_0002, 0), [1, 0x4000_0000, 1, 0]);
    assert_eq!(intel(0x4000_0003, 0), [0b110, 2, 2_400_000, 3]);
    assert_eq!(intel(0x4000_0003, 1), [0, 0, 0xd555_5555, -1i32 as u32]);
    assert_eq!(intel(0x4000_0003, 2), [2_400_000, 0, 0, 0]);
    assert_eq!(intel(0x4000_0004, 0), [0; 4]);
    assert_eq!(intel(0x4000_0005, 0), [0, 40, 0, 0]);
}

/// The masks once more, computed by a script from the marks in `cpufeatureset.h`, less what the module's documentation takes away.
#[test]
fn feature_words() {
    assert_eq!(intel(1, 0)[3], 0x0fc9_c3f5);
    assert_eq!(intel(1, 0)[2], 0x42d8_2203 | 1 << 31);
    assert_eq!(intel(7, 0), [2, 0x218c_2349, 0x0240_0101, 0x4410]);
    assert_eq!(intel(7, 1), [0x1c00, 0, 0, 0]);
    assert_eq!(intel(7, 2), [0, 0, 0, 0x20]);
    assert_eq!(intel(0x8000_0001, 0), [0, 0, 0x0020_01e1, 0xe850_0800]);
    let repeated = 0x0fc9_c3f5 & 0x0183_f3ff;
    let all = u32::MAX;
    assert_eq!(amd(0x8000_0001, 0), [all, all, 0x0020_01e1, 0xe850_0800 | repeated]);
    assert_eq!(amd(0x8000_0007, 0), [0, 0, 0, 0x100]);
    assert_eq!(amd(0x8000_0008, 0), [48 << 8 | 0xff, 0x2400_0005, 0, 0]);
    assert_eq!(amd(0x8000_0021, 0), [0x6000_0064, 0, 6, 0]);
}

#[test]
fn what_is_only_description_passes() {
    let host = |leaf: u32, subleaf: u32| match leaf {
        0 => vendor_leaf(b"GenuineIntel", 0xd),
        0x8000_0000 => vendor_leaf(b"GenuineIntel", 0x8000_0008),
        _ => [leaf, subleaf, leaf ^ 1, subleaf ^ 1],
    };
    for leaf in [2, 0x8000_0002, 0x8000_0003, 0x8000_0004, 0x8000_0005, 0x8000_0006] {
        assert_eq!(guest_leaf(&host, &VIEW, leaf, 0), host(leaf, 0));
    }
    assert_eq!(guest_leaf(&host, &VIEW, 0, 0), host(0, 0));
    assert_eq!(guest_leaf(&host, &VIEW, 0x8000_0000, 0), host(0x8000_0000, 0));
    // Each level of cache is a subleaf of its own.
    assert_eq!(guest_leaf(&host, &VIEW, 4, 3), host(4, 3));
    // Family, model and stepping; the size of a cache line.
    assert_eq!(guest_leaf(&host, &VIEW, 1, 0)[..2], [1, 0x0501_0000]);
}
