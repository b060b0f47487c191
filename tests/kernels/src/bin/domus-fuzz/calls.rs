//! One random hypercall, and what must be put right after some.

use pv_guest_sdk::abi::domid::SELF;
use pv_guest_sdk::abi::{event, hypercall as number, memory, mmu, sched, vcpu};
use pv_guest_sdk::hypercall;

use crate::arguments::Arguments;
use crate::random::Random;

/// Operations that would end the domain, stop its vCPU, or take its time and events away.
fn excluded(number: u64, operation: u64) -> bool {
    // Operations are 32 bits wide.
    let operation = operation as u32;
    match number {
        number::SCHED_OP => {
            let ends = [sched::OP_SHUTDOWN, sched::OP_REMOTE_SHUTDOWN, sched::OP_SHUTDOWN_CODE, sched::OP_WATCHDOG];
            ends.contains(&operation) || [sched::OP_BLOCK, sched::OP_POLL].contains(&operation)
        }
        number::SCHED_OP_COMPAT => [sched::OP_SHUTDOWN, sched::OP_BLOCK].contains(&operation),
        number::VCPU_OP => [vcpu::OP_DOWN, vcpu::OP_REGISTER_VCPU_INFO, vcpu::OP_SEND_NMI].contains(&operation),
        number::EVENT_CHANNEL_OP => [event::OP_CLOSE, event::OP_RESET].contains(&operation),
        _ => false,
    }
}

/// Calls whose whole subject is the kernel's own entry points or its end; their bad arguments have tests of their own.
fn left_out(number: u64) -> bool {
    [
        number::IRET,
        number::SET_TRAP_TABLE,
        number::SET_CALLBACKS,
        number::CALLBACK_OP,
        number::MULTICALL,
        number::CONSOLE_IO,
        number::CONTROL,
        // The number of its operation lies in memory, so none can be excluded; its successor is tried.
        number::EVENT_CHANNEL_OP_COMPAT,
    ]
    .contains(&number)
}

/// A number and arguments for it.
pub fn random(random: &mut Random, arguments: &Arguments) -> (u64, [u64; 5]) {
    let number = loop {
        let number = match random.below(200) {
            0 => random.next(),
            other => other % 64,
        };
        if !left_out(number) {
            break number;
        }
    };
    let mut args = shaped(number, random, arguments).unwrap_or_else(|| core::array::from_fn(|_| arguments.word(random)));
    while excluded(number, args[0]) {
        args[0] = random.below(40);
    }
    (number, args)
}

/// Arguments that have the shape of the call, so that more of it is reached than its first check.
fn shaped(number: u64, random: &mut Random, arguments: &Arguments) -> Option<[u64; 5]> {
    let structure = arguments.pointer(random);
    let count = if random.below(4) == 0 { arguments.word(random) } else { random.below(5) };
    let report = if random.below(2) == 0 { 0 } else { arguments.pointer(random) };
    let domain = if random.below(4) == 0 { arguments.word(random) } else { SELF.into() };
    let operation = random.below(32);
    Some(match number {
        number::MMU_UPDATE => {
            // One request of good shape; what is changed is the fuzzer's own.
            if random.below(2) == 0 {
                write(structure, [arguments.entry(random) | random.below(4), arguments.value(random)]);
            }
            [structure, count, report, domain, 0]
        }
        number::MMUEXT_OP => {
            let command = [operation, u64::from(mmu::EXT_PIN_L1_TABLE) + random.below(5)][random.below(2) as usize];
            // The base pointer stays: an empty table of the fuzzer's would be a good one, and the end.
            let command = if command == u64::from(mmu::EXT_NEW_BASEPTR) { u64::from(mmu::EXT_UNPIN_TABLE) } else { command };
            write(structure, [command, arguments.frame(random), arguments.frame(random)]);
            [structure, 1, report, domain, 0]
        }
        number::UPDATE_VA_MAPPING | number::UPDATE_VA_MAPPING_OTHERDOMAIN => {
            [arguments.address(random), arguments.value(random), random.below(8) | report, domain, 0]
        }
        number::UPDATE_DESCRIPTOR => [arguments.entry(random), arguments.word(random), 0, 0, 0],
        number::SET_GDT => [structure, count, 0, 0, 0],
        number::MEMORY_OP => {
            let operation = [operation, u64::from(memory::OP_EXCHANGE)][random.below(2) as usize];
            if random.below(2) == 0 {
                write(structure, exchange(random, arguments));
            }
            [operation, structure, 0, 0, 0]
        }
        number::GRANT_TABLE_OP => [random.below(14), structure, count, 0, 0],
        number::EVENT_CHANNEL_OP | number::SCHED_OP | number::PHYSDEV_OP | number::XEN_VERSION => [operation % 16, structure, 0, 0, 0],
        number::VCPU_OP => [operation % 16, random.below(3), structure, 0, 0],
        number::SET_TIMER_OP => [[0, 1, arguments.word(random)][random.below(3) as usize], 0, 0, 0, 0],
        _ => return None,
    })
}

/// An exchange of a few frames whose sizes fit, as often as not; for other operations, a list of extents.
fn exchange(random: &mut Random, arguments: &Arguments) -> [u64; 9] {
    let (given, had) = (random.below(4), random.below(4));
    let chunks = random.below(3);
    let list = |random: &mut Random, order: u64| {
        let start = arguments.pointer(random);
        let frame = arguments.frame(random);
        write(start, [frame, frame + 1, arguments.frame(random), arguments.frame(random)]);
        [start, chunks << (given.max(had) - order), order, u64::from(SELF)]
    };
    let ([a, b, c, d], [e, f, g, h]) = (list(random, given), list(random, had));
    [a, b, c, d, e, f, g, h, if random.below(4) == 0 { random.below(4) } else { 0 }]
}

/// Writes the words of a structure, if it is one of the fuzzer's buffers.
fn write<const N: usize>(structure: u64, words: [u64; N]) {
    let writable = pv_guest_sdk::memory::lookup(structure).is_some_and(|entry| entry & mmu::pte::RW != 0);
    if writable && structure.is_multiple_of(8) && structure % 4096 <= 4096 - 8 * N as u64 {
        // SAFETY: mapped writable, as the generator's buffers are; other addresses that it gives are mapped by it alone.
        unsafe { (structure as *mut [u64; N]).write_volatile(words) };
    }
}

/// Puts right what an accepted call may have changed about the kernel's own footing.
pub fn restore(number: u64) {
    match number {
        // SAFETY: off, or the SDK's own state.
        number::FPU_TASKSWITCH => unsafe {
            hypercall::raw(number::FPU_TASKSWITCH, [0; 5]);
        },
        number::SET_DEBUGREG => {
            // SAFETY: no breakpoint.
            unsafe { hypercall::raw(number::SET_DEBUGREG, [7, 0, 0, 0, 0]) };
        }
        _ => {}
    }
}
