//! Exceptions of the guest kernel's own making.

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{same, trap};
use pv_guest_sdk::memory;

pub const CHECKS: &[Check] = &[
    ("a divide error is vector 0, at the instruction", divide),
    ("a breakpoint is vector 3, behind the instruction", breakpoint),
    ("an invalid opcode is vector 6, at the instruction", invalid_opcode),
    ("a non-canonical access is #GP with error 0", general_protection),
    ("a page fault on nothing says so", page_fault_absent),
    ("a page fault on a read-only page says so", page_fault_protection),
    ("executing a page without permission says so", page_fault_execute),
    ("a page fault in the hypervisor's range says nothing of it", page_fault_hypervisor),
    ("a page fault at a non-canonical instruction is #GP", wild_jump),
];

fn divide() -> Outcome {
    let trap = trap!("lea rsi, [rip + 2f]", "xor edx, edx", "xor ecx, ecx", "2:", "div ecx", out("rsi") _, out("rax") _, out("rdx") _, out("rcx") _);
    same!(trap.kind(), (0, 0));
    same!(trap.frame.rip, trap.frame.rsi);
    Ok(())
}

fn breakpoint() -> Outcome {
    let trap = trap!("lea rsi, [rip + 2f]", "int3", "2:", "nop", out("rsi") _);
    same!(trap.kind(), (3, 0));
    same!(trap.frame.rip, trap.frame.rsi);
    Ok(())
}

fn invalid_opcode() -> Outcome {
    let trap = trap!("lea rsi, [rip + 2f]", "2:", "ud2", out("rsi") _);
    same!(trap.kind(), (6, 0));
    same!(trap.frame.rip, trap.frame.rsi);
    Ok(())
}

fn general_protection() -> Outcome {
    let trap = trap!("lea rsi, [rip + 2f]", "2:", "mov al, [rdi]", out("rsi") _, out("al") _, in("rdi") 1u64 << 60);
    same!(trap.kind(), (13, 0));
    same!(trap.frame.rip, trap.frame.rsi);
    Ok(())
}

fn page_fault_absent() -> Outcome {
    let window = memory::reserve(1).expect("address space");
    let address = window.as_ptr() as u64 + 0x123;
    let read = trap!("mov al, [rdi]", out("al") _, in("rdi") address);
    same!((read.kind(), read.cr2), ((14, 0), address));
    let write = trap!("mov byte ptr [rdi], 1", in("rdi") address);
    same!((write.kind(), write.cr2), ((14, 2), address));
    let execute = trap!("jmp rdi", in("rdi") address);
    same!((execute.frame.vector, execute.frame.error_code & !0x10, execute.cr2, execute.frame.rip), (14, 0, address, address));
    Ok(())
}

fn page_fault_protection() -> Outcome {
    let page = memory::alloc_page().expect("a page");
    // SAFETY: nothing uses the page.
    unsafe { memory::protect_read_only(page.as_ptr()) }.expect("a page of ours");
    let address = page.as_ptr() as u64 + 8;
    let trap = trap!("mov qword ptr [rdi], 1", in("rdi") address);
    same!((trap.kind(), trap.cr2), ((14, 3), address));
    Ok(())
}

fn page_fault_execute() -> Outcome {
    let mfn = memory::virt_to_mfn(memory::alloc_page().expect("a page").as_ptr()).expect("a frame of ours");
    // SAFETY: nothing else uses the page; windows are not executable.
    let window = unsafe { memory::map_frames(&[mfn]) }.expect("a window");
    let address = window.as_ptr() as u64;
    let trap = trap!("jmp rdi", in("rdi") address);
    same!((trap.kind(), trap.cr2, trap.frame.rip), ((14, 0x11), address, address));
    Ok(())
}

fn page_fault_hypervisor() -> Outcome {
    for address in [0xffff_8300_0000_0000u64, 0xffff_82d0_4020_0000, 0xffff_87ff_ffff_f000, 0xffff_8100_0000_0000] {
        for (what, trap) in [
            ("read", trap!("mov al, [rdi]", out("al") _, in("rdi") address)),
            ("write", trap!("mov byte ptr [rdi], 1", in("rdi") address)),
            ("execute", trap!("jmp rdi", in("rdi") address)),
        ] {
            same!((what, trap.frame.vector, trap.cr2), (what, 14, address));
        }
    }
    Ok(())
}

fn wild_jump() -> Outcome {
    let trap = trap!("jmp rdi", in("rdi") 1u64 << 60);
    same!(trap.kind(), (13, 0));
    Ok(())
}
