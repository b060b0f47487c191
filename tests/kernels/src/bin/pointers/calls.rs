//! The calls: number, arguments, and where the pointer goes.

use pv_guest_sdk::abi::{Errno, console, event, grant, hypercall as number, memory, physdev, sched, vcpu, version};
use pv_guest_sdk::hypercall;

/// Stands for the pointer in a list of arguments.
const P: u64 = 0xdead_beef_0000_0001;

/// Whether a call reads its structure, or writes one that it does not read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    In,
    Out,
}

pub struct Call {
    pub name: &'static str,
    pub number: u64,
    args: [u64; 5],
    pub direction: Direction,
    /// Whether NULL is refused, too: for some it means "none".
    pub null_is_bad: bool,
    /// Tells failure by how many it has done.
    counts: bool,
}

impl Call {
    pub fn args(&self, pointer: u64) -> [u64; 5] {
        self.args.map(|arg| if arg == P { pointer } else { arg })
    }

    /// Whether the result says that nothing was done.
    pub fn is_refusal(&self, result: hypercall::Result) -> bool {
        match result {
            Err(error) => error != Errno::NOSYS,
            Ok(done) => self.counts && done == 0,
        }
    }
}

const fn call(name: &'static str, number: u64, args: [u64; 5]) -> Call {
    Call { name, number, args, direction: Direction::In, null_is_bad: true, counts: false }
}

const fn out(name: &'static str, number: u64, args: [u64; 5]) -> Call {
    Call { direction: Direction::Out, ..call(name, number, args) }
}

const fn optional(call: Call) -> Call {
    Call { null_is_bad: false, ..call }
}

const fn counting(call: Call) -> Call {
    Call { counts: true, ..call }
}

const fn op(name: &'static str, number: u64, operation: u32) -> Call {
    call(name, number, [operation as u64, P, 0, 0, 0])
}

const fn grants(name: &'static str, operation: u32) -> Call {
    call(name, number::GRANT_TABLE_OP, [operation as u64, P, 1, 0, 0])
}

const fn vcpu_op(name: &'static str, operation: u32) -> Call {
    call(name, number::VCPU_OP, [operation as u64, 0, P, 0, 0])
}

const SELF: u64 = pv_guest_sdk::abi::domid::SELF as u64;

pub const CALLS: &[Call] = &[
    optional(call("set_trap_table", number::SET_TRAP_TABLE, [P, 0, 0, 0, 0])),
    call("mmu_update", number::MMU_UPDATE, [P, 1, 0, SELF, 0]),
    call("mmu_update, many", number::MMU_UPDATE, [P, 0x7fff_ffff, 0, SELF, 0]),
    call("set_gdt", number::SET_GDT, [P, 512, 0, 0, 0]),
    call("multicall", number::MULTICALL, [P, 1, 0, 0, 0]),
    call("multicall, many", number::MULTICALL, [P, 0xffff_ffff, 0, 0, 0]),
    call("mmuext_op", number::MMUEXT_OP, [P, 1, 0, SELF, 0]),
    call("mmuext_op, many", number::MMUEXT_OP, [P, 0x7fff_ffff, 0, SELF, 0]),
    counting(op("memory_op increase_reservation", number::MEMORY_OP, memory::OP_INCREASE_RESERVATION)),
    counting(op("memory_op decrease_reservation", number::MEMORY_OP, memory::OP_DECREASE_RESERVATION)),
    counting(op("memory_op populate_physmap", number::MEMORY_OP, memory::OP_POPULATE_PHYSMAP)),
    op("memory_op current_reservation", number::MEMORY_OP, memory::OP_CURRENT_RESERVATION),
    op("memory_op maximum_reservation", number::MEMORY_OP, memory::OP_MAXIMUM_RESERVATION),
    out("memory_op machphys_mapping", number::MEMORY_OP, [memory::OP_MACHPHYS_MAPPING as u64, P, 0, 0, 0]),
    out("xen_version extraversion", number::XEN_VERSION, [version::OP_EXTRAVERSION as u64, P, 0, 0, 0]),
    out("xen_version compile_info", number::XEN_VERSION, [version::OP_COMPILE_INFO as u64, P, 0, 0, 0]),
    out("xen_version capabilities", number::XEN_VERSION, [version::OP_CAPABILITIES as u64, P, 0, 0, 0]),
    out("xen_version changeset", number::XEN_VERSION, [version::OP_CHANGESET as u64, P, 0, 0, 0]),
    out("xen_version platform_parameters", number::XEN_VERSION, [version::OP_PLATFORM_PARAMETERS as u64, P, 0, 0, 0]),
    op("xen_version get_features", number::XEN_VERSION, version::OP_GET_FEATURES),
    out("xen_version guest_handle", number::XEN_VERSION, [version::OP_GUEST_HANDLE as u64, P, 0, 0, 0]),
    call("console_io write", number::CONSOLE_IO, [console::OP_WRITE as u64, 16, P, 0, 0]),
    grants("grant_table_op map", grant::OP_MAP_GRANT_REF),
    grants("grant_table_op unmap", grant::OP_UNMAP_GRANT_REF),
    grants("grant_table_op setup_table", grant::OP_SETUP_TABLE),
    grants("grant_table_op copy", grant::OP_COPY),
    grants("grant_table_op query_size", grant::OP_QUERY_SIZE),
    grants("grant_table_op set_version", grant::OP_SET_VERSION),
    grants("grant_table_op get_version", grant::OP_GET_VERSION),
    vcpu_op("vcpu_op register_runstate_area", vcpu::OP_REGISTER_RUNSTATE_MEMORY_AREA),
    vcpu_op("vcpu_op get_runstate_info", vcpu::OP_GET_RUNSTATE_INFO),
    vcpu_op("vcpu_op set_periodic_timer", vcpu::OP_SET_PERIODIC_TIMER),
    vcpu_op("vcpu_op set_singleshot_timer", vcpu::OP_SET_SINGLESHOT_TIMER),
    vcpu_op("vcpu_op register_vcpu_info", vcpu::OP_REGISTER_VCPU_INFO),
    vcpu_op("vcpu_op register_time_area", vcpu::OP_REGISTER_VCPU_TIME_MEMORY_AREA),
    op("sched_op shutdown", number::SCHED_OP, sched::OP_SHUTDOWN),
    op("sched_op poll", number::SCHED_OP, sched::OP_POLL),
    op("sched_op remote_shutdown", number::SCHED_OP, sched::OP_REMOTE_SHUTDOWN),
    op("sched_op shutdown_code", number::SCHED_OP, sched::OP_SHUTDOWN_CODE),
    op("callback_op register", number::CALLBACK_OP, 0),
    op("callback_op unregister", number::CALLBACK_OP, 1),
    op("event_channel_op bind_interdomain", number::EVENT_CHANNEL_OP, event::OP_BIND_INTERDOMAIN),
    op("event_channel_op bind_virq", number::EVENT_CHANNEL_OP, event::OP_BIND_VIRQ),
    op("event_channel_op close", number::EVENT_CHANNEL_OP, event::OP_CLOSE),
    op("event_channel_op send", number::EVENT_CHANNEL_OP, event::OP_SEND),
    op("event_channel_op status", number::EVENT_CHANNEL_OP, event::OP_STATUS),
    op("event_channel_op alloc_unbound", number::EVENT_CHANNEL_OP, event::OP_ALLOC_UNBOUND),
    op("event_channel_op bind_ipi", number::EVENT_CHANNEL_OP, event::OP_BIND_IPI),
    op("event_channel_op bind_vcpu", number::EVENT_CHANNEL_OP, event::OP_BIND_VCPU),
    op("event_channel_op unmask", number::EVENT_CHANNEL_OP, event::OP_UNMASK),
    op("event_channel_op reset", number::EVENT_CHANNEL_OP, event::OP_RESET),
    op("physdev_op set_iopl", number::PHYSDEV_OP, physdev::OP_SET_IOPL),
    op("physdev_op set_iobitmap", number::PHYSDEV_OP, physdev::OP_SET_IOBITMAP),
];
