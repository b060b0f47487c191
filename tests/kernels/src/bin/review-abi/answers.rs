//! Which error, or which answer, an odd question gets.

use domus_test_kernels::report::{Check, Outcome, on_domus};
use domus_test_kernels::scratch::Page;
use domus_test_kernels::{holds, same};
use pv_guest_sdk::abi::domid::SELF;
use pv_guest_sdk::abi::event::{BindPirq, NR_CHANNELS_2L, OP_BIND_PIRQ, OP_STATUS, OP_UNMASK, Port, Status};
use pv_guest_sdk::abi::grant::{
    Copy, CopyPtr, GNTST_BAD_COPY_ARG, GNTST_BAD_DOMAIN, GNTST_OKAY, GNTST_PERMISSION_DENIED, OP_COPY, OP_QUERY_SIZE,
};
use pv_guest_sdk::abi::memory::{MemoryDomain, OP_MAXIMUM_GPFN, OP_MAXIMUM_RAM_PAGE, OP_POPULATE_PHYSMAP, Reservation};
use pv_guest_sdk::abi::multicall::MulticallEntry;
use pv_guest_sdk::abi::sched::{OP_WATCHDOG, Watchdog};
use pv_guest_sdk::abi::vcpu::{OP_INITIALISE, OP_REGISTER_VCPU_INFO, RegisterVcpuInfo};
use pv_guest_sdk::abi::{Errno, hypercall as number, version};
use pv_guest_sdk::hypercall;

pub const CHECKS: &[Check] = &[
    ("the hypervisor's command line is told, or that it is denied", command_line),
    ("structures of vcpu_op are read before the state is looked at", vcpu_errors),
    ("a physical interrupt is not permitted, or does not exist", physical_interrupt),
    ("a port that was never open is closed, and one out of range is none", ports),
    ("a copy names domains that exist and offsets in the page, whatever its length", copies),
    ("operations of one go have no upper bits", upper_bits),
    ("the highest frame is what the kernel says of itself", highest_frame),
    ("memory on demand is for others", on_demand),
    ("watchdogs are made, put off and ended", watchdogs),
    ("the length of a batch has 32 bits", batch_length),
];

fn call(number: u64, args: [u64; 3]) -> hypercall::Result {
    // SAFETY: the checks name nothing that this kernel needs, and structures that are there.
    unsafe { hypercall::call(number, [args[0], args[1], args[2], 0, 0]) }
}

fn op<T>(number: u64, operation: u32, argument: &mut T) -> hypercall::Result {
    call(number, [operation.into(), (&raw mut *argument) as u64, 0])
}

fn command_line() -> Outcome {
    let mut text = [0xffu8; 1024];
    same!(op(number::XEN_VERSION, version::OP_COMMANDLINE, &mut text), Ok(0));
    holds!(text.contains(&0));
    same!(call(number::XEN_VERSION, [version::OP_COMMANDLINE.into(), 8, 0]), Err(Errno::FAULT));
    Ok(())
}

fn vcpu_errors() -> Outcome {
    same!(call(number::VCPU_OP, [OP_INITIALISE.into(), 0, 8]), Err(Errno::FAULT));
    for offset in [4u32, 4090, 4040] {
        let place = RegisterVcpuInfo { mfn: 1, offset, ..Default::default() };
        let result = call(number::VCPU_OP, [OP_REGISTER_VCPU_INFO.into(), 0, (&raw const place) as u64]);
        same!((offset, result), (offset, Err(Errno::NXIO)));
    }
    Ok(())
}

fn physical_interrupt() -> Outcome {
    let bind = |pirq| op(number::EVENT_CHANNEL_OP, OP_BIND_PIRQ, &mut BindPirq { pirq, ..Default::default() });
    same!((bind(5), bind(9999)), (Err(Errno::PERM), Err(Errno::INVAL)));
    same!(call(number::EVENT_CHANNEL_OP, [OP_BIND_PIRQ.into(), 8, 0]), Err(Errno::FAULT));
    Ok(())
}

fn ports() -> Outcome {
    let mut status = Status { dom: SELF, port: 50, status: 77, ..Default::default() };
    same!((op(number::EVENT_CHANNEL_OP, OP_STATUS, &mut status), status.status), (Ok(0), 0));
    same!(op(number::EVENT_CHANNEL_OP, OP_UNMASK, &mut Port { port: 50 }), Ok(0));
    let mut beyond = Status { dom: SELF, port: NR_CHANNELS_2L - 1, ..Default::default() };
    same!(op(number::EVENT_CHANNEL_OP, OP_STATUS, &mut beyond), Err(Errno::INVAL));
    Ok(())
}

fn copies() -> Outcome {
    let (from, to) = (Page::new(), Page::new());
    let end = |page: Page, domid: u16, offset: u16| CopyPtr { ref_or_frame: page.mfn, domid, offset, ..Default::default() };
    let copy = |source: CopyPtr, dest: CopyPtr, len: u16| {
        let mut request = Copy { source, dest, len, flags: 0, status: 77, ..Default::default() };
        let result = call(number::GRANT_TABLE_OP, [OP_COPY.into(), (&raw mut request) as u64, 1]);
        (result, request.status)
    };
    same!(copy(end(from, SELF, 0), end(to, SELF, 0), 16), (Ok(0), GNTST_OKAY));
    for (source, dest) in [(end(from, SELF, 0), end(to, 77, 0)), (end(from, 77, 0), end(to, SELF, 0))] {
        // Xen 4.17.5 first denies what names another's frame without a grant; 4.17.7 first looks for the domain.
        let (result, status) = copy(source, dest, 16);
        holds!(result == Ok(0) && (status == GNTST_BAD_DOMAIN || status == GNTST_PERMISSION_DENIED && !on_domus()));
    }
    same!(copy(end(from, SELF, 0), end(to, SELF, 5000), 0), (Ok(0), GNTST_BAD_COPY_ARG));
    same!(copy(end(from, SELF, 0), end(to, SELF, 4096), 0), (Ok(0), GNTST_OKAY));
    Ok(())
}

fn upper_bits() -> Outcome {
    let structure = [0u64; 8];
    let address = structure.as_ptr() as u64;
    same!(call(number::GRANT_TABLE_OP, [0x1000 | u64::from(OP_QUERY_SIZE), address, 1]), Err(Errno::INVAL));
    same!(call(number::MEMORY_OP, [0x40 | u64::from(OP_MAXIMUM_RAM_PAGE), 0, 0]), Err(Errno::INVAL));
    same!(call(number::MEMORY_OP, [0x40 | u64::from(OP_MAXIMUM_GPFN), address, 0]), Err(Errno::INVAL));
    Ok(())
}

/// This kernel says nothing in `shared_info`.
fn highest_frame() -> Outcome {
    same!(op(number::MEMORY_OP, OP_MAXIMUM_GPFN, &mut MemoryDomain { domid: SELF }), Ok(0));
    same!(call(number::MEMORY_OP, [OP_MAXIMUM_GPFN.into(), 8, 0]), Err(Errno::FAULT));
    Ok(())
}

fn on_demand() -> Outcome {
    let number = 0xf_ffffu64;
    let mut request = Reservation {
        extent_start: (&raw const number) as u64,
        nr_extents: 1,
        extent_order: 0,
        mem_flags: 1 << 16,
        domid: SELF,
        ..Default::default()
    };
    same!(op(number::MEMORY_OP, OP_POPULATE_PHYSMAP, &mut request), Ok(0));
    Ok(())
}

fn batch_length() -> Outcome {
    let mut batch = [MulticallEntry { op: number::XEN_VERSION, result: 77, ..Default::default() }];
    same!(call(number::MULTICALL, [batch.as_mut_ptr() as u64, 1 << 32, 0]), Ok(0));
    same!(batch[0].result, 77);
    Ok(())
}

fn watchdogs() -> Outcome {
    let watchdog = |id, timeout| op(number::SCHED_OP, OP_WATCHDOG, &mut Watchdog { id, timeout });
    same!((watchdog(0, 600), watchdog(0, 600)), (Ok(1), Ok(2)));
    // Xen returns the error without its sign: as an unsigned number of 32 bits.
    let third = watchdog(0, 600);
    holds!(third == Err(Errno::NOSPC) || third == Ok(u64::from(-Errno::NOSPC.0 as u32)));
    same!((watchdog(1, 500), watchdog(2, 0), watchdog(2, 0)), (Ok(0), Ok(0), Err(Errno::INVAL)));
    same!((watchdog(3, 600), watchdog(99, 0)), (Err(Errno::INVAL), Err(Errno::INVAL)));
    same!((watchdog(0, 600), watchdog(1, 0), watchdog(2, 0)), (Ok(2), Ok(0), Ok(0)));
    same!(call(number::SCHED_OP, [OP_WATCHDOG.into(), 8, 0]), Err(Errno::FAULT));
    Ok(())
}
