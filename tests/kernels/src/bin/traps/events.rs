//! Events: when they are delivered, and what the upcall finds.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use domus_test_kernels::probe::IF;
use domus_test_kernels::report::{Check, Outcome, on_domus};
use domus_test_kernels::{fail, holds, same, user, user_code};
use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::abi::callback::{OP_REGISTER, Register, TYPE_SYSCALL};
use pv_guest_sdk::abi::hypercall::{CALLBACK_OP, VCPU_OP};
use pv_guest_sdk::abi::vcpu::OP_SEND_NMI;
use pv_guest_sdk::{events, hypercall, time, traps};

pub const CHECKS: &[Check] = &[
    ("an event is delivered at once, with upcalls masked inside", at_once),
    ("a masked event waits for the mask", waits),
    ("iret that unmasks delivers what is pending", by_iret),
    ("an event interrupts user mode and returns to it", in_user_mode),
    ("a masked port does not raise an upcall, unmasking it does", masked_port),
    ("block unmasks and returns after an event", block),
    ("an NMI to oneself is delivered, masked upcalls or not; Domus has none", nmi),
    ("syscall without a callback is an invalid opcode", no_callback),
];

static SEEN: AtomicU32 = AtomicU32::new(0);
static MASKED_INSIDE: AtomicBool = AtomicBool::new(false);

fn seen() -> u32 {
    SEEN.load(Ordering::Relaxed)
}

fn port() -> events::Port {
    SEEN.store(0, Ordering::Relaxed);
    let handler = |_| {
        SEEN.fetch_add(1, Ordering::Relaxed);
        MASKED_INSIDE.store(events::upcalls_masked(), Ordering::Relaxed);
    };
    events::bind_ipi(handler).expect("a port")
}

fn at_once() -> Outcome {
    let port = port();
    same!(events::send(port), Ok(()));
    same!(seen(), 1);
    holds!(MASKED_INSIDE.load(Ordering::Relaxed));
    holds!(!events::upcalls_masked());
    same!(events::close(port), Ok(()));
    Ok(())
}

fn waits() -> Outcome {
    let port = port();
    events::mask_upcalls();
    same!(events::send(port), Ok(()));
    let _ = hypercall::xen_version();
    let before = seen();
    let pending = events::is_pending(port);
    events::unmask_upcalls();
    same!((before, pending, seen()), (0, true, 1));
    same!(events::close(port), Ok(()));
    Ok(())
}

user_code! {
    user_ud2: "ud2";
    user_wait: "2:", "pause", "cmp dword ptr [rdi], 0", "je 2b", "mov eax, 7", "ud2";
    user_syscall: "syscall", "ud2";
}

fn by_iret() -> Outcome {
    user::set_up();
    let port = port();
    events::mask_upcalls();
    same!(events::send(port), Ok(()));
    let mut frame = user::frame(user_ud2);
    frame.rflags = IF;
    let trap = user::run(frame);
    same!((trap.kind(), seen()), ((6, 0), 1));
    same!(events::close(port), Ok(()));
    Ok(())
}

/// User mode waits for a word that the timer's handler writes.
fn in_user_mode() -> Outcome {
    SEEN.store(0, Ordering::Relaxed);
    time::on_timer(|_| {
        SEEN.fetch_add(1, Ordering::Relaxed);
    });
    let mut frame = user::frame(user_wait);
    frame.rdi = SEEN.as_ptr() as u64;
    (frame.rbx, frame.r11, frame.rcx) = (11, 12, 13);
    same!(time::set_timer(time::now() + 2_000_000), Ok(()));
    let trap = user::run(frame);
    same!((trap.kind(), seen()), ((6, 0), 1));
    same!([trap.frame.rax, trap.frame.rbx, trap.frame.r11, trap.frame.rcx], [7, 11, 12, 13]);
    same!(trap.frame.rsp, frame.rsp);
    Ok(())
}

fn masked_port() -> Outcome {
    let port = port();
    events::mask(port);
    same!(events::send(port), Ok(()));
    same!((seen(), events::is_pending(port)), (0, true));
    events::unmask(port);
    same!(seen(), 1);
    same!(events::close(port), Ok(()));
    Ok(())
}

fn block() -> Outcome {
    SEEN.store(0, Ordering::Relaxed);
    time::on_timer(|_| {
        SEEN.fetch_add(1, Ordering::Relaxed);
    });
    events::mask_upcalls();
    same!(time::set_timer(time::now() + 1_000_000), Ok(()));
    events::block();
    same!((seen(), events::upcalls_masked()), (1, false));
    Ok(())
}

fn nmi() -> Outcome {
    static NMIS: AtomicU32 = AtomicU32::new(0);
    traps::set_handler(2, |_| {
        NMIS.fetch_add(1, Ordering::Relaxed);
    });
    // SAFETY: the operation takes no structure, and there is a handler.
    let send = || unsafe { hypercall::call(VCPU_OP, [OP_SEND_NMI.into(), 0, 0, 0, 0]) };
    if on_domus() {
        same!(send(), Err(Errno::NOSYS));
        return Ok(());
    }
    same!(send(), Ok(0));
    let _ = hypercall::xen_version();
    same!(NMIS.load(Ordering::Relaxed), 1);
    events::mask_upcalls();
    same!(send(), Ok(0));
    let _ = hypercall::xen_version();
    let masked = NMIS.load(Ordering::Relaxed);
    events::unmask_upcalls();
    same!(masked, 2);
    Ok(())
}

fn no_callback() -> Outcome {
    let register = |address: u64| {
        let mut request = Register { kind: TYPE_SYSCALL, flags: 1, address, ..Register::default() };
        // SAFETY: none, or the SDK's own.
        unsafe { hypercall::op(CALLBACK_OP, OP_REGISTER, &mut request) }
    };
    unsafe extern "C" {
        fn __pv_syscall();
    }
    same!(register(0), Ok(0));
    let trap = user::trap(user_syscall);
    same!(register(__pv_syscall as *const () as u64), Ok(0));
    if trap.kind() != (6, 0) || trap.frame.rip != user_syscall as *const () as u64 {
        fail!("{:x?} at {:#x}", trap.kind(), trap.frame.rip);
    }
    same!(user::trap(user_syscall).frame.vector, traps::SYSCALL as u64);
    Ok(())
}
