//! The Domus hypervisor: the boot order as a list, the doors from the machine into the core, and the panic of last resort.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

mod boot;
mod panic;
mod shell;

hv_machine::handlers! {
    boot: boot::boot,
    system_call: shell::system_call,
    exception: shell::exception,
    interrupt: shell::interrupt,
}
