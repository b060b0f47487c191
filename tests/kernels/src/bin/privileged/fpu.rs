//! The FPU: TS, #NM, and that its state survives other contexts.

use core::arch::asm;

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{caught, holds, same, trap, user, user_code};
use pv_guest_sdk::abi::hypercall::FPU_TASKSWITCH;
use pv_guest_sdk::{hypercall, time};

pub const CHECKS: &[Check] = &[
    ("with TS set the FPU is #NM, and TS is clear in the handler", not_available),
    ("fpu_taskswitch(0) clears TS", clear),
    ("TS holds for user mode, too", user_not_available),
    ("the FPU's state survives hypercalls and traps", survives_traps),
    ("the FPU's state survives a block", survives_block),
    ("an unmasked x87 error is #MF", errors),
];

fn set_ts(set: u64) -> hypercall::Result {
    // SAFETY: the kernel's code does not use the FPU.
    unsafe { hypercall::call(FPU_TASKSWITCH, [set, 0, 0, 0, 0]) }
}

user_code! {
    user_fpu: "fninit", "ret";
    user_nops: "ud2";
}

fn not_available() -> Outcome {
    same!(set_ts(1), Ok(0));
    let trap = trap!("lea rsi, [rip + 2f]", "2:", "fninit", out("rsi") _);
    same!((trap.kind(), trap.frame.rip), ((7, 0), trap.frame.rsi));
    let cr0: u64;
    // SAFETY: emulated.
    unsafe { asm!("mov {}, cr0", out(reg) cr0) };
    same!(cr0 & 8, 0);
    holds!(caught!("fninit").is_none());
    Ok(())
}

fn clear() -> Outcome {
    same!(set_ts(1), Ok(0));
    same!(set_ts(0), Ok(0));
    holds!(caught!("fninit").is_none());
    Ok(())
}

fn user_not_available() -> Outcome {
    same!(set_ts(1), Ok(0));
    let (trap, _) = user::call(user_fpu, |_| {});
    same!(trap.map(|trap| trap.kind()), Some((7, 0)));
    holds!(user::call(user_fpu, |_| {}).0.is_none());
    Ok(())
}

/// Puts numbers into registers of all kinds.
fn fill() {
    // SAFETY: the kernel's code does not use the FPU.
    unsafe {
        asm!(
            "fninit", "fldpi", "fld1",
            "mov rax, 0x1122334455667788", "movq xmm0, rax", "mov rax, 0x99aabbccddeeff00", "movq xmm15, rax",
            "push 0x7f80", "ldmxcsr [rsp]", "add rsp, 8",
            out("rax") _
        );
    }
}

/// What is there: xmm0, xmm15, MXCSR, and the x87 stack's top and status.
fn read() -> [u64; 5] {
    let (a, b, mxcsr): (u64, u64, u64);
    let mut numbers = [0u64; 2];
    // SAFETY: as above; takes two numbers off the x87 stack into the array, and puts MXCSR back.
    unsafe {
        asm!(
            "movq {a}, xmm0", "movq {b}, xmm15",
            "push 0", "stmxcsr [rsp]", "mov {c}, [rsp]", "mov dword ptr [rsp], 0x1f80", "ldmxcsr [rsp]", "add rsp, 8",
            "fstp qword ptr [{n}]", "fstp qword ptr [{n} + 8]",
            a = out(reg) a, b = out(reg) b, c = out(reg) mxcsr, n = in(reg) &raw mut numbers,
        );
    }
    [a, b, mxcsr, numbers[0], numbers[1]]
}

const EXPECTED: [u64; 5] = [0x1122_3344_5566_7788, 0x99aa_bbcc_ddee_ff00, 0x7f80, 0x3ff0_0000_0000_0000, 0x4009_21fb_5444_2d18];

fn survives_traps() -> Outcome {
    fill();
    let _ = hypercall::xen_version();
    let _ = user::trap(user_nops);
    holds!(caught!("ud2").is_some());
    same!(read(), EXPECTED);
    Ok(())
}

fn survives_block() -> Outcome {
    fill();
    time::sleep(2_000_000);
    same!(read(), EXPECTED);
    Ok(())
}

fn errors() -> Outcome {
    let x87 = trap!("fninit", "push 0x340", "fldcw [rsp]", "pop rax", "fldz", "fld1", "fdiv st(0), st(1)", "fwait", out("rax") _);
    holds!(caught!("fninit").is_none());
    same!(x87.kind(), (16, 0));
    Ok(())
}
