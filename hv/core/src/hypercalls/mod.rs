//! The hypercalls: one row in the table, one file each.
//!
//! The table is what the guest ABI's documentation is checked against. A number without a row answers -ENOSYS.

pub mod callback_op;
pub mod compat;
pub mod console_io;
pub mod control;
pub mod event_channel_op;
pub mod fpu_taskswitch;
pub mod get_debugreg;
pub mod grant_table_op;
pub mod iret;
mod memory_exchange;
pub mod memory_op;
mod mmu_batch;
pub mod mmu_update;
pub mod mmuext_op;
pub mod multicall;
pub mod physdev_op;
pub mod sched_op;
pub mod set_callbacks;
pub mod set_debugreg;
pub mod set_gdt;
pub mod set_segment_base;
pub mod set_timer_op;
pub mod set_trap_table;
pub mod stack_switch;
pub mod update_descriptor;
pub mod update_va_mapping;
pub mod vcpu_op;
pub mod vm_assist;
pub mod xen_version;

use core::marker::PhantomData;

use abi::errno::Errno;
use abi::hypercall as number;

use crate::call::{Call, Outcome};
use crate::machine::Machine;

/// A hypercall's handler: the caller and the five argument registers RDI, RSI, RDX, R10, R8.
pub type Handler<M> = fn(&mut Call<'_, M>, [u64; 5]) -> Outcome;

/// One hypercall.
pub struct Row<M: Machine> {
    /// Its number (`__HYPERVISOR_*`).
    pub number: u64,
    /// Its name in `xen.h`, in small letters.
    pub name: &'static str,
    /// What it does.
    pub handler: Handler<M>,
}

const fn row<M: Machine>(number: u64, name: &'static str, handler: Handler<M>) -> Row<M> {
    Row { number, name, handler }
}

/// The table for one kind of machine.
pub struct Table<M>(PhantomData<M>);

impl<M: Machine> Table<M> {
    /// All hypercalls there are, by number.
    pub const ROWS: &'static [Row<M>] = &[
        row(number::SET_TRAP_TABLE, "set_trap_table", set_trap_table::handler),
        row(number::MMU_UPDATE, "mmu_update", mmu_update::handler),
        row(number::SET_GDT, "set_gdt", set_gdt::handler),
        row(number::STACK_SWITCH, "stack_switch", stack_switch::handler),
        row(number::SET_CALLBACKS, "set_callbacks", set_callbacks::handler),
        row(number::FPU_TASKSWITCH, "fpu_taskswitch", fpu_taskswitch::handler),
        row(number::SCHED_OP_COMPAT, "sched_op_compat", compat::sched),
        row(number::SET_DEBUGREG, "set_debugreg", set_debugreg::handler),
        row(number::GET_DEBUGREG, "get_debugreg", get_debugreg::handler),
        row(number::UPDATE_DESCRIPTOR, "update_descriptor", update_descriptor::handler),
        row(number::MEMORY_OP, "memory_op", memory_op::handler),
        row(number::MULTICALL, "multicall", multicall::handler),
        row(number::UPDATE_VA_MAPPING, "update_va_mapping", update_va_mapping::handler),
        row(number::SET_TIMER_OP, "set_timer_op", set_timer_op::handler),
        row(number::EVENT_CHANNEL_OP_COMPAT, "event_channel_op_compat", compat::event_channel),
        row(number::XEN_VERSION, "xen_version", xen_version::handler),
        row(number::CONSOLE_IO, "console_io", console_io::handler),
        row(number::PHYSDEV_OP_COMPAT, "physdev_op_compat", compat::physdev),
        row(number::GRANT_TABLE_OP, "grant_table_op", grant_table_op::handler),
        row(number::VM_ASSIST, "vm_assist", vm_assist::handler),
        row(number::UPDATE_VA_MAPPING_OTHERDOMAIN, "update_va_mapping_otherdomain", update_va_mapping::handler_other),
        row(number::IRET, "iret", iret::handler),
        row(number::VCPU_OP, "vcpu_op", vcpu_op::handler),
        row(number::SET_SEGMENT_BASE, "set_segment_base", set_segment_base::handler),
        row(number::MMUEXT_OP, "mmuext_op", mmuext_op::handler),
        row(number::SCHED_OP, "sched_op", sched_op::handler),
        row(number::CALLBACK_OP, "callback_op", callback_op::handler),
        row(number::EVENT_CHANNEL_OP, "event_channel_op", event_channel_op::handler),
        row(number::PHYSDEV_OP, "physdev_op", physdev_op::handler),
        row(number::CONTROL, "control", control::handler),
    ];

    const HANDLERS: [Handler<M>; COUNT] = {
        let mut handlers: [Handler<M>; COUNT] = [refused; COUNT];
        let mut index = 0;
        while index < Self::ROWS.len() {
            handlers[Self::ROWS[index].number as usize] = Self::ROWS[index].handler;
            index += 1;
        }
        handlers
    };
}

/// One more than the highest number.
const COUNT: usize = 64;

/// Calls the hypercall of this number.
#[inline]
pub fn dispatch<M: Machine>(call: &mut Call<'_, M>, number: u64, args: [u64; 5]) -> Outcome {
    match Table::<M>::HANDLERS.get(number as usize) {
        Some(handler) => handler(call, args),
        None => Errno::NOSYS.into(),
    }
}

fn refused<M: Machine>(_: &mut Call<'_, M>, _: [u64; 5]) -> Outcome {
    Errno::NOSYS.into()
}
