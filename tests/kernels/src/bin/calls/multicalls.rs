//! Batches.

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::{holds, same, trap, user, user_code};
use pv_guest_sdk::abi::multicall::MulticallEntry;
use pv_guest_sdk::abi::{Errno, hypercall as number};
use pv_guest_sdk::{hypercall, traps};

pub const CHECKS: &[Check] = &[
    ("a batch gives each call its own result", results),
    ("a batch in a batch is refused", nested),
    ("a call that does not exist fails alone", unknown),
    ("the batch ends where its memory ends", beyond),
    ("iret ends a batch", iret),
    ("a long batch is done in slices", long),
];

fn entry(op: u64, args: [u64; 2]) -> MulticallEntry {
    MulticallEntry { op, args: [args[0], args[1], 0, 0, 0, 0], ..Default::default() }
}

fn run(batch: &mut [MulticallEntry]) -> hypercall::Result {
    // SAFETY: the batches do nothing to this kernel.
    unsafe { hypercall::call(number::MULTICALL, [batch.as_mut_ptr() as u64, batch.len() as u64, 0, 0, 0]) }
}

fn results() -> Outcome {
    let mut batch = [entry(number::XEN_VERSION, [0, 0]), entry(number::XEN_VERSION, [6, 1 << 60]), entry(number::XEN_VERSION, [0, 0])];
    same!(run(&mut batch), Ok(0));
    same!((batch[0].result, batch[2].result), (hypercall::xen_version().unwrap_or(0), batch[0].result));
    same!(batch[1].result as i64, Errno::FAULT.as_ret());
    same!(run(&mut []), Ok(0));
    Ok(())
}

fn nested() -> Outcome {
    let mut inner = [entry(number::XEN_VERSION, [0, 0])];
    let mut batch = [entry(number::MULTICALL, [inner.as_mut_ptr() as u64, 1]), entry(number::XEN_VERSION, [0, 0])];
    let _ = run(&mut batch);
    holds!((batch[0].result as i64) < 0);
    same!(inner[0].result, 0);
    Ok(())
}

fn unknown() -> Outcome {
    let mut batch = [entry(63, [0, 0]), entry(u64::MAX, [0, 0]), entry(number::XEN_VERSION, [0, 0])];
    same!(run(&mut batch), Ok(0));
    same!([batch[0].result as i64, batch[1].result as i64], [Errno::NOSYS.as_ret(); 2]);
    holds!(batch[2].result != 0);
    Ok(())
}

fn beyond() -> Outcome {
    // SAFETY: wraps around the address space.
    let result = unsafe { hypercall::call(number::MULTICALL, [u64::MAX - 63, 2, 0, 0, 0]) };
    holds!(result.is_err());
    // SAFETY: the list runs into nothing after the last page of zeroes.
    let result = unsafe { hypercall::call(number::MULTICALL, [0xffff_ffff_ffff_f000, u64::MAX, 0, 0, 0]) };
    holds!(result.is_err());
    Ok(())
}

user_code! {
    user_ud2: "ud2";
}

static mut BATCH: [MulticallEntry; 3] = [MulticallEntry { op: 0, result: 0, args: [0; 6] }; 3];

/// The second of three calls goes to user mode: the third must not be done there, with user mode's registers and rights.
fn iret() -> Outcome {
    user::set_up();
    let frame = user::frame(user_ud2);
    let batch = &raw mut BATCH;
    // SAFETY: this is the only use of the batch.
    unsafe {
        (*batch)[0] = entry(number::XEN_VERSION, [0, 0]);
        (*batch)[1] = entry(number::IRET, [0, 0]);
        (*batch)[2] = entry(number::XEN_VERSION, [0, 0]);
        (*batch)[2].result = 77;
    }
    let trap = trap!(
        "push {ss}", "push {rsp}", "push 0x202", "push {cs}", "push {rip}", "push 0", "push 0", "push 0", "push 0",
        "mov eax, {multicall}", "mov esi, 3", "syscall", "ud2",
        ss = in(reg) frame.ss, rsp = in(reg) frame.rsp, cs = in(reg) frame.cs, rip = in(reg) frame.rip,
        multicall = const number::MULTICALL, in("rdi") batch,
        out("rax") _, out("rsi") _, out("rcx") _, out("r11") _
    );
    same!((trap.kind(), trap.frame.from_user(), trap.frame.rip), ((6, 0), true, frame.rip));
    // SAFETY: as above.
    let results = unsafe { [(*batch)[0].result, (*batch)[2].result] };
    holds!(results[0] != 0);
    same!(results[1], 77);
    let _ = traps::SYSCALL;
    Ok(())
}

fn long() -> Outcome {
    static mut MANY: [MulticallEntry; 2000] = [MulticallEntry { op: number::XEN_VERSION, result: 0, args: [0; 6] }; 2000];
    let many = &raw mut MANY;
    // SAFETY: this is the only use of the batch.
    let result = unsafe { hypercall::call(number::MULTICALL, [many as u64, 2000, 0, 0, 0]) };
    same!(result, Ok(0));
    // SAFETY: as above.
    holds!(unsafe { &*many }.iter().all(|entry| entry.result != 0));
    Ok(())
}
