//! Between user mode and kernel mode: system calls, segment bases.

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{holds, same, user, user_code};
use pv_guest_sdk::abi::hypercall::{SET_SEGMENT_BASE, VM_ASSIST};
use pv_guest_sdk::abi::segment::{BASE_FS, BASE_GS_KERNEL, BASE_GS_USER};
use pv_guest_sdk::abi::{Errno, callback, hypercall::CALLBACK_OP};
use pv_guest_sdk::{hypercall, memory, traps};

pub const CHECKS: &[Check] = &[
    ("syscall from user mode reaches the callback, behind the instruction", syscall),
    ("a syscall keeps rax and the arguments", syscall_registers),
    ("syscall callbacks mask events if asked to", syscall_mask),
    ("sysenter without a callback is #GP", sysenter),
    ("FS and GS bases follow the mode", bases),
    ("a base that is not canonical is refused", bad_bases),
    ("user mode sees its own GS base, the kernel its own", user_gs),
    ("callbacks that do not exist are refused", bad_callbacks),
    ("assists that do not exist are refused", bad_assists),
];

user_code! {
    user_syscall: "syscall", "ud2";
    user_syscall_registers: "mov eax, 101", "mov edi, 1", "mov esi, 2", "mov edx, 3", "mov r10d, 4", "mov r8d, 5", "mov r9d, 6", "syscall", "ud2";
    user_sysenter: "sysenter", "ud2";
    user_read_segments: "mov rax, fs:[0]", "mov rbx, gs:[0]", "ud2";
    user_load_null: "xor eax, eax", "mov fs, eax", "mov gs, eax", "ud2";
}

fn syscall() -> Outcome {
    let trap = user::trap(user_syscall);
    same!(trap.frame.vector, traps::SYSCALL as u64);
    same!(trap.frame.rip, user_syscall as *const () as u64 + 2);
    holds!(trap.frame.from_user());
    same!(trap.frame.rsp, user::user_stack());
    Ok(())
}

fn syscall_registers() -> Outcome {
    let f = user::trap(user_syscall_registers).frame;
    same!([f.rax, f.rdi, f.rsi, f.rdx, f.r10, f.r8, f.r9], [101, 1, 2, 3, 4, 5, 6]);
    Ok(())
}

fn syscall_mask() -> Outcome {
    // The SDK registers with the flag.
    let trap = user::trap(user_syscall);
    same!((trap.masked_before(), trap.masked_inside), (false, true));
    Ok(())
}

fn sysenter() -> Outcome {
    let trap = user::trap(user_sysenter);
    // A processor of AMD's make has no SYSENTER in long mode: #UD.
    holds!(matches!(trap.kind(), (13, 0) | (6, 0)));
    Ok(())
}

fn set_base(which: u32, base: u64) -> hypercall::Result {
    // SAFETY: this kernel uses neither FS nor GS.
    unsafe { hypercall::call(SET_SEGMENT_BASE, [which.into(), base, 0, 0, 0]) }
}

fn fs() -> u64 {
    let value;
    // SAFETY: the base is an address of ours.
    unsafe { core::arch::asm!("mov {}, fs:[0]", out(reg) value) };
    value
}

fn gs() -> u64 {
    let value;
    // SAFETY: the base is an address of ours.
    unsafe { core::arch::asm!("mov {}, gs:[0]", out(reg) value) };
    value
}

/// A page whose words are 1, 2, 3, ...
fn numbered() -> u64 {
    let page = memory::alloc_page().expect("a page");
    for index in 0..512usize {
        // SAFETY: within the page.
        unsafe { page.cast::<u64>().add(index).write(index as u64 + 1) };
    }
    page.as_ptr() as u64
}

fn bases() -> Outcome {
    let page = numbered();
    same!(set_base(BASE_FS, page), Ok(0));
    same!(set_base(BASE_GS_KERNEL, page + 8), Ok(0));
    same!(set_base(BASE_GS_USER, page + 16), Ok(0));
    same!((fs(), gs()), (1, 2));
    let trap = user::trap(user_read_segments);
    same!((trap.frame.rax, trap.frame.rbx), (1, 3));
    same!((fs(), gs()), (1, 2));
    Ok(())
}

fn bad_bases() -> Outcome {
    for which in [BASE_FS, BASE_GS_KERNEL, BASE_GS_USER] {
        for base in [1u64 << 47, 1 << 60, 0xffff_7fff_ffff_ffff] {
            same!((which, base, set_base(which, base)), (which, base, Err(Errno::INVAL)));
        }
    }
    same!(set_base(17, 0), Err(Errno::INVAL));
    Ok(())
}

fn user_gs() -> Outcome {
    bases()?;
    // Loading a null selector in user mode may clear user mode's bases; the kernel's GS base stays.
    let trap = user::trap(user_load_null);
    same!(trap.kind(), (6, 0));
    same!(gs(), 2);
    bases()
}

fn register(kind: u16, address: u64) -> hypercall::Result {
    let mut request = callback::Register { kind, flags: 0, address, ..callback::Register::default() };
    // SAFETY: only used with requests that are refused.
    unsafe { hypercall::op(CALLBACK_OP, callback::OP_REGISTER, &mut request) }
}

fn bad_callbacks() -> Outcome {
    for kind in [callback::TYPE_EVENT, callback::TYPE_FAILSAFE, callback::TYPE_SYSCALL] {
        same!((kind, register(kind, 1 << 60)), (kind, Err(Errno::INVAL)));
    }
    same!(register(99, 0x1000), Err(Errno::NOSYS));
    Ok(())
}

fn bad_assists() -> Outcome {
    // SAFETY: no such assist.
    let assist = |command: u64, kind: u64| unsafe { hypercall::call(VM_ASSIST, [command, kind, 0, 0, 0]) };
    same!(assist(0, 63), Err(Errno::INVAL));
    same!(assist(0, 64), Err(Errno::INVAL));
    same!(assist(0, u64::from(u32::MAX)), Err(Errno::INVAL));
    same!(assist(7, 2), Err(Errno::NOSYS));
    Ok(())
}
