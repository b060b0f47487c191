//! CPUID: by the prefix, and natively.

use core::arch::asm;

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{fail, holds, same, trap, user, user_code};
use pv_guest_sdk::memory;

pub const CHECKS: &[Check] = &[
    ("the prefix gives the hypervisor's leaves", hypervisor_leaves),
    ("what guests cannot use is hidden", hidden),
    ("user mode may use the prefix", from_user),
    ("only CPUID may follow the prefix", other_instruction),
    ("a prefix cut off by an unmapped page faults", cut_off),
    ("leaves out of range are no fault", out_of_range),
];

fn forced(leaf: u32, subleaf: u32) -> [u32; 4] {
    let (a, b, c, d): (u32, u64, u32, u32);
    // SAFETY: emulated; rbx is restored.
    unsafe {
        asm!(
            "xchg {b}, rbx", ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e", "cpuid", "xchg {b}, rbx",
            b = inout(reg) 0u64 => b, inout("eax") leaf => a, inout("ecx") subleaf => c, out("edx") d
        );
    }
    [a, b as u32, c, d]
}

fn hypervisor_leaves() -> Outcome {
    let [last, b, c, d] = forced(0x4000_0000, 0);
    same!([b, c, d].map(u32::to_le_bytes), [*b"XenV", *b"MMXe", *b"nVMM"]);
    holds!(last >= 0x4000_0004);
    same!(forced(0x4000_0001, 0)[0] >> 16, 4);
    Ok(())
}

fn hidden() -> Outcome {
    let [_, _, c, d] = forced(1, 0);
    holds!(c >> 31 == 1);
    // PSE, PGE, PSE36; VMX, x2APIC, TSC deadline, PCID, MONITOR.
    same!(d & (1 << 3 | 1 << 13 | 1 << 17), 0);
    same!(c & (1 << 5 | 1 << 21 | 1 << 24 | 1 << 17 | 1 << 3), 0);
    let [_, b, c, _] = forced(7, 0);
    // SMEP, SMAP, INVPCID; PKU, UMIP, LA57.
    same!((b & (1 << 7 | 1 << 20 | 1 << 10), c & (1 << 3 | 1 << 2 | 1 << 16)), (0, 0));
    let [_, _, c, d] = forced(0x8000_0001, 0);
    // SVM; pages of 1 GiB.
    same!((c & 1 << 2, d & 1 << 26), (0, 0));
    Ok(())
}

user_code! {
    user_forced: "mov eax, 0x40000000", "xor ecx, ecx", ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e", "cpuid", "mov eax, ebx", "ret";
}

fn from_user() -> Outcome {
    let (trap, value) = user::call(user_forced, |_| {});
    holds!(trap.is_none());
    same!((value as u32).to_le_bytes(), *b"XenV");
    Ok(())
}

fn other_instruction() -> Outcome {
    let trap = trap!("lea rsi, [rip + 2f]", "2:", ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e", "hlt", out("rsi") _);
    same!((trap.kind(), trap.frame.rip), ((6, 0), trap.frame.rsi));
    let trap = trap!("lea rsi, [rip + 2f]", "2:", ".byte 0x0f, 0x0b, 0x78, 0x65", "nop", out("rsi") _);
    same!((trap.kind(), trap.frame.rip), ((6, 0), trap.frame.rsi));
    Ok(())
}

/// The instruction lies at the very end of mapped memory.
fn cut_off() -> Outcome {
    let Some((page, _)) = (0..64).find_map(|_| {
        let pages = memory::alloc_pages(2)?;
        Some((pages, ()))
    }) else {
        fail!("no pages");
    };
    let second = page.as_ptr() as u64 + 4096;
    let entry = memory::lookup(second);
    // SAFETY: nothing uses the pages; the second is mapped again below.
    unsafe {
        let code: [u8; 5] = [0x0f, 0x0b, 0x78, 0x65, 0x6e];
        page.add(4096 - 5).cast::<[u8; 5]>().write(code);
        executable(page.as_ptr() as u64);
        pv_guest_sdk::hypercall::update_va_mapping(second, 0, 2).expect("a page of ours");
    }
    let trap = trap!("call rdi", in("rdi") second - 5);
    // SAFETY: as it was.
    unsafe { pv_guest_sdk::hypercall::update_va_mapping(second, entry.unwrap_or(0), 2) }.expect("a page of ours");
    // #UD for the prefix, or a page fault for the instruction behind it.
    holds!(matches!((trap.kind().0, trap.cr2), (6, _)) || (trap.kind().0, trap.cr2) == (14, second));
    Ok(())
}

/// Makes a page of ours executable.
///
/// # Safety
/// As for `update_va_mapping`.
unsafe fn executable(address: u64) {
    let entry = memory::lookup(address).expect("a mapped page");
    // SAFETY: the caller's obligation.
    unsafe { pv_guest_sdk::hypercall::update_va_mapping(address, entry & !(1 << 63), 2) }.expect("a page of ours");
}

fn out_of_range() -> Outcome {
    for leaf in [0x20, 0x3fff_ffff, 0x4000_00ff, 0x4000_0100, 0x7fff_ffff, 0x8000_ffff, 0xffff_ffff] {
        for subleaf in [0, 1, 0xffff_ffff] {
            let _ = forced(leaf, subleaf);
        }
    }
    Ok(())
}
