//! Numbers and operations that do not exist, and the control ABI.

use domus_test_kernels::report::{Check, Outcome, on_domus};
use domus_test_kernels::{fail, holds, same};
use pv_guest_sdk::abi::{Errno, control as ver, hypercall as number, sched, vcpu};
use pv_guest_sdk::{BootInfo, hypercall, time};

pub const CHECKS: &[Check] = &[
    ("hypercalls that do not exist are ENOSYS", no_such_call),
    ("operations that do not exist are errors", no_such_operation),
    ("vCPUs that do not exist are errors", no_such_vcpu),
    ("timers with times that make no sense", timers),
    ("polls with too many or impossible ports", polls),
    ("the console takes and loses nothing of a flood", console),
    ("the control ABI refuses nonsense", control),
];

fn call(number: u64, args: [u64; 5]) -> hypercall::Result {
    // SAFETY: the checks name nothing that this kernel needs.
    unsafe { hypercall::call(number, args) }
}

fn no_such_call() -> Outcome {
    for number in [11u64, 43, 47, 50, 54, 63, 64, 65, 127, 1 << 16, 1 << 31, u64::MAX, i64::MIN as u64] {
        same!((number, call(number, [0; 5])), (number, Err(Errno::NOSYS)));
    }
    Ok(())
}

fn no_such_operation() -> Outcome {
    let structure = [0u64; 16];
    let pointer = structure.as_ptr() as u64;
    for operation in [15u64, 63, 99, 0x7fff_ffff, 0xffff_ffff] {
        for (number, args) in [
            (number::SCHED_OP, [operation, pointer, 0, 0, 0]),
            (number::EVENT_CHANNEL_OP, [operation, pointer, 0, 0, 0]),
            (number::GRANT_TABLE_OP, [operation, pointer, 1, 0, 0]),
            (number::XEN_VERSION, [operation, pointer, 0, 0, 0]),
            (number::CALLBACK_OP, [operation, pointer, 0, 0, 0]),
            (number::VCPU_OP, [operation, 0, pointer, 0, 0]),
            (number::CONSOLE_IO, [operation, 1, pointer, 0, 0]),
        ] {
            holds!(call(number, args).is_err());
        }
    }
    Ok(())
}

fn no_such_vcpu() -> Outcome {
    let structure = [0u64; 16];
    for number in [32u64, 1000, 0xffff_ffff] {
        for operation in [vcpu::OP_UP, vcpu::OP_DOWN, vcpu::OP_IS_UP, vcpu::OP_REGISTER_VCPU_INFO, vcpu::OP_SEND_NMI, vcpu::OP_INITIALISE] {
            same!(
                (number, operation, call(number::VCPU_OP, [operation.into(), number, structure.as_ptr() as u64, 0, 0])),
                (number, operation, Err(Errno::NOENT))
            );
        }
    }
    // One that runs already.
    holds!(call(number::VCPU_OP, [vcpu::OP_INITIALISE.into(), 0, structure.as_ptr() as u64, 0, 0]).is_err());
    Ok(())
}

fn timers() -> Outcome {
    for period in [0u64, 1, 999_999, u64::MAX] {
        let argument = vcpu::SetPeriodicTimer { period_ns: period };
        let result = call(number::VCPU_OP, [vcpu::OP_SET_PERIODIC_TIMER.into(), 0, &raw const argument as u64, 0, 0]);
        same!((period, result), (period, Err(Errno::INVAL)));
    }
    // A time that has passed is no error, whatever the flag says.
    for flags in [0, vcpu::SSHOTTMR_FUTURE] {
        let argument = vcpu::SetSingleshotTimer { timeout_abs_ns: 1, flags, ..Default::default() };
        let result = call(number::VCPU_OP, [vcpu::OP_SET_SINGLESHOT_TIMER.into(), 0, &raw const argument as u64, 0, 0]);
        same!((flags, result), (flags, Ok(0)));
    }
    for deadline in [0, 1, u64::MAX, i64::MIN as u64] {
        same!((deadline, call(number::SET_TIMER_OP, [deadline, 0, 0, 0, 0])), (deadline, Ok(0)));
    }
    time::stop_timer();
    time::sleep(1_000_000);
    Ok(())
}

fn polls() -> Outcome {
    let ports = [0x7fff_ffffu32; 129];
    for (nr_ports, expected) in [(129, Errno::INVAL), (u32::MAX, Errno::INVAL), (1, Errno::INVAL)] {
        let argument = sched::Poll { ports: ports.as_ptr() as u64, nr_ports, timeout: 1, ..Default::default() };
        same!((nr_ports, call(number::SCHED_OP, [sched::OP_POLL.into(), &raw const argument as u64, 0, 0, 0])), (nr_ports, Err(expected)));
    }
    Ok(())
}

fn console() -> Outcome {
    let text = [b'.'; 4096];
    same!(call(number::CONSOLE_IO, [0, 4096, text.as_ptr() as u64, 0, 0]).is_ok(), true);
    same!(call(number::CONSOLE_IO, [0, 1, b"\n".as_ptr() as u64, 0, 0]).is_ok(), true);
    same!(call(number::CONSOLE_IO, [0, 0, 0, 0, 0]).is_ok(), true);
    let mut buffer = [0u8; 16];
    let read = call(number::CONSOLE_IO, [1, 0, buffer.as_mut_ptr() as u64, 0, 0]);
    // Reading is the first domain's.
    let first = BootInfo::get().is_some_and(BootInfo::is_initial_domain);
    same!(read, if first { Ok(0) } else { Err(Errno::PERM) });
    Ok(())
}

fn control() -> Outcome {
    if !on_domus() {
        return Ok(());
    }
    let garbage = [u64::MAX; 64];
    let good = ver::VERSION;
    if !BootInfo::get().is_some_and(BootInfo::is_privileged) {
        for operation in 0..16u64 {
            let result = call(number::CONTROL, [operation, good.into(), garbage.as_ptr() as u64, 0, 0]);
            same!((operation, result), (operation, Err(Errno::PERM)));
        }
        return Ok(());
    }
    for operation in 1..16u32 {
        // Another version is refused before anything else.
        for version in [0, good + 1, u32::MAX] {
            let result = call(number::CONTROL, [operation.into(), version.into(), garbage.as_ptr() as u64, 0, 0]);
            same!((operation, version, result), (operation, version, Err(Errno::PROTONOSUPPORT)));
        }
        for structure in [garbage.as_ptr() as u64, 0, 1, 0x1000, 1 << 60, 0xffff_8300_0000_0000, u64::MAX] {
            // These find good structures there.
            if [ver::OP_MACHINE_INFO, ver::OP_LOG_READ].contains(&operation) && structure == garbage.as_ptr() as u64 {
                continue;
            }
            if let Ok(value) = call(number::CONTROL, [operation.into(), good.into(), structure, 0, 0]) {
                fail!("operation {operation} with a structure at {structure:#x}: {value}");
            }
        }
    }
    Ok(())
}
