//! Debug exceptions: breakpoints and single steps, over emulated instructions too.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use domus_test_kernels::probe::{self, TF};
use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{holds, same, user, user_code};
use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::abi::hypercall::{GET_DEBUGREG, SET_DEBUGREG};
use pv_guest_sdk::{hypercall, traps};

pub const CHECKS: &[Check] = &[
    ("a single step is #DB behind the instruction, DR6.BS set", single_step),
    ("single steps stop at every instruction, emulated ones too", steps),
    ("the handler does not run with TF", no_step_inside),
    ("an instruction breakpoint is #DB at the instruction", breakpoint),
    ("a data breakpoint is #DB behind the access", watchpoint),
    ("breakpoints in the hypervisor's range are refused", bad_breakpoints),
    ("DR6 and DR7 read back as the processor has them", fixed_bits),
];

/// DR6: single step.
const BS: u64 = 1 << 14;

user_code! {
    user_nops: "nop", "nop", "ud2";
}

fn set(register: u64, value: u64) -> hypercall::Result {
    // SAFETY: the handlers expect debug exceptions.
    unsafe { hypercall::call(SET_DEBUGREG, [register, value, 0, 0, 0]) }
}

fn get(register: u64) -> u64 {
    // SAFETY: reads a register.
    unsafe { hypercall::raw(GET_DEBUGREG, [register, 0, 0, 0, 0]) as u64 }
}

fn single_step() -> Outcome {
    let mut frame = user::frame(user_nops);
    same!(set(6, 0), Ok(0));
    user::set_up();
    frame.rsp = user::user_stack();
    frame.rflags |= TF;
    let trap = user::run(frame);
    same!(trap.kind(), (1, 0));
    same!(trap.frame.rip, user_nops as *const () as u64 + 1);
    holds!(trap.frame.rflags & TF != 0);
    same!(trap.flags_inside & TF, 0);
    same!(get(6) & 0xe00f, BS);
    same!(set(6, 0), Ok(0));
    Ok(())
}

static STEPS: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Single-steps over plain and emulated instructions, noting where each step stops.
fn steps() -> Outcome {
    COUNT.store(0, Ordering::Relaxed);
    traps::set_handler(1, |frame| {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        if let Some(step) = STEPS.get(count as usize) {
            step.store(frame.rip, Ordering::Relaxed);
        }
    });
    let start: u64;
    // SAFETY: sets TF, executes instructions without effect, clears TF.
    unsafe {
        asm!(
            "mov r14, rbx",
            "lea rsi, [rip + 2f]", // a free choice of the register could be RBX
            "pushfq",
            "or dword ptr [rsp], 0x100",
            "popfq",
            "2:",
            "nop", // at 0
            "mov rax, cr0", // at 1, emulated
            "clts", // at 4, emulated
            ".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2", // at 6, CPUID by force
            "nop", // at 13
            "pushfq", // at 14
            "and dword ptr [rsp], 0xfffffeff", // at 15
            "popfq",
            "mov rbx, r14",
            out("rsi") start,
            out("rax") _, out("rcx") _, out("rdx") _, out("r14") _,
        );
    }
    probe::install();
    let stops = STEPS.each_ref().map(|step| step.load(Ordering::Relaxed).wrapping_sub(start));
    let count = COUNT.load(Ordering::Relaxed);
    same!(stops.first_chunk(), Some(&[1, 4, 6, 13, 14, 15]), "where the steps stop");
    holds!(count >= 7);
    same!(set(6, 0), Ok(0));
    Ok(())
}

fn no_step_inside() -> Outcome {
    let mut frame = user::frame(user_nops);
    frame.rflags |= TF;
    let trap = user::run(frame);
    same!(trap.flags_inside & TF, 0);
    same!(set(6, 0), Ok(0));
    Ok(())
}

fn breakpoint() -> Outcome {
    let address = user_nops as *const () as u64 + 1;
    same!(set(0, address), Ok(0));
    same!(set(7, 0x1), Ok(0));
    let trap = user::trap(user_nops);
    same!(set(7, 0), Ok(0));
    same!(trap.kind(), (1, 0));
    same!(trap.frame.rip, address);
    same!(get(6) & 0xe00f, 1);
    same!(set(6, 0), Ok(0));
    Ok(())
}

fn watchpoint() -> Outcome {
    static WATCHED: AtomicU64 = AtomicU64::new(0);
    same!(set(1, WATCHED.as_ptr() as u64), Ok(0));
    // Register 1, writes, eight bytes.
    same!(set(7, 0x4 | 0x9 << 20), Ok(0));
    let trap = domus_test_kernels::caught!("lea rsi, [rip + 2f]", "mov [rdi], rax", "2:", "nop", out("rsi") _, in("rdi") WATCHED.as_ptr(), in("rax") 1u64);
    same!(set(7, 0), Ok(0));
    let Some(trap) = trap else {
        domus_test_kernels::fail!("no trap");
    };
    same!((trap.kind(), trap.frame.rip), ((1, 0), trap.frame.rsi));
    same!(get(6) & 0xe00f, 2);
    same!(set(6, 0), Ok(0));
    Ok(())
}

fn bad_breakpoints() -> Outcome {
    for register in 0..4 {
        for address in [0xffff_8000_0000_0000, 0xffff_82d0_4000_0000, 0xffff_87ff_ffff_ffff, 1 << 60] {
            holds!(set(register, address).is_err());
        }
    }
    holds!(set(8, 0).is_err());
    holds!(set(u64::MAX, 0).is_err());
    // SAFETY: no such register.
    same!(unsafe { hypercall::call(GET_DEBUGREG, [9, 0, 0, 0, 0]) }, Err(Errno::NODEV));
    // General detect, and a breakpoint on I/O without CR4.DE.
    holds!(set(7, 1 << 13).is_err());
    holds!(set(7, 1 | 2 << 16).is_err());
    holds!(set(7, 1 << 40).is_err());
    Ok(())
}

fn fixed_bits() -> Outcome {
    same!(set(7, 0), Ok(0));
    same!(set(6, 0), Ok(0));
    same!((get(6), get(7)), (0xffff_0ff0, 0x400));
    Ok(())
}
