//! What the frame says, and what the handler finds in flags and upcall mask.

use domus_test_kernels::probe::{AC, DF, IF, IOPL, NT, TF};
use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{holds, same, trap, user, user_code};
use pv_guest_sdk::abi::hypercall::SET_TRAP_TABLE;
use pv_guest_sdk::abi::trap::{FLAGS_MASK_EVENTS, TrapInfo};
use pv_guest_sdk::{events, hypercall};

pub const CHECKS: &[Check] = &[
    ("a frame from the kernel has RPL 0 and the kernel's stack", kernel_frame),
    ("a frame from user mode has RPL 3 and the user's stack", user_frame),
    ("the frame is on the stack given by stack_switch, 16-aligned", user_stack),
    ("the frame says whether upcalls were masked, and IF is the inverse", saved_mask),
    ("a gate that masks events does, one that does not does not", gate_mask),
    ("AC and NT are saved and cleared, DF is kept for the frame", flags),
    ("IOPL in the frame is the virtual one", iopl),
    ("all registers arrive", registers),
];

user_code! {
    user_ud2: "ud2";
    user_odd_stack: "sub rsp, 3", "ud2";
    user_registers:
        "mov eax, 1", "mov ecx, 2", "mov edx, 3", "mov ebx, 4", "mov ebp, 5", "mov esi, 6", "mov edi, 7", "mov r8d, 8", "mov r9d, 9",
        "mov r10d, 10", "mov r11d, 11", "mov r12d, 12", "mov r13d, 13", "mov r14d, 14", "mov r15d, 15", "ud2";
}

fn kernel_frame() -> Outcome {
    let trap = trap!("mov rsi, rsp", "ud2", out("rsi") _);
    same!(trap.frame.cs & 0xffff, 0xe030);
    same!(trap.frame.rsp, trap.frame.rsi);
    same!(trap.frame.ss & 0xffff, 0xe02b);
    Ok(())
}

fn user_frame() -> Outcome {
    let trap = user::trap(user_ud2);
    same!(trap.kind(), (6, 0));
    same!((trap.frame.cs & 0xffff, trap.frame.ss & 0xffff), (0xe033, 0xe02b));
    same!((trap.frame.rip, trap.frame.rsp), (user_ud2 as *const () as u64, user::user_stack()));
    Ok(())
}

fn user_stack() -> Outcome {
    let trap = user::trap(user_odd_stack);
    same!(trap.frame.rsp, user::user_stack() - 3);
    // SAFETY: moves the stack for entries by less than its size, and back.
    unsafe { hypercall::stack_switch(user::kernel_stack() - 5) }.expect("a stack");
    let odd = user::trap(user_ud2);
    // SAFETY: as above.
    unsafe { hypercall::stack_switch(user::kernel_stack()) }.expect("a stack");
    same!(odd.kind(), (6, 0));
    same!(odd.frame_end, (user::kernel_stack() - 5) & !15);
    Ok(())
}

fn saved_mask() -> Outcome {
    let open = trap!("ud2");
    same!((open.masked_before(), open.frame.rflags & IF), (false, IF));
    let was = events::mask_upcalls();
    let closed = trap!("ud2");
    same!(was, false);
    same!((closed.masked_before(), closed.frame.rflags & IF), (true, 0));
    // The probe comes back with upcalls unmasked.
    holds!(!events::upcalls_masked());
    Ok(())
}

fn gate_mask() -> Outcome {
    let masking = trap!("ud2");
    holds!(masking.masked_inside);
    holds!(masking.flags_inside & IF != 0);
    set_gate_of_invalid_opcode(|flags| flags & !FLAGS_MASK_EVENTS);
    let open = trap!("ud2");
    set_gate_of_invalid_opcode(|flags| flags | FLAGS_MASK_EVENTS);
    holds!(!open.masked_inside);
    Ok(())
}

/// Changes the flags of the SDK's gate for vector 6, whose stub is found by its distance from another's.
fn set_gate_of_invalid_opcode(change: impl Fn(u8) -> u8) {
    unsafe extern "C" {
        fn __pv_vectors();
    }
    let mut table = [
        TrapInfo {
            vector: 6,
            flags: change(0),
            cs: pv_guest_sdk::abi::segment::FLAT_KERNEL_CS,
            address: __pv_vectors as *const () as u64 + 6 * 16,
            ..TrapInfo::default()
        },
        TrapInfo::default(),
    ];
    // SAFETY: the SDK's own entry point.
    unsafe { hypercall::call(SET_TRAP_TABLE, [table.as_mut_ptr() as u64, 0, 0, 0, 0]) }.expect("a valid gate");
}

fn flags() -> Outcome {
    let mut frame = user::frame(user_ud2);
    user::set_up();
    frame.rsp = user::user_stack();
    frame.rflags = IF | AC | NT | DF | 1;
    let trap = user::run(frame);
    same!(trap.kind(), (6, 0));
    same!(trap.frame.rflags & (AC | NT | DF | 1 | TF), AC | NT | DF | 1);
    same!(trap.flags_inside & (AC | NT | TF), 0);
    Ok(())
}

fn iopl() -> Outcome {
    let mut frame = user::frame(user_ud2);
    frame.rflags = IF | IOPL;
    let trap = user::run(frame);
    same!(trap.frame.rflags & IOPL, 0);
    same!(trap.flags_inside & IOPL, 0);
    Ok(())
}

fn registers() -> Outcome {
    let trap = user::trap(user_registers);
    let f = trap.frame;
    same!([f.rax, f.rcx, f.rdx, f.rbx, f.rbp, f.rsi, f.rdi, f.r8], [1, 2, 3, 4, 5, 6, 7, 8]);
    same!([f.r9, f.r10, f.r11, f.r12, f.r13, f.r14, f.r15], [9, 10, 11, 12, 13, 14, 15]);
    Ok(())
}
