//! Telling the back end where the rings are, and learning what the disk is: the nodes of `io/blkif.h`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::blkif::PROTOCOL;

use super::engine::{Engine, Setup};
use super::machine::Xen;
use super::options::Options;
use super::queue::Queue;
use super::{Error, Info, registry};
use crate::events;
use crate::hypercall::Result as XenResult;
use crate::xenbus::{Device, State, Step};
use crate::xenstore::Transaction;

/// Makes the rings, as many and as large as both ends want.
///
/// # Errors
/// If there is no memory, grant or port; what has been made is given back.
pub fn make_queues(device: &Device, handle: u16, options: Options) -> Result<Vec<Arc<Queue<Xen>>>, Error> {
    let count = options.queues(device.tells("multi-queue-max-queues")?);
    let order = options.ring_order(device.tells("max-ring-page-order")?);
    let mut queues = Vec::new();
    for _ in 0..count {
        match make_queue(device.back_domid(), handle, order, options.pool_pages()) {
            Ok(queue) => queues.push(queue),
            Err(error) => {
                queues.iter().for_each(end_queue);
                return Err(error);
            }
        }
    }
    Ok(queues)
}

fn make_queue(domid: u16, handle: u16, order: u32, pool: usize) -> Result<Arc<Queue<Xen>>, Error> {
    let port = events::alloc_unbound(domid, registry::rang)?;
    match Engine::new(Xen, Setup { domid, port, handle, order, pool }) {
        Ok(engine) => {
            let queue = Arc::new(Queue::new(engine));
            registry::add_queue(&queue);
            Ok(queue)
        }
        Err(error) => {
            let _ = events::close(port);
            Err(error)
        }
    }
}

/// Ends a ring: nothing of ours is granted for it any more, or what is left is remembered.
pub fn end_queue(queue: &Arc<Queue<Xen>>) {
    registry::remove_queue(queue);
    let _ = events::close(queue.port());
    registry::keep(queue.close());
}

/// Writes where the rings are, and waits until the back end uses them.
///
/// # Errors
/// What xenstore answers; [`Error::Stopped`] if the back end does not want them.
pub async fn publish(device: &Device, queues: &[Arc<Queue<Xen>>], options: Options) -> Result<(), Error> {
    // What an earlier connection has left would be read as this one's.
    for node in ["ring-page-order", "multi-queue-num-queues", "ring-ref", "event-channel"] {
        device.remove(node)?;
    }
    device.transact(|transaction| {
        device.write(transaction, "protocol", format_args!("{PROTOCOL}"))?;
        device.write(transaction, "feature-persistent", format_args!("{}", u8::from(options.persistent)))?;
        if let [only] = queues {
            return write_queue(device, transaction, "", only);
        }
        device.write(transaction, "multi-queue-num-queues", format_args!("{}", queues.len()))?;
        for (index, queue) in queues.iter().enumerate() {
            let folder = alloc::format!("queue-{index}/");
            write_queue(device, transaction, &folder, queue)?;
        }
        Ok(())
    })?;
    device.set_state(State::Initialised)?;
    match device.step(State::Initialised).await? {
        Step::Connect => Ok(()),
        _ => Err(Error::Stopped),
    }
}

/// One page is told of as `ring-ref`, which every back end understands.
fn write_queue(device: &Device, transaction: Transaction, folder: &str, queue: &Queue<Xen>) -> XenResult<()> {
    let grants = queue.ring_grants();
    if let [only] = grants[..] {
        device.write(transaction, &alloc::format!("{folder}ring-ref"), format_args!("{only}"))?;
    } else {
        device.write(transaction, "ring-page-order", format_args!("{}", grants.len().ilog2()))?;
        for (page, gref) in grants.iter().enumerate() {
            device.write(transaction, &alloc::format!("{folder}ring-ref{page}"), format_args!("{gref}"))?;
        }
    }
    device.write(transaction, &alloc::format!("{folder}event-channel"), format_args!("{}", queue.port()))
}

/// What the back end tells of the disk.
///
/// # Errors
/// As for [`Info::read`]; what xenstore answers.
pub fn describe(device: &Device, options: Options) -> Result<Info, Error> {
    let info = Info::read(|node| device.tells(node).map_err(Error::from))?;
    Ok(Info { persistent: info.persistent && options.persistent, ..info })
}
