//! A device's task: takes the steps that [`dom0_core::blkback::state`] says, and tells the guest when the disk has grown.

use alloc::rc::Rc;
use alloc::string::{String, ToString};

use dom0_core::blkback::features;
use dom0_core::blkback::state::{self, Ours, Step, Wanted};
use dom0_core::block::SECTOR;
use embassy_futures::select::select3;

use super::device::Device;
use super::{connection, forget, nodes};
use crate::block::interrupts::SIZES_CHANGED;
use crate::domains::xenstored::Watch;
use crate::hal::tasks;
use crate::log::log;

/// How often the log tells that a front end was given up: it can come back and be given up again for ever, and others' lines are in the log.
const MOST_TOLD: u32 = 8;

/// Serves a device until it is taken away.
pub async fn run(device: Rc<Device>) {
    tasks::named("block device", live(&device)).await;
    forget(&device);
}

async fn live(device: &Rc<Device>) {
    let (domid, number) = (device.domid, device.spec.vdev.number);
    let watch = Watch::new(&(dom0_core::toolstack::frontend(domid, number) + "/state"));
    // The size that the guest was told last.
    let mut told = 0;
    loop {
        let failure = device.failure.take();
        if let Some(why) = failure {
            connection::release(device).await;
            give_up(device, why);
        }
        match state::step(device.ours.get(), nodes::their_state(domid, number), device.wanted()) {
            Step::Wait => {
                told = tell_size(device, told);
                wait(device, &watch, told).await;
            }
            Step::Offer => {
                connection::release(device).await;
                told = offer(device);
                enter(device, Ours::Waiting);
            }
            Step::Connect => match connection::connect(device) {
                Ok(()) => {
                    device.error.replace(None);
                    enter(device, Ours::Connected);
                }
                Err(why) => {
                    connection::release(device).await;
                    give_up(device, why);
                }
            },
            Step::Close => enter(device, Ours::Closing),
            Step::Release => {
                connection::release(device).await;
                enter(device, Ours::Closed);
            }
            Step::Remove => break,
        }
    }
    if device.wanted() == Wanted::Taken {
        // That its nodes have gone is how the front end learns of it.
        nodes::remove(domid, number);
        connection::refuse(device).await;
    }
    connection::release(device).await;
    nodes::remove(domid, number);
    let opened = device.open.take();
    if let Some(opened) = opened {
        opened.close().await;
    }
}

/// Waits for something to look at.
async fn wait(device: &Device, watch: &Watch, told: u64) {
    let (ours, wanted) = (device.ours.get(), device.wanted());
    let resized = || (cares_about_size(ours) && device.info().bytes != told).then_some(());
    let news = || (device.wanted() != wanted || device.failure.borrow().is_some()).then_some(());
    select3(watch.changed(), device.bell.wait_for(news), SIZES_CHANGED.wait_for(resized)).await;
}

fn cares_about_size(ours: Ours) -> bool {
    matches!(ours, Ours::Waiting | Ours::Connected)
}

/// Moves our end to a state, and shows it.
fn enter(device: &Device, ours: Ours) {
    device.ours.set(ours);
    nodes::write_state(device.domid, device.spec.vdev.number, ours.number());
}

/// Says what is offered; the size that was told.
fn offer(device: &Device) -> u64 {
    let info = device.info();
    let mut offered = features::limits();
    offered.extend(features::disk(&info, device.offer()));
    nodes::write(device.domid, device.spec.vdev.number, &offered);
    info.bytes
}

/// Tells the guest of a new size, if there is one: Linux looks at `sectors` when our state is written again, though it is the same.
fn tell_size(device: &Device, told: u64) -> u64 {
    let (ours, bytes) = (device.ours.get(), device.info().bytes);
    if !cares_about_size(ours) || bytes == told {
        return told;
    }
    nodes::write(device.domid, device.spec.vdev.number, &[("sectors", (bytes / SECTOR).to_string())]);
    if ours == Ours::Connected {
        nodes::write_state(device.domid, device.spec.vdev.number, ours.number());
    }
    bytes
}

/// Stops serving a front end that does not keep to the rules, and says why.
fn give_up(device: &Device, why: String) {
    let before = device.given_up.replace(device.given_up.get().saturating_add(1));
    if before < MOST_TOLD {
        log!("{} of {}: not served any more: {why}", device.spec.vdev, device.name);
    }
    nodes::write(device.domid, device.spec.vdev.number, &[("error", why.clone())]);
    device.error.replace(Some(why));
    enter(device, Ours::Failed);
}
