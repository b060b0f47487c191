//! What emulated reads of control registers and MSRs give, and that writes of what is not the guest's change nothing.

use core::arch::asm;

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{caught, holds, same, tables, trap, user, user_code};

pub const CHECKS: &[Check] = &[
    ("CR0 is that of a kernel with paging and write protection", cr0),
    ("CR0.TS can be set and cleared, nothing else", cr0_ts),
    ("CR3 is the kernel's table", cr3),
    ("CR4 keeps what a guest may set, and drops the rest", cr4),
    ("CR4.TSD makes RDTSC fault in user mode and not in the kernel", tsd),
    ("EFER shows long mode", efer),
    ("PAT is Xen's", pat),
    ("wbinvd and clts are emulated", harmless),
    ("the interrupt flag cannot be cleared", popf),
    ("IOPL cannot be set by popf", popf_iopl),
];

/// CR4: TSD.
const TSD: u64 = 1 << 2;

fn read_cr0() -> u64 {
    let value;
    // SAFETY: emulated.
    unsafe { asm!("mov {}, cr0", out(reg) value) };
    value
}

fn read_cr4() -> u64 {
    let value;
    // SAFETY: emulated.
    unsafe { asm!("mov {}, cr4", out(reg) value) };
    value
}

fn write_cr4(value: u64) {
    // SAFETY: emulated; the caller restores what it changes.
    unsafe { asm!("mov cr4, {}", in(reg) value) };
}

fn rdmsr(number: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: emulated.
    unsafe { asm!("rdmsr", in("ecx") number, out("eax") low, out("edx") high) };
    u64::from(high) << 32 | u64::from(low)
}

fn cr0() -> Outcome {
    same!(read_cr0(), 0x8005_0033);
    Ok(())
}

fn cr0_ts() -> Outcome {
    let plain = read_cr0();
    same!(caught!("mov cr0, {}", in(reg) plain | 8).is_none(), true);
    same!(read_cr0(), plain | 8);
    same!(caught!("clts").is_none(), true);
    same!(read_cr0(), plain);
    for bit in [0, 1, 2, 5, 16, 18, 29, 30, 31] {
        let trap = trap!("mov cr0, {}", in(reg) plain ^ 1 << bit);
        same!((bit, trap.kind()), (bit, (13, 0)));
        same!(read_cr0(), plain);
    }
    Ok(())
}

fn cr3() -> Outcome {
    let value: u64;
    // SAFETY: emulated.
    unsafe { asm!("mov {}, cr3", out(reg) value) };
    same!(value >> 12, tables::kernel_root_mfn());
    Ok(())
}

fn cr4() -> Outcome {
    let before = read_cr4();
    same!(before & (1 << 5), 1 << 5, "PAE");
    for bit in 0..64 {
        write_cr4(before | 1 << bit);
        let after = read_cr4();
        // TSD, DE, FSGSBASE, OSXSAVE may be set.
        if ![2, 3, 16, 18].contains(&bit) {
            same!((bit, after), (bit, before));
        }
        write_cr4(before);
    }
    same!(read_cr4(), before);
    Ok(())
}

user_code! {
    user_rdtsc: "rdtsc", "ret";
}

fn tsd() -> Outcome {
    let before = read_cr4();
    same!(user::call(user_rdtsc, |_| {}).0.is_none(), true, "RDTSC without TSD");
    write_cr4(before | TSD);
    let (trap, _) = user::call(user_rdtsc, |_| {});
    let kernel = caught!("rdtsc", out("eax") _, out("edx") _);
    write_cr4(before);
    same!(trap.map(|trap| trap.kind()), Some((13, 0)));
    holds!(kernel.is_none());
    same!(user::call(user_rdtsc, |_| {}).0.is_none(), true, "RDTSC without TSD");
    Ok(())
}

fn efer() -> Outcome {
    same!(rdmsr(0xc000_0080), 0xd01);
    Ok(())
}

fn pat() -> Outcome {
    same!(rdmsr(0x277), 0x0501_0007_0406);
    Ok(())
}

fn harmless() -> Outcome {
    holds!(caught!("wbinvd").is_none());
    holds!(caught!("clts").is_none());
    Ok(())
}

fn popf() -> Outcome {
    let flags: u64;
    // SAFETY: changes the flags by way of the stack, without effect on IF in ring 3.
    unsafe { asm!("push 2", "popfq", "pushfq", "pop {}", out(reg) flags) };
    same!(flags & 1 << 9, 1 << 9);
    Ok(())
}

fn popf_iopl() -> Outcome {
    let flags: u64;
    // SAFETY: changes the flags by way of the stack, without effect on IOPL in ring 3.
    unsafe { asm!("push 0x3202", "popfq", "pushfq", "pop {}", out(reg) flags) };
    same!(flags & 3 << 12, 0);
    Ok(())
}
