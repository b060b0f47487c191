//! Corners of traps and of emulated instructions.

use core::arch::asm;
use core::mem::offset_of;

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::scratch::{PAGE, address, leaf, update};
use domus_test_kernels::{caught, holds, same, trap, user, user_code};
use pv_guest_sdk::abi::hypercall::{SET_DEBUGREG, XEN_VERSION};
use pv_guest_sdk::abi::layout::MACH2PHYS_VIRT_START;
use pv_guest_sdk::abi::shared_info::VcpuInfo;
use pv_guest_sdk::{BootInfo, events, hypercall};

pub const CHECKS: &[Check] = &[
    ("a frame keeps the upcall mask as it was, not only whether it was", whole_mask),
    ("a hypercall is one step", step_over_a_call),
    ("with CR4.DE there are no debug registers 4 and 5", no_old_names),
    ("the PAT cannot be written, not even with what it holds", pat),
    ("SYSENTER is not offered", no_sysenter),
    ("user mode does not see whose the machine's frames are", hidden_from_user_mode),
];

fn whole_mask() -> Outcome {
    let window = address();
    holds!(BootInfo::get().is_some_and(|info| update(leaf(window), info.start_info().shared_info | PAGE).is_ok()));
    // Any value but 0 masks. The probe itself masks by 1, so this is written behind it.
    let mask = window + offset_of!(VcpuInfo, evtchn_upcall_mask) as u64;
    let trap = trap!("mov byte ptr [{}], 7", "ud2", in(reg) mask);
    events::unmask_upcalls();
    same!(trap.frame.cs >> 32 & 0xff, 7);
    Ok(())
}

fn step_over_a_call() -> Outcome {
    let trap = trap!(
        "lea rsi, [rip + 2f]",
        "pushfq",
        "or dword ptr [rsp], 0x100",
        "popfq",
        "syscall",
        "2:",
        "nop",
        "nop",
        in("rax") XEN_VERSION,
        in("rdi") 99u64,
        out("rsi") _,
        out("rcx") _,
        out("r11") _
    );
    // SAFETY: clears a status.
    let _ = unsafe { hypercall::call(SET_DEBUGREG, [6, 0, 0, 0, 0]) };
    same!((trap.kind(), trap.frame.rip), ((1, 0), trap.frame.rsi));
    Ok(())
}

fn no_old_names() -> Outcome {
    const DE: u64 = 1 << 3;
    let cr4: u64;
    // SAFETY: emulated.
    unsafe { asm!("mov {}, cr4", out(reg) cr4) };
    // SAFETY: emulated; restored below.
    unsafe { asm!("mov cr4, {}", in(reg) cr4 | DE) };
    let read = trap!(".byte 0x0f, 0x21, 0xe0", out("rax") _);
    let written = trap!(".byte 0x0f, 0x23, 0xe8", in("rax") 0x400u64);
    // SAFETY: as above.
    unsafe { asm!("mov cr4, {}", in(reg) cr4) };
    same!((read.kind(), written.kind()), ((6, 0), (6, 0)));
    Ok(())
}

fn pat() -> Outcome {
    let trap = trap!("wrmsr", in("ecx") 0x277, in("eax") 0x0007_0406, in("edx") 0x0501);
    same!(trap.kind(), (13, 0));
    Ok(())
}

fn no_sysenter() -> Outcome {
    let edx: u32;
    // SAFETY: emulated; rbx is restored.
    unsafe {
        asm!(
            "mov {keep}, rbx", ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e", "cpuid", "mov rbx, {keep}",
            keep = out(reg) _, inout("eax") 1 => _, inout("ecx") 0 => _, out("edx") edx
        );
    }
    same!(edx & 1 << 11, 0);
    Ok(())
}

user_code! {
    user_read: "mov rax, [rdi]", "ret";
}

fn hidden_from_user_mode() -> Outcome {
    let (trap, _) = user::call(user_read, |frame| frame.rdi = MACH2PHYS_VIRT_START);
    // Not present, read, from user mode.
    same!(trap.map(|trap| (trap.kind(), trap.cr2)), Some(((14, 4), MACH2PHYS_VIRT_START)));
    holds!(caught!("mov {}, [{}]", out(reg) _, in(reg) MACH2PHYS_VIRT_START).is_none());
    Ok(())
}
