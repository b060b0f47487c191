//! Each privileged or sensitive instruction, from the guest kernel and from user mode: what comes of it. The table is Xen's behaviour.

use core::arch::asm;

use domus_test_kernels::probe::{self, Trap};
use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{fail, user};
use pv_guest_sdk::traps;

pub const CHECKS: &[Check] = &[
    ("instructions from the guest kernel do what they may, or fault", from_kernel),
    ("instructions from user mode do what they may, or fault", from_user),
];

/// What comes of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is executed, or emulated.
    Runs,
    /// A general protection fault with this error code.
    GP(u64),
    /// An invalid opcode.
    UD,
    /// A breakpoint.
    BP,
    /// A system call of user mode.
    Call,
    /// Depends on the processor or on features that are hidden: it runs, or it is #GP or #UD.
    Harmless,
}

impl End {
    fn of(trap: Option<Trap>) -> Option<End> {
        let Some(trap) = trap else { return Some(End::Runs) };
        Some(match trap.kind() {
            (13, code) => End::GP(code),
            (6, 0) => End::UD,
            (3, 0) => End::BP,
            (vector, 0) if vector == traps::SYSCALL as u64 => End::Call,
            _ => return None,
        })
    }

    fn allows(self, end: Option<End>) -> bool {
        match self {
            End::Harmless => matches!(end, Some(End::Runs | End::UD | End::GP(0))),
            exactly => end == Some(exactly),
        }
    }
}

/// An instruction, with what leads up to it.
struct Row {
    name: &'static str,
    code: unsafe extern "C" fn(),
    kernel: End,
    user: End,
}

macro_rules! table {
    ($($name:ident: $kernel:expr, $user:expr, $($line:literal),+;)*) => {
        domus_test_kernels::user_code! { $($name: $($line),+, "ret";)* }
        const TABLE: &[Row] = {
            use End::*;
            &[$(Row { name: stringify!($name), code: $name, kernel: $kernel, user: $user }),*]
        };
    };
}

table! {
    cli: GP(0), GP(0), "cli";
    sti: GP(0), GP(0), "sti";
    hlt: GP(0), GP(0), "hlt";
    clts: Runs, GP(0), "clts";
    wbinvd: Runs, GP(0), "wbinvd";
    invd: GP(0), GP(0), "invd";
    invlpg: GP(0), GP(0), "invlpg [rsp]";
    lgdt: GP(0), GP(0), "lgdt [rsp]";
    lidt: GP(0), GP(0), "lidt [rsp]";
    lldt: GP(0), GP(0), "xor eax, eax", "lldt ax";
    ltr: GP(0), GP(0), "xor eax, eax", "ltr ax";
    lmsw: GP(0), GP(0), "xor eax, eax", "lmsw ax";
    smsw: Harmless, Harmless, "smsw eax";
    swapgs: GP(0), GP(0), "swapgs";
    sysret: Harmless, Harmless, "sysretq";
    iretq_hv: GP(0xe008), GP(0xe008), "push 0", "push rsp", "push 2", "push 0xe008", "push 0", "iretq";
    in_imm: GP(0), GP(0), "in al, 0x80";
    in_dx: GP(0), GP(0), "mov edx, 0x3fd", "in al, dx";
    out_dx: GP(0), GP(0), "mov edx, 0x3f8", "mov al, 65", "out dx, al";
    insb: GP(0), GP(0), "mov edx, 0x3fd", "lea rdi, [rsp - 64]", "insb";
    mov_cr0: Runs, GP(0), "mov rax, cr0";
    mov_cr0_same: Runs, GP(0), "mov rax, cr0", "mov cr0, rax";
    mov_cr0_wp: GP(0), GP(0), "mov rax, cr0", "btc rax, 16", "mov cr0, rax";
    mov_cr0_pg: GP(0), GP(0), "xor eax, eax", "mov cr0, rax";
    mov_cr2: Runs, GP(0), "mov rax, cr2";
    mov_cr3: Runs, GP(0), "mov rax, cr3";
    mov_cr3_garbage: GP(0), GP(0), "mov rax, 0x12345000", "mov cr3, rax";
    mov_cr4: Runs, GP(0), "mov rax, cr4";
    mov_cr4_same: Runs, GP(0), "mov rax, cr4", "mov cr4, rax";
    mov_cr4_smep: Runs, GP(0), "mov rax, cr4", "btc rax, 20", "mov cr4, rax";
    mov_cr4_pae: Runs, GP(0), "xor eax, eax", "mov cr4, rax";
    mov_cr8: GP(0), GP(0), "mov rax, cr8";
    mov_to_cr8: GP(0), GP(0), "xor eax, eax", "mov cr8, rax";
    mov_dr0: Runs, GP(0), "mov rax, dr0";
    mov_dr6: Runs, GP(0), "mov rax, dr6";
    mov_dr7: Runs, GP(0), "mov rax, dr7";
    mov_to_dr7_gd: GP(0), GP(0), "mov eax, 0x2400", "mov dr7, rax";
    mov_to_dr0_hv: GP(0), GP(0), "mov rax, 0xffff82d040200000", "mov dr0, rax";
    rdpmc: GP(0), GP(0), "xor ecx, ecx", "rdpmc";
    rdtsc: Runs, Runs, "rdtsc";
    rdtscp: Harmless, Harmless, "rdtscp";
    rdmsr_efer: Runs, GP(0), "mov ecx, 0xc0000080", "rdmsr";
    wrmsr_efer: Runs, GP(0), "mov ecx, 0xc0000080", "rdmsr", "wrmsr";
    wrmsr_efer_off: GP(0), GP(0), "mov ecx, 0xc0000080", "xor eax, eax", "xor edx, edx", "wrmsr";
    rdmsr_star: GP(0), GP(0), "mov ecx, 0xc0000081", "rdmsr";
    wrmsr_star: GP(0), GP(0), "mov ecx, 0xc0000081", "xor eax, eax", "xor edx, edx", "wrmsr";
    rdmsr_lstar: GP(0), GP(0), "mov ecx, 0xc0000082", "rdmsr";
    wrmsr_lstar: GP(0), GP(0), "mov ecx, 0xc0000082", "xor eax, eax", "xor edx, edx", "wrmsr";
    wrmsr_fmask: GP(0), GP(0), "mov ecx, 0xc0000084", "xor eax, eax", "xor edx, edx", "wrmsr";
    wrmsr_sysenter: GP(0), GP(0), "mov ecx, 0x176", "xor eax, eax", "xor edx, edx", "wrmsr";
    rdmsr_apic: Runs, GP(0), "mov ecx, 0x1b", "rdmsr";
    wrmsr_apic: GP(0), GP(0), "mov ecx, 0x1b", "xor eax, eax", "xor edx, edx", "wrmsr";
    rdmsr_x2apic: GP(0), GP(0), "mov ecx, 0x802", "rdmsr";
    wrmsr_x2apic_icr: GP(0), GP(0), "mov ecx, 0x830", "xor eax, eax", "xor edx, edx", "wrmsr";
    rdmsr_pat: Runs, GP(0), "mov ecx, 0x277", "rdmsr";
    wrmsr_pat: GP(0), GP(0), "mov ecx, 0x277", "xor eax, eax", "xor edx, edx", "wrmsr";
    rdmsr_misc: Runs, GP(0), "mov ecx, 0x1a0", "rdmsr";
    wrmsr_mtrr: GP(0), GP(0), "mov ecx, 0x2ff", "xor eax, eax", "xor edx, edx", "wrmsr";
    rdmsr_mtrr: GP(0), GP(0), "mov ecx, 0x2ff", "rdmsr";
    wrmsr_tsc: GP(0), GP(0), "mov ecx, 0x10", "xor eax, eax", "xor edx, edx", "wrmsr";
    wrmsr_debugctl: GP(0), GP(0), "mov ecx, 0x1d9", "mov eax, 0x41", "xor edx, edx", "wrmsr";
    wrmsr_svm: GP(0), GP(0), "mov ecx, 0xc0010117", "xor eax, eax", "xor edx, edx", "wrmsr";
    rdmsr_unknown: GP(0), GP(0), "mov ecx, 0x12345678", "rdmsr";
    wrmsr_unknown: GP(0), GP(0), "mov ecx, 0x12345678", "wrmsr";
    rdmsr_xen: Runs, GP(0), "mov ecx, 0x40000000", "rdmsr";
    wrmsr_hypercall_page: GP(0), GP(0), "mov ecx, 0x40000000", "mov eax, 0xfffff000", "mov edx, 0xffff", "wrmsr";
    wrmsr_gs: GP(0), GP(0), "mov ecx, 0xc0000101", "xor eax, eax", "mov edx, 0x10000000", "wrmsr";
    wrmsr_kernel_gs: GP(0), GP(0), "mov ecx, 0xc0000102", "xor eax, eax", "mov edx, 0x10000000", "wrmsr";
    wrmsr_fs: GP(0), GP(0), "mov ecx, 0xc0000100", "xor eax, eax", "mov edx, 0x10000000", "wrmsr";
    wrmsr_tsc_aux: Harmless, Harmless, "mov ecx, 0xc0000103", "xor eax, eax", "xor edx, edx", "wrmsr";
    xsetbv: Harmless, Harmless, "xor ecx, ecx", "mov eax, 1", "xor edx, edx", "xsetbv";
    xgetbv: Harmless, Harmless, "xor ecx, ecx", "xgetbv";
    monitor: Harmless, Harmless, "mov rax, rsp", "xor ecx, ecx", "xor edx, edx", "monitor";
    mwait: Harmless, Harmless, "xor eax, eax", "xor ecx, ecx", "mwait";
    rsm: UD, UD, "rsm";
    vmcall: UD, UD, "vmcall";
    vmmcall: UD, UD, "vmmcall";
    vmrun: Harmless, Harmless, "xor eax, eax", ".byte 0x0f, 0x01, 0xd8";
    stgi: Harmless, Harmless, "stgi";
    clac: UD, UD, "clac";
    stac: UD, UD, "stac";
    rdfsbase: UD, UD, "rdfsbase rax";
    wrgsbase: UD, UD, "rdgsbase rax", "wrgsbase rax";
    jmp_far_hv: GP(0xe008), GP(0xe008), "push 0xe008", "push 0", ".byte 0x48, 0xff, 0x2c, 0x24";
    load_ds_hv: GP(0xe010), GP(0xe010), "mov eax, 0xe010", "mov ds, eax";
    load_ss_hv: GP(0xe010), GP(0xe010), "mov eax, 0xe010", "mov ss, eax";
    load_fs_bad: GP(0x1234), GP(0x1234), "mov eax, 0x1234", "mov fs, eax";
    sysenter: Harmless, Harmless, "sysenter";
    icebp: UD, UD, ".byte 0xf1";
    into_int3: BP, BP, ".byte 0xcd, 0x03";
    syscall_number: Runs, Call, "mov eax, 999", "syscall";
    forced_cpuid: Runs, Runs, "push rbx", "mov eax, 0x40000000", ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2", "mov eax, ebx", "pop rbx";
    forced_hlt: UD, UD, ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e, 0xf4";
}

fn from_kernel() -> Outcome {
    for row in TABLE {
        let code = row.code;
        let trap = probe::catch(|| {
            // SAFETY: a probe; if it returns, it has changed no more than a call may.
            unsafe { asm!("call {}", in(reg) code, clobber_abi("C")) }
        });
        let end = End::of(trap);
        if !row.kernel.allows(end) {
            fail!("{}: {:x?} ({:x?}), not {:x?}", row.name, end, trap.map(|trap| trap.kind()), row.kernel);
        }
    }
    Ok(())
}

fn from_user() -> Outcome {
    for row in TABLE {
        let (trap, _) = user::call(row.code, |_| {});
        let end = End::of(trap);
        if !row.user.allows(end) {
            fail!("{}: {:x?} ({:x?}), not {:x?}", row.name, end, trap.map(|trap| trap.kind()), row.user);
        }
    }
    Ok(())
}
