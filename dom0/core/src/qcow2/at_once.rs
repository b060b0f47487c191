//! What takes memory of Dom0's while it is under way: a few do it at once, the others wait. A guest can have a thousand requests on their way,
//! and there are other guests.

use core::cell::Cell;

use crate::virtio::Waiting;

/// So many at once.
pub(super) struct AtOnce {
    left: Cell<usize>,
    waiting: Waiting,
}

impl AtOnce {
    pub fn new(most: usize) -> Self {
        Self { left: Cell::new(most), waiting: Waiting::default() }
    }

    /// Waits until it is this caller's turn, which ends when the result is dropped. Work of the carrier must not wait for those who wait for the
    /// carrier: clusters are filled by requests alone.
    pub async fn enter(&self) -> Turn<'_> {
        self.waiting.turn(|| self.left.get() != 0).await;
        self.left.set(self.left.get() - 1);
        Turn(self)
    }
}

/// A turn of somebody's.
pub(super) struct Turn<'a>(&'a AtOnce);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.left.set(self.0.left.get() + 1);
        self.0.waiting.wake();
    }
}
