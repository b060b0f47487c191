//! The virtual IOPL: ports and the interrupt flag.

use core::arch::asm;

use domus_test_kernels::probe::IOPL;
use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{caught, holds, same, trap, user, user_code};
use pv_guest_sdk::abi::physdev::{OP_SET_IOPL, SetIopl};
use pv_guest_sdk::abi::{Errno, hypercall::PHYSDEV_OP};
use pv_guest_sdk::{events, hypercall};

pub const CHECKS: &[Check] = &[
    ("an IOPL above 3 is refused", too_high),
    ("with IOPL 1 the kernel uses ports, and nothing is there", kernel_ports),
    ("with IOPL 1 cli and sti do nothing in the kernel", kernel_flag),
    ("with IOPL 1 user mode still faults", user_faults),
    ("with IOPL 3 user mode uses ports", user_ports),
    ("frames do not show the virtual IOPL", frames),
    ("string instructions on ports", strings),
];

user_code! {
    user_in: "mov edx, 0x2f8", "xor eax, eax", "in al, dx", "ret";
    user_cli: "cli", "sti", "ret";
    user_ud2: "ud2";
}

fn set(iopl: u32) -> hypercall::Result {
    let mut argument = SetIopl { iopl };
    // SAFETY: the structure of the operation.
    unsafe { hypercall::op(PHYSDEV_OP, OP_SET_IOPL, &mut argument) }
}

fn too_high() -> Outcome {
    same!(set(4), Err(Errno::INVAL));
    same!(set(u32::MAX), Err(Errno::INVAL));
    Ok(())
}

/// A port that a domain does not own: COM2's.
fn port_in() -> u64 {
    let value: u32;
    // SAFETY: emulated.
    unsafe { asm!("in eax, dx", in("dx") 0x4000u16, out("eax") value) };
    value.into()
}

fn kernel_ports() -> Outcome {
    same!(set(1), Ok(0));
    same!(port_in(), 0xffff_ffff);
    holds!(caught!("out dx, al", in("dx") 0x4000u16, in("al") 0u8).is_none());
    same!(set(0), Ok(0));
    same!(trap!("in al, dx", in("dx") 0x4000u16, out("al") _).kind(), (13, 0));
    Ok(())
}

fn kernel_flag() -> Outcome {
    same!(set(1), Ok(0));
    holds!(caught!("cli").is_none());
    holds!(!events::upcalls_masked());
    holds!(caught!("sti").is_none());
    same!(set(0), Ok(0));
    same!(trap!("cli").kind(), (13, 0));
    Ok(())
}

fn user_faults() -> Outcome {
    same!(set(1), Ok(0));
    let (ports, _) = user::call(user_in, |_| {});
    let (flag, _) = user::call(user_cli, |_| {});
    same!(set(0), Ok(0));
    same!((ports.map(|trap| trap.kind()), flag.map(|trap| trap.kind())), (Some((13, 0)), Some((13, 0))));
    Ok(())
}

fn user_ports() -> Outcome {
    same!(set(3), Ok(0));
    let (ports, value) = user::call(user_in, |_| {});
    let (flag, _) = user::call(user_cli, |_| {});
    same!(set(0), Ok(0));
    holds!(ports.is_none() && flag.is_none());
    same!(value & 0xff, 0xff);
    Ok(())
}

fn frames() -> Outcome {
    same!(set(1), Ok(0));
    let kernel = trap!("ud2");
    let user = user::trap(user_ud2);
    same!(set(0), Ok(0));
    same!((kernel.frame.rflags & IOPL, user.frame.rflags & IOPL), (0, 0));
    same!((kernel.flags_inside & IOPL, user.flags_inside & IOPL), (0, 0));
    Ok(())
}

fn strings() -> Outcome {
    let mut buffer = [0u8; 64];
    let (mut to, mut count) = (buffer.as_mut_ptr(), 16u64);
    same!(set(1), Ok(0));
    // SAFETY: emulated; reads 16 bytes into the buffer.
    unsafe { asm!("rep insb", in("dx") 0x4000u16, inout("rdi") to, inout("rcx") count) };
    same!((count, to.addr() - buffer.as_ptr().addr()), (0, 16));
    same!((buffer[0], buffer[15], buffer[16]), (0xff, 0xff, 0));
    // Into nothing, into the hypervisor: a fault at the instruction, and nothing written.
    for target in [0xffff_8300_0000_0000u64, 0x1000, 1 << 60] {
        let trap = trap!("insb", in("dx") 0x4000u16, in("rdi") target);
        holds!(matches!(trap.frame.vector, 13 | 14));
        let trap = trap!("push rsi", "mov rsi, rdi", "outsb", "pop rsi", in("dx") 0x4000u16, in("rdi") target);
        holds!(matches!(trap.frame.vector, 13 | 14));
    }
    same!(set(0), Ok(0));
    Ok(())
}
