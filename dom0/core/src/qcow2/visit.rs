//! Our own requests on the way to a place below: see [`crate::block::Traffic`].

use alloc::rc::Rc;

use super::inner::Inner;
use crate::block::{Lane, Traffic};

/// One of them. It ends when this is dropped.
pub(super) struct Visit {
    traffic: Rc<Traffic>,
    lane: Lane,
}

impl Visit {
    pub fn new(inner: &Inner) -> Self {
        Self { traffic: inner.traffic.clone(), lane: inner.traffic.enter() }
    }

    /// What was wanted there is done.
    pub fn done(self) {}
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.traffic.leave(self.lane);
    }
}
