//! The end: everything off, with the status of the run.

use abi::control::{OP_POWER, POWER_OFF, POWER_REBOOT, Power};
use pv_guest_sdk::{println, shutdown};

use crate::hal::control;

/// Switches the machine off; `status` is what the log's last line tells.
pub fn off(status: u32) -> ! {
    end(POWER_OFF, status)
}

/// Starts the machine again.
pub fn reboot(status: u32) -> ! {
    end(POWER_REBOOT, status)
}

fn end(action: u32, status: u32) -> ! {
    let result = control::op(OP_POWER, &mut Power { action, status });
    println!("dom0: the hypervisor does not switch off: {result:?}");
    shutdown::exit()
}
