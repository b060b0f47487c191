//! The shell: what a person types at Dom0's prompt, or what `/etc/exec` says to run without one.

mod checksum;
mod dom;
mod dumb;
mod editor;
mod execute;
mod host;
mod input;

use dom0_core::exec;
use embassy_futures::yield_now;

use crate::hal::tasks;
use crate::{files, power, terminal};

/// Runs `/etc/exec` and switches off, or prompts for ever.
#[embassy_executor::task]
pub async fn run() {
    tasks::named("shell", shell()).await
}

async fn shell() {
    if let Some(status) = batch().await {
        power::off(status);
    }
    terminal::print("\nDomus Dom0. `help` lists the commands.\n");
    let mut editor = editor::Editor::new();
    loop {
        let line = editor.line("dom0:~# ").await;
        execute::line(&line, 0).await;
    }
}

/// Runs the commands of `/etc/exec`, if there is one: the status of the first that failed, 0 if none did.
async fn batch() -> Option<u32> {
    let file = files::tree()?.read(exec::PATH).ok()?;
    let commands = match exec::commands(file) {
        Ok(commands) => commands,
        Err(error) => {
            terminal::print(&alloc::format!("dom0: {error}\n"));
            return Some(execute::USAGE);
        }
    };
    let mut first = 0;
    for command in commands {
        let status = execute::line(command, first).await;
        // Services that were rung meanwhile have their turn before the next command, as they have while a person types.
        yield_now().await;
        if first == 0 {
            first = status;
        }
    }
    Some(first)
}
