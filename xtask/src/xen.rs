//! The second opinion: the same ELF as first domain of Debian's Xen, in the same QEMU.

use std::time::Duration;

use anyhow::Result;
use domus_harness::STATUS_UNKNOWN;
use domus_harness::machine::{Machine, Serial};
use domus_harness::supervise::Ended;
use domus_harness::xen::{self, Ending};

use crate::progress::say;
use crate::run::{checked_elf, machine};
use crate::workspace::Workspace;
use crate::{cli, debs, deps};

/// Xen's own command line: its console on COM1, nothing on the screen. What follows `--` would be the domain's.
const CMDLINE: &str = "com1=115200,8n1 console=com1 dom0_mem=256M loglvl=all guest_loglvl=all";

/// `cargo xtask xen`.
///
/// # Errors
/// When something is missing or cannot be started.
pub fn run(workspace: &Workspace, options: &cli::Xen) -> Result<u8> {
    deps::qemu()?;
    let kernel = checked_elf(&options.elf)?;
    let machine = on_xen(machine(&options.machine, debs::xen(workspace)?, kernel));
    if options.dry_run {
        println!("{}", machine.command_line());
        return Ok(0);
    }
    let report = xen::run(&machine, options.machine.timeout.map(Duration::from_secs))?;
    print!("{}", report.console);
    if options.log {
        eprint!("{}", report.serial);
    }
    Ok(status(report.ended, report.ending))
}

/// The machine with Xen's command line and one serial port.
pub fn on_xen(mut machine: Machine) -> Machine {
    machine.cmdline = CMDLINE.into();
    machine.serial = vec![Serial::Stdio];
    machine
}

fn status(ended: Ended, ending: Option<Ending>) -> u8 {
    match ending {
        Some(Ending::PowerOff | Ending::Reboot) => 0,
        Some(Ending::Crash) => 1,
        Some(Ending::XenFailed) => {
            say("Xen itself gave up; --log shows why");
            STATUS_UNKNOWN
        }
        None => {
            say(if ended == Ended::TimedOut { "the timeout passed" } else { "Xen did not say how the domain ended" });
            STATUS_UNKNOWN
        }
    }
}
