//! Emulated writes to L1 tables (the assist `writable_pagetables`).

use core::arch::asm;

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::scratch::{PAGE, Page, address, leaf};
use domus_test_kernels::{caught, holds, same, scratch, tables, trap};
use pv_guest_sdk::abi::hypercall::VM_ASSIST;
use pv_guest_sdk::abi::mmu::pte;
use pv_guest_sdk::abi::vm_assist::{CMD_DISABLE, CMD_ENABLE, TYPE_WRITABLE_PAGETABLES};
use pv_guest_sdk::{BootInfo, hypercall, memory};

pub const CHECKS: &[Check] = &[
    ("without the assist a write to an L1 table faults, but for the first domain", without),
    ("with the assist a good entry is written", plain),
    ("xchg, cmpxchg, lock and, btr, bts, or are carried out", read_modify_write),
    ("writes of less than an entry are carried out or fault", narrow),
    ("a bad entry faults and changes nothing", bad),
    ("a write across two entries faults", straddling),
    ("upper tables are never written", upper),
    ("registers and flags are those of the instruction", registers),
];

/// The entry, without G, which the hypervisor sets or clears as it likes.
fn word(machine: u64) -> u64 {
    scratch::word(machine) & !pte::GLOBAL
}

fn assist(command: u32) {
    // SAFETY: takes no pointer.
    let result = unsafe { hypercall::call(VM_ASSIST, [command.into(), TYPE_WRITABLE_PAGETABLES.into(), 0, 0, 0]) };
    result.expect("the assist");
}

/// An entry that nothing relies on: where it can be read, and its machine address.
fn entry() -> (u64, u64) {
    let machine = leaf(address());
    let pfn = memory::mfn_to_pfn(machine >> 12).expect("a table of ours");
    (memory::pfn_to_virt(pfn) as u64 | machine & 0xff8, machine)
}

fn without() -> Outcome {
    let (at, _) = entry();
    assist(CMD_DISABLE);
    let trap = caught!("mov [rdi], rsi", in("rdi") at, in("rsi") 0u64);
    assist(CMD_ENABLE);
    // The first domain has the assist anyway.
    let first = BootInfo::get().is_some_and(BootInfo::is_initial_domain);
    let expected = if first { None } else { Some(((14, 3), at)) };
    same!(trap.map(|trap| (trap.kind(), trap.cr2)), expected);
    Ok(())
}

fn plain() -> Outcome {
    let (at, machine) = entry();
    let value = Page::new().mfn << 12 | PAGE;
    holds!(caught!("mov [rdi], rsi", in("rdi") at, in("rsi") value).is_none());
    same!(word(machine), value);
    holds!(caught!("mov qword ptr [rdi], 0", in("rdi") at).is_none());
    same!(word(machine), 0);
    Ok(())
}

fn read_modify_write() -> Outcome {
    let (at, machine) = entry();
    let (first, second) = (Page::new().mfn << 12 | PAGE, Page::new().mfn << 12 | PAGE);
    let (mut old, mut flag): (u64, u8);
    // SAFETY: nothing relies on the entry.
    unsafe {
        old = first;
        asm!("xchg [{}], {}", in(reg) at, inout(reg) old);
        same!((old, word(machine)), (0, first));
        let now = scratch::word(machine);
        asm!("lock cmpxchg [{}], {}", "setz {}", in(reg) at, in(reg) second, out(reg_byte) flag, inout("rax") now => old);
        same!((old, flag, word(machine)), (now, 1, second));
        asm!("lock cmpxchg [{}], {}", "setz {}", in(reg) at, in(reg) first, out(reg_byte) flag, inout("rax") 5u64 => old);
        same!((old & !pte::GLOBAL, flag, word(machine)), (second, 0, second));
        asm!("lock btr qword ptr [{}], 6", "setc {}", in(reg) at, out(reg_byte) flag);
        same!((flag, word(machine)), (1, second & !(1 << 6)));
        asm!("lock bts qword ptr [{}], 6", "setc {}", in(reg) at, out(reg_byte) flag);
        same!((flag, word(machine)), (0, second));
        asm!("lock and qword ptr [{}], -3", in(reg) at);
        same!(word(machine), second & !2);
        asm!("lock or qword ptr [{}], 2", in(reg) at);
        same!(word(machine), second);
        asm!("xor eax, eax", "xchg [{}], rax", in(reg) at, out("rax") old);
        same!((old & !pte::GLOBAL, word(machine)), (second, 0));
    }
    Ok(())
}

fn narrow() -> Outcome {
    let (at, machine) = entry();
    let value = Page::new().mfn << 12 | PAGE;
    holds!(caught!("mov [rdi], rsi", in("rdi") at, in("rsi") value).is_none());
    // Takes away RW (bit 1) by a byte.
    let byte = caught!("lock and byte ptr [rdi], 0xfd", in("rdi") at);
    if byte.is_none() {
        same!(word(machine), value & !2);
    }
    let high = caught!("mov dword ptr [rdi + 4], esi", in("rdi") at, in("esi") (value >> 32) as u32);
    holds!(high.is_none_or(|trap| trap.kind() == (14, 3)));
    holds!(caught!("mov qword ptr [rdi], 0", in("rdi") at).is_none());
    Ok(())
}

fn bad() -> Outcome {
    let (at, machine) = entry();
    let root = tables::kernel_root_mfn();
    for value in [root << 12 | PAGE, machine >> 12 << 12 | PAGE, 1 << 45 | PAGE, 0xf_ffff_ffff << 12 | PAGE] {
        let trap = trap!("mov [rdi], rsi", in("rdi") at, in("rsi") value);
        same!((value, trap.kind(), trap.cr2), (value, (14, 3), at));
        same!(word(machine), 0);
    }
    Ok(())
}

fn straddling() -> Outcome {
    let (at, _) = entry();
    let trap = trap!("mov [rdi], rsi", in("rdi") at + 4, in("rsi") 0u64);
    same!(trap.frame.vector, 14);
    Ok(())
}

fn upper() -> Outcome {
    for slot in domus_test_kernels::scratch::path(address()).into_iter().take(3) {
        let pfn = memory::mfn_to_pfn(slot >> 12).expect("a table of ours");
        let at = memory::pfn_to_virt(pfn) as u64 | slot & 0xff8;
        let value = word(slot);
        let trap = trap!("mov [rdi], rsi", in("rdi") at, in("rsi") value);
        same!((trap.kind(), trap.cr2), ((14, 3), at));
    }
    Ok(())
}

fn registers() -> Outcome {
    let (at, machine) = entry();
    let value = Page::new().mfn << 12 | PAGE;
    let (a, b): (u64, u64);
    // SAFETY: nothing relies on the entry.
    unsafe {
        asm!(
            "stc", "mov qword ptr [{at} + {index} * 8 + 0x10], {value}", "setc al", "movzx {a:e}, al",
            "mov {b}, [{at} + {index} * 8 + 0x10]", "and {b}, -0x101",
            at = in(reg) at.wrapping_sub(0x10 + 8 * 3), index = in(reg) 3u64, value = in(reg) value, a = out(reg) a, b = out(reg) b, out("al") _,
        );
    }
    same!((a & 0xff, b, word(machine)), (1, value, value));
    Ok(())
}
