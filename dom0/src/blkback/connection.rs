//! A front end's rings: taken when it connects, let go of when it leaves, or has to.
//!
//! A front end whose disk is taken from it by force may have requests in the ring, and send more until it has seen that the disk is gone. Linux waits for
//! the answer to each of them, for ever and with all of xenbus, before it removes the disk. So they are answered, with errors.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use dom0_core::blkback::connect::Queue;
use dom0_core::blkback::faults::{Dice, Faults};
use dom0_core::blkback::slots::PERSISTENT_MAX;
use dom0_core::blkback::state::Wanted;
use embassy_futures::select::select;
use pv_guest_sdk::time;

use super::device::{Device, QueueCell};
use super::{nodes, serve};
use crate::hal::block_ring::BlockRing;
use crate::hal::doorbell::Doorbell;
use crate::hal::grant_pages::GrantPages;
use crate::hal::{executor, timer};

/// What a queue's task works with.
pub struct Ends {
    /// The ring.
    pub ring: BlockRing,
    /// Places for pages.
    pub pages: GrantPages,
}

/// How long a front end has to notice that its disk is gone, in nanoseconds. Linux needs a few milliseconds when it runs.
pub const GRACE: u64 = 3_000_000_000;
/// How often is looked whether it has, in nanoseconds: closing an event channel tells nobody.
const LOOK: u64 = 10_000_000;

/// Takes the rings that the front end names and starts their tasks.
///
/// # Errors
/// What is wrong with them. Tasks may have been started: [`release`] ends them.
pub fn connect(device: &Rc<Device>) -> Result<(), String> {
    let connection = nodes::their_connection(device.domid, device.spec.vdev.number)?;
    let taken = connection.queues.iter().map(|queue| take(device, queue)).collect::<Result<Vec<(Ends, Doorbell)>, String>>()?;
    for (ends, door) in taken {
        let cell = Rc::new(QueueCell::new(door));
        executor::spawn(serve::run(device.clone(), cell.clone(), ends, connection.persistent))
            .map_err(|_| String::from("Dom0 runs too many tasks"))?;
        device.queues.borrow_mut().push(cell);
    }
    Ok(())
}

fn take(device: &Device, queue: &Queue) -> Result<(Ends, Doorbell), String> {
    let grefs = &queue.ring;
    let ring = BlockRing::map(device.domid, grefs).map_err(|error| format!("ring-ref {grefs:?}: the ring cannot be mapped: {error}"))?;
    let pages = GrantPages::new(device.domid, PERSISTENT_MAX).map_err(|error| format!("Dom0 has no room for the ring's pages: {error}"))?;
    let port = queue.port;
    let door = Doorbell::bind(device.domid, port).map_err(|error| format!("event-channel {port}: it cannot be bound: {error}"))?;
    Ok((Ends { ring, pages }, door))
}

/// Answers everything with errors from now on, until the front end has closed its event channels, its domain ends, or the time is over.
pub async fn refuse(device: &Device) {
    device.dice.replace(Dice::new(Faults::ALL));
    let deadline = time::now() + GRACE;
    let asks = || device.queues.borrow().iter().any(|queue| !queue.done.get() && queue.door.is_open());
    let ended = || (device.wanted() == Wanted::Gone).then_some(());
    while asks() && ended().is_none() && time::now() < deadline {
        select(timer::sleep(LOOK), device.bell.wait_for(ended)).await;
    }
}

/// Lets go of the rings: waits for what is under way, since a device may be writing the front end's pages, and unmaps everything.
pub async fn release(device: &Device) {
    for queue in device.queues.borrow().iter() {
        queue.stop.set(true);
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }
    device.bell.wait_for(|| device.queues.borrow().iter().all(|queue| queue.done.get()).then_some(())).await;
    let mut past = device.past.get();
    device.queues.take().iter().for_each(|queue| past.add(&queue.stats.get()));
    device.past.set(past);
}
