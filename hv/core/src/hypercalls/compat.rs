//! The first forms of three hypercalls, before Xen 3.2. The public headers still give their numbers to a kernel that is compiled without
//! `__XEN_INTERFACE_VERSION__`, so small kernels issue them without knowing. Each is its successor with the arguments elsewhere.

use abi::errno::Errno;
use abi::event::{OP_INIT_CONTROL, OP_RESET};
use abi::sched::{OP_BLOCK, OP_SHUTDOWN, OP_YIELD};

use super::{event_channel_op, physdev_op, sched_op};
use crate::call::{Call, Outcome};
use crate::machine::Machine;

/// Where `evtchn_op_t` has the operation's structure, behind the operation's number.
const EVENT_ARGUMENT: u64 = 4;
/// Where `physdev_op_t` has it: one of the structures has a pointer.
const DEVICE_ARGUMENT: u64 = 8;

/// `sched_op_compat` (6): yield, block, or shut down for the reason in RSI.
pub fn sched<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    match args[0] as u32 {
        OP_YIELD | OP_BLOCK => sched_op::handler(call, args),
        OP_SHUTDOWN => sched_op::shut_down(call, args[1] as u8),
        _ => Errno::NOSYS.into(),
    }
}

/// `event_channel_op_compat` (16): number and structure of the operation lie at the address in RDI.
pub fn event_channel<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    match call.read::<u32>(args[0]) {
        // Those that came later.
        Ok(OP_RESET | OP_INIT_CONTROL..) => Errno::NOSYS.into(),
        Ok(operation) => event_channel_op::handler(call, behind(args[0], EVENT_ARGUMENT, operation)),
        Err(fault) => Errno::from(fault).into(),
    }
}

/// `physdev_op_compat` (19): likewise.
pub fn physdev<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    match call.read::<u32>(args[0]) {
        Ok(operation) => physdev_op::handler(call, behind(args[0], DEVICE_ARGUMENT, operation)),
        Err(fault) => Errno::from(fault).into(),
    }
}

/// The successor's arguments. An address that wraps cannot be read.
fn behind(address: u64, offset: u64, operation: u32) -> [u64; 5] {
    [operation.into(), address.wrapping_add(offset), 0, 0, 0]
}
