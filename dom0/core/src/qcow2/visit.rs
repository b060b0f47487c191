//! Our own requests on the way to a place below: see [`crate::block::Traffic`].

use alloc::rc::Rc;

use super::inner::Inner;
use crate::block::Lane;

/// One of them. It ends when this is dropped.
pub(super) struct Visit {
    inner: Rc<Inner>,
    lane: Lane,
    writes: bool,
}

impl Visit {
    pub fn new(inner: &Rc<Inner>) -> Self {
        Self { inner: inner.clone(), lane: inner.traffic.enter(), writes: false }
    }

    /// To write: if it is dropped before it is done, the device may still be writing there.
    pub fn writing(inner: &Rc<Inner>) -> Self {
        let mut visit = Self::new(inner);
        visit.writes = true;
        visit
    }

    /// What was wanted there is done.
    pub fn done(mut self) {
        self.writes = false;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.writes {
            self.inner.space.no_reuse.set(true);
        }
        self.inner.traffic.leave(self.lane);
    }
}
