//! FS and GS bases by MSR and by the FSGSBASE instructions.

use core::arch::asm;

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{caught, fail, holds, same, trap, user, user_code};
use pv_guest_sdk::memory;

pub const CHECKS: &[Check] = &[
    ("bases can be written and read by MSR", msrs),
    ("bases that are not canonical are #GP", bad_bases),
    ("FSGSBASE instructions work once CR4 says so, and not before", fsgsbase),
    ("bases set by instruction survive the way through user mode", survive),
];

/// CR4: FSGSBASE.
const FSGSBASE: u64 = 1 << 16;

fn wrmsr(number: u32, value: u64) -> Option<domus_test_kernels::probe::Trap> {
    caught!("wrmsr", in("ecx") number, in("eax") value as u32, in("edx") (value >> 32) as u32)
}

fn rdmsr(number: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: emulated.
    unsafe { asm!("rdmsr", in("ecx") number, out("eax") low, out("edx") high) };
    u64::from(high) << 32 | u64::from(low)
}

fn word() -> u64 {
    let page = memory::alloc_page().expect("a page").cast::<u64>();
    // SAFETY: a page of ours.
    unsafe { page.write(0x1234_5678_9abc) };
    page.as_ptr() as u64
}

fn msrs() -> Outcome {
    let address = word();
    for number in [0xc000_0100u32, 0xc000_0101, 0xc000_0102] {
        holds!(wrmsr(number, address).is_none());
        same!((number, rdmsr(number)), (number, address));
    }
    let (fs, gs): (u64, u64);
    // SAFETY: both bases are the page's address.
    unsafe { asm!("mov {}, fs:[0]", "mov {}, gs:[0]", out(reg) fs, out(reg) gs) };
    same!((fs, gs), (0x1234_5678_9abc, 0x1234_5678_9abc));
    Ok(())
}

fn bad_bases() -> Outcome {
    for number in [0xc000_0100u32, 0xc000_0101, 0xc000_0102] {
        for base in [1u64 << 47, 1 << 60, 0xffff_7fff_ffff_ffff] {
            same!((number, wrmsr(number, base).map(|trap| trap.kind())), (number, Some((13, 0))));
        }
    }
    Ok(())
}

user_code! {
    user_rdfsbase: "rdfsbase rax", "ret";
    user_swap_bases: "mov rcx, 0x5000", "wrfsbase rcx", "mov rcx, 0x6000", "wrgsbase rcx", "rdgsbase rax", "ret";
    user_read_gs_base: "rdgsbase rax", "ret";
}

fn fsgsbase() -> Outcome {
    let cr4: u64;
    // SAFETY: emulated.
    unsafe { asm!("mov {}, cr4", out(reg) cr4) };
    same!(trap!("rdfsbase {}", out(reg) _).kind(), (6, 0));
    same!(user::call(user_rdfsbase, |_| {}).0.map(|trap| trap.kind()), Some((6, 0)));
    holds!(caught!("mov cr4, {}", in(reg) cr4 | FSGSBASE).is_none());
    let now: u64;
    // SAFETY: emulated.
    unsafe { asm!("mov {}, cr4", out(reg) now) };
    if now & FSGSBASE == 0 {
        fail!("CR4.FSGSBASE cannot be set");
    }
    let address = word();
    let (fs, gs): (u64, u64);
    // SAFETY: this kernel uses neither.
    unsafe { asm!("wrfsbase {0}", "wrgsbase {0}", "mov {1}, fs:[0]", "rdgsbase {2}", in(reg) address, out(reg) fs, out(reg) gs) };
    same!((fs, gs), (0x1234_5678_9abc, address));
    let (trap, value) = user::call(user_rdfsbase, |_| {});
    holds!(trap.is_none());
    same!(value, address);
    holds!(caught!("mov cr4, {}", in(reg) cr4).is_none());
    same!(trap!("rdfsbase {}", out(reg) _).kind(), (6, 0));
    Ok(())
}

fn survive() -> Outcome {
    let cr4: u64;
    // SAFETY: emulated.
    unsafe { asm!("mov {}, cr4", out(reg) cr4) };
    // SAFETY: this kernel uses neither base.
    unsafe { asm!("mov cr4, {0}", "wrgsbase {1}", in(reg) cr4 | FSGSBASE, in(reg) 0x7000u64) };
    let (trap, value) = user::call(user_swap_bases, |_| {});
    let (_, again) = user::call(user_read_gs_base, |_| {});
    let (fs, gs): (u64, u64);
    // SAFETY: as above.
    unsafe { asm!("rdfsbase {}", "rdgsbase {}", "mov cr4, {}", out(reg) fs, out(reg) gs, in(reg) cr4) };
    holds!(trap.is_none());
    // FS is one register for both modes, GS is not.
    same!((value, again, fs, gs), (0x6000, 0x6000, 0x5000, 0x7000));
    Ok(())
}
