//! A front end's rings: taken when it connects, let go of when it leaves, or has to.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use dom0_core::blkback::connect::Queue;
use dom0_core::blkback::slots::PERSISTENT_MAX;

use super::device::{Device, QueueCell};
use super::{nodes, serve};
use crate::hal::block_ring::BlockRing;
use crate::hal::doorbell::Doorbell;
use crate::hal::executor;
use crate::hal::grant_pages::GrantPages;

/// What a queue's task works with.
pub struct Ends {
    /// The ring.
    pub ring: BlockRing,
    /// The event channel.
    pub door: Doorbell,
    /// Places for pages.
    pub pages: GrantPages,
}

/// Takes the rings that the front end names and starts their tasks.
///
/// # Errors
/// What is wrong with them. Tasks may have been started: [`release`] ends them.
pub fn connect(device: &Rc<Device>) -> Result<(), String> {
    let connection = nodes::their_connection(device.domid, device.spec.vdev.number)?;
    let ends = connection.queues.iter().map(|queue| take(device, queue)).collect::<Result<Vec<Ends>, String>>()?;
    for ends in ends {
        let cell = Rc::new(QueueCell::default());
        executor::spawn(serve::run(device.clone(), cell.clone(), ends, connection.persistent))
            .map_err(|_| String::from("Dom0 runs too many tasks"))?;
        device.queues.borrow_mut().push(cell);
    }
    Ok(())
}

fn take(device: &Device, queue: &Queue) -> Result<Ends, String> {
    let grefs = &queue.ring;
    let ring = BlockRing::map(device.domid, grefs).map_err(|error| format!("ring-ref {grefs:?}: the ring cannot be mapped: {error}"))?;
    let pages = GrantPages::new(device.domid, PERSISTENT_MAX).map_err(|error| format!("Dom0 has no room for the ring's pages: {error}"))?;
    let port = queue.port;
    let door = Doorbell::bind(device.domid, port).map_err(|error| format!("event-channel {port}: it cannot be bound: {error}"))?;
    Ok(Ends { ring, door, pages })
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
