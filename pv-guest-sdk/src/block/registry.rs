//! Which rings there are, for the event handlers, and the memory that back ends would not let go of.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::engine::Kept;
use super::machine::Xen;
use super::queue::Queue;
use crate::events::Port;
use crate::sync::IrqMutex;

static QUEUES: IrqMutex<Vec<Arc<Queue<Xen>>>> = IrqMutex::new(Vec::new());
static KEPT: IrqMutex<Vec<Kept>> = IrqMutex::new(Vec::new());

/// From here on its port's events reach the ring.
pub fn add_queue(queue: &Arc<Queue<Xen>>) {
    QUEUES.lock().push(Arc::clone(queue));
}

/// From here on they do not.
pub fn remove_queue(queue: &Arc<Queue<Xen>>) {
    QUEUES.lock().retain(|known| !Arc::ptr_eq(known, queue));
}

/// The handler of every ring's port.
pub fn rang(port: Port) {
    let queue = QUEUES.lock().iter().find(|queue| queue.port() == port).map(Arc::clone);
    if let Some(queue) = queue {
        queue.rang();
    }
}

/// The hook at xenstore's events: whoever waits for a disk looks whether it is still there.
pub fn store_rang() {
    let mut index = 0;
    loop {
        let queue = QUEUES.lock().get(index).map(Arc::clone);
        let Some(queue) = queue else { return };
        queue.wake_all();
        index += 1;
    }
}

/// Remembers memory that a back end would not let go of.
pub fn keep(mut kept: Vec<Kept>) {
    KEPT.lock().append(&mut kept);
}

/// Tries again to take such memory back; returns how many pages or rings are still out.
pub fn reap() -> usize {
    let kept = core::mem::take(&mut *KEPT.lock());
    let left: Vec<Kept> = kept.into_iter().filter_map(|kept| kept.retry(&Xen).err()).collect();
    let count = left.len();
    keep(left);
    count
}
