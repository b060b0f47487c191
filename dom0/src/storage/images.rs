//! `dom disk`.

use dom0_core::commands::{DiskCommand, NewSize, SnapshotAction};
use dom0_core::config::Format;
use dom0_core::qcow2::Taken;
use dom0_core::render;
use dom0_core::storage::{Storage, Target};
use pv_guest_sdk::time;

use super::{Result, get};
use crate::block::interrupts::SIZES_CHANGED;
use crate::terminal;

/// Carries out a subcommand.
pub async fn disk(command: DiskCommand) -> Result {
    let storage = get()?;
    let parse = |target: &str| Target::parse(target, Format::Qcow2).map(|target| Target { format: Format::Qcow2, ..target });
    match command {
        DiskCommand::Create { backing, target, bytes, force } => storage.create_image(&parse(&target)?, bytes, backing, force).await?,
        DiskCommand::Info { json, target } => {
            let info = storage.image_info(&parse(&target)?).await?;
            terminal::print(&if json { render::image_info_json(&info) } else { render::image_info(&info) });
        }
        DiskCommand::Resize { target, size } => {
            let (bytes, more) = match size {
                NewSize::To(bytes) => (bytes, false),
                NewSize::By(bytes) => (bytes, true),
            };
            storage.resize(&parse(&target)?, bytes, more).await?;
            // Back ends look again.
            SIZES_CHANGED.ring();
        }
        DiskCommand::Snapshot { action, target } => snapshot(storage, &parse(&target)?, action).await?,
    }
    Ok(())
}

async fn snapshot(storage: &Storage, target: &Target, action: SnapshotAction) -> Result {
    match action {
        SnapshotAction::List => {
            let list = storage.snapshots(target).await?;
            if !list.is_empty() {
                terminal::print(&render::snapshots(&list));
            }
        }
        SnapshotAction::Create(name) => {
            let (seconds, nanoseconds) = time::wall_clock();
            // The format has 32 bits for the seconds.
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            storage.take_snapshot(target, &name, Taken { seconds, nanoseconds, running: 0 }).await?;
        }
        SnapshotAction::Apply(name) => storage.apply_snapshot(target, &name).await?,
        SnapshotAction::Delete(name) => storage.delete_snapshot(target, &name).await?,
    }
    Ok(())
}
