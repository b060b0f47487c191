//! Which CPUID feature bits a PV guest may see: a mask for each word, everything else is hidden.
//!
//! The bits are those that `arch-x86/cpufeatureset.h` (libxen-dev) marks `A`, with its numbering of words, less those that need
//! something which the hypervisor does not do yet:
//! - XSAVE and all state behind it (AVX, FMA, F16C, XOP, FMA4, AVX2, AVX-512, VAES, VPCLMULQDQ, AVX-VNNI): only FXSAVE is switched;
//! - the controls of speculation (IBRS, IBPB, STIBP, SSBD, PSFD, ARCH_CAPS, SBPB and their kin): no MSR_SPEC_CTRL is kept for a vCPU;
//! - SEP: nothing enters a guest's sysenter handler (a 32-bit program of Linux would die of the instruction);
//! - DBEXT (its mask registers are not switched), RTM and FFXSR.

/// A word with these bits set.
const fn bits(numbers: &[u8]) -> u32 {
    let mut word = 0;
    let mut i = 0;
    while i < numbers.len() {
        word |= 1 << numbers[i];
        i += 1;
    }
    word
}

/// Leaf 1, EDX (word 0): FPU DE TSC MSR PAE MCE CX8 APIC MCA CMOV PAT CLFLUSH ACPI MMX FXSR SSE SSE2 SS.
pub const LEAF_1_EDX: u32 = bits(&[0, 2, 4, 5, 6, 7, 8, 9, 14, 15, 16, 19, 22, 23, 24, 25, 26, 27]);
/// Leaf 1, ECX (word 1): SSE3 PCLMULQDQ SSSE3 CX16 SSE4.1 SSE4.2 MOVBE POPCNT AESNI RDRAND.
pub const LEAF_1_ECX: u32 = bits(&[0, 1, 9, 13, 19, 20, 22, 23, 25, 30]);
/// Leaf 1, ECX: there is a hypervisor.
pub const HYPERVISOR: u32 = bits(&[31]);
/// Leaf 0x80000001, EDX (word 2): SYSCALL NX MMXEXT RDTSCP LM 3DNOWEXT 3DNOW.
pub const EXT_1_EDX: u32 = bits(&[11, 20, 22, 27, 29, 30, 31]);
/// Leaf 0x80000001, EDX: RDTSCP.
pub const RDTSCP: u32 = bits(&[27]);
/// Bits of leaf 1, EDX that AMD repeats in leaf 0x80000001, EDX.
pub const AMD_COMMON_EDX: u32 = 0x0183_f3ff;
/// Leaf 0x80000001, ECX (word 3): LAHF_LM ABM SSE4A MISALIGNSSE 3DNOWPREFETCH TBM.
pub const EXT_1_ECX: u32 = bits(&[0, 5, 6, 7, 8, 21]);
/// Leaf 7.0, EBX (word 5): FSGSBASE BMI1 FDP_EXCP_ONLY BMI2 ERMS NO_FPU_SEL RDSEED ADX CLFLUSHOPT CLWB SHA.
pub const LEAF_7_EBX: u32 = bits(&[0, 3, 6, 8, 9, 13, 18, 19, 23, 24, 29]);
/// Leaf 7.0, EBX: FSGSBASE.
pub const FSGSBASE: u32 = bits(&[0]);
/// Leaf 7.0, ECX (word 6): PREFETCHWT1 GFNI RDPID CLDEMOTE.
pub const LEAF_7_ECX: u32 = bits(&[0, 8, 22, 25]);
/// Leaf 7.0, ECX: RDPID.
pub const RDPID: u32 = bits(&[22]);
/// Leaf 7.0, EDX (word 9): FSRM MD_CLEAR SERIALIZE.
pub const LEAF_7_EDX: u32 = bits(&[4, 10, 14]);
/// Leaf 7.1, EAX (word 10): FZRM FSRS FSRCS.
pub const LEAF_7_1_EAX: u32 = bits(&[10, 11, 12]);
/// Leaf 7.2, EDX (word 13): MCDT_NO.
pub const LEAF_7_2_EDX: u32 = bits(&[5]);
/// Leaf 0x80000007, EDX (word 7): invariant TSC.
pub const EXT_7_EDX: u32 = bits(&[8]);
/// Leaf 0x80000008, EBX (word 8): CLZERO RSTR_FP_ERR_PTRS SSB_NO BTC_NO.
pub const EXT_8_EBX: u32 = bits(&[0, 2, 26, 29]);
/// Leaf 0x80000021, EAX (word 11): LFENCE_DISPATCH VERW_CLEAR NSCB SRSO_NO SRSO_US_NO.
pub const EXT_21_EAX: u32 = bits(&[2, 5, 6, 29, 30]);
/// Leaf 0x80000021, ECX (word 18): TSA_SQ_NO TSA_L1_NO.
pub const EXT_21_ECX: u32 = bits(&[1, 2]);
