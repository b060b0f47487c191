//! `int n` and the virtual IDT.

use domus_test_kernels::report::{Check, Outcome, on_domus};
use domus_test_kernels::{holds, same, trap, user, user_code};
use pv_guest_sdk::abi::hypercall::SET_TRAP_TABLE;
use pv_guest_sdk::abi::segment::FLAT_KERNEL_CS;
use pv_guest_sdk::abi::trap::TrapInfo;
use pv_guest_sdk::{abi::Errno, hypercall};

pub const CHECKS: &[Check] = &[
    ("int 0x80 from the kernel goes through its gate", software_interrupt),
    ("int n without a gate is #GP with the gate's index", no_gate),
    ("int n through a gate of DPL 0 is #GP for the kernel", low_gate),
    ("user mode reaches gates of DPL 3", user_gates),
    ("user mode does not reach gates of DPL 0", user_low_gate),
    ("int 0x80 from user mode", user_software_interrupt),
    ("a non-canonical handler is refused", non_canonical),
];

/// The error code for the gate of `vector`, bit 1 meaning the IDT. Domus computes it; what QEMU 7.2 tells Xen has the index shifted by
/// one too many.
fn index(vector: u64) -> u64 {
    let shift = if on_domus() || !emulator_is_wrong() { 3 } else { 4 };
    vector << shift | 2
}

fn emulator_is_wrong() -> bool {
    let trap = domus_test_kernels::caught!("int 200");
    trap.is_some_and(|trap| trap.frame.error_code == 200 << 4 | 2)
}

user_code! {
    user_int3: "int3", "ud2";
    user_int3_long: ".byte 0xcd, 3", "ud2";
    user_int4: "int 4", "ud2";
    user_int80: "int 0x80", "ud2";
    user_int13: "int 13", "ud2";
    user_int14: "int 14", "ud2";
    user_int200: "int 200", "ud2";
}

fn software_interrupt() -> Outcome {
    let trap = trap!("lea rsi, [rip + 2f]", "int 0x80", "2:", "nop", out("rsi") _);
    same!(trap.kind(), (0x80, 0));
    same!(trap.frame.rip, trap.frame.rsi);
    Ok(())
}

fn no_gate() -> Outcome {
    let trap = trap!("lea rsi, [rip + 2f]", "2:", "int 200", out("rsi") _);
    same!(trap.kind(), (13, index(200)));
    same!(trap.frame.rip, trap.frame.rsi);
    Ok(())
}

fn low_gate() -> Outcome {
    let trap = trap!("int 13");
    same!(trap.kind(), (13, index(13)));
    let trap = trap!("int 6");
    same!(trap.kind(), (13, index(6)));
    Ok(())
}

fn user_gates() -> Outcome {
    for (code, vector, length) in [(user_int3 as unsafe extern "C" fn(), 3, 1), (user_int3_long, 3, 2), (user_int4, 4, 2)] {
        let trap = user::trap(code);
        same!(trap.kind(), (vector, 0));
        holds!(trap.frame.from_user());
        same!(trap.frame.rip, code as *const () as u64 + length);
    }
    Ok(())
}

fn user_low_gate() -> Outcome {
    for (code, vector) in [(user_int13 as unsafe extern "C" fn(), 13), (user_int14, 14), (user_int200, 200)] {
        let trap = user::trap(code);
        same!(trap.kind(), (13, index(vector)));
        same!(trap.frame.rip, code as *const () as u64);
    }
    Ok(())
}

fn user_software_interrupt() -> Outcome {
    let trap = user::trap(user_int80);
    same!(trap.kind(), (0x80, 0));
    same!(trap.frame.rip, user_int80 as *const () as u64 + 2);
    Ok(())
}

fn non_canonical() -> Outcome {
    let mut table = [TrapInfo { vector: 200, flags: 0, cs: FLAT_KERNEL_CS, address: 1 << 60, ..TrapInfo::default() }, TrapInfo::default()];
    // SAFETY: a table that is refused changes nothing.
    let refused = unsafe { hypercall::call(SET_TRAP_TABLE, [table.as_mut_ptr() as u64, 0, 0, 0, 0]) };
    same!(refused, Err(Errno::INVAL));
    Ok(())
}
