//! From a line to its effect and its status.

use alloc::format;
use alloc::string::String;

use dom0_core::commands::{self, Command, Invocation};

use super::{checksum, dom, host};
use crate::{devices, power, storage, terminal};

/// Status of a line that is no command, as in other shells.
pub const USAGE: u32 = 2;
/// Status of a command that failed.
pub const FAILED: u32 = 1;

/// What a command printed last, or why it failed: one message that says what and what to do.
pub type Result = core::result::Result<(), String>;

/// Carries out a line; its status, 0 for success. `so_far` is the status that the run ends with if the line ends it.
pub async fn line(line: &str, so_far: u32) -> u32 {
    match commands::parse(line) {
        Ok(None) => 0,
        Ok(Some(Invocation::Help(text))) => {
            terminal::print(&text);
            0
        }
        Ok(Some(Invocation::Run(command))) => match run(command, so_far).await {
            Ok(()) => 0,
            Err(message) => {
                terminal::print(&format!("{message}\n"));
                FAILED
            }
        },
        Err(error) => {
            terminal::print(&format!("{error}\n"));
            USAGE
        }
    }
}

async fn run(command: Command, so_far: u32) -> Result {
    match command {
        Command::Ls { long, path } => host::ls(long, path.as_deref()).await,
        Command::Cat(paths) => host::cat(&paths).await,
        Command::Echo { no_newline, words } => {
            terminal::print(&words.join(" "));
            if !no_newline {
                terminal::print("\n");
            }
            Ok(())
        }
        Command::Dmesg => host::dmesg(),
        Command::Ps => host::ps(),
        Command::Free => host::free(),
        Command::Lsblk { json } => storage::lsblk(json).await,
        Command::Mount(what) => storage::mount(what).await,
        Command::Umount(name) => storage::umount(&name),
        Command::Lspci { verbose, json } => {
            terminal::print(&devices::list(verbose, json));
            Ok(())
        }
        Command::Crc32(paths) => checksum::run(&paths).await,
        Command::Poweroff => power::off(so_far),
        Command::Reboot => power::reboot(so_far),
        Command::Dom(command) => dom::run(command).await,
    }
}
