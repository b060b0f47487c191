//! Who is on the way to places that a disk has told, so that the disk knows when nobody is any more.
//!
//! A layer that moves data (an image whose cluster is discarded, or shared with a new snapshot) must not give the old place another meaning
//! while a request is still under way to it. Requests under way are counted in two lanes; everybody enters the open one. When the closed one
//! is empty they change roles. So the disk never waits for a moment without any traffic, only for those who came before.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

/// The count.
#[derive(Default)]
pub struct Traffic {
    lanes: [Cell<u64>; 2],
    /// How often the lanes changed roles; the lower bit is the open lane.
    round: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

/// The lane that somebody entered, to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "who enters has to leave"]
pub struct Lane(u8);

/// A moment: those who had entered before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Traffic {
    /// Nobody is under way.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Somebody asks for a place and goes there.
    pub fn enter(&self) -> Lane {
        let lane = (self.round.get() & 1) as u8;
        self.count(lane).set(self.count(lane).get() + 1);
        Lane(lane)
    }

    /// Has arrived, or did not get a place after all.
    pub fn leave(&self, Lane(lane): Lane) {
        let count = self.count(lane);
        count.set(count.get().saturating_sub(1));
        if count.get() == 0 {
            self.waiting.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Now.
    pub fn moment(&self) -> Moment {
        Moment(self.round.get())
    }

    /// Whether all have left who had entered before the moment.
    pub fn passed(&self, moment: Moment) -> bool {
        for _ in 0..2 {
            let round = self.round.get();
            if round >= moment.0 + 2 {
                return true;
            }
            // The closed lane must be empty before it is opened again.
            if self.count((round & 1) as u8 ^ 1).get() != 0 {
                return false;
            }
            self.round.set(round + 1);
        }
        true
    }

    /// Waits until all have left who had entered before.
    pub async fn pass(&self, moment: Moment) {
        poll_fn(|context| {
            if self.passed(moment) {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|known| known.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn count(&self, lane: u8) -> &Cell<u64> {
        &self.lanes[usize::from(lane & 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_came_before_are_waited_for() {
        let traffic = Traffic::default();
        let early = traffic.enter();
        let moment = traffic.moment();
        assert!(!traffic.passed(moment));
        let late = traffic.enter();
        assert!(!traffic.passed(moment));
        traffic.leave(early);
        assert!(traffic.passed(moment));
        assert!(!traffic.passed(traffic.moment()));
        traffic.leave(late);
        assert!(traffic.passed(traffic.moment()));
    }

    #[test]
    fn without_traffic_every_moment_has_passed() {
        let traffic = Traffic::default();
        for _ in 0..5 {
            assert!(traffic.passed(traffic.moment()));
        }
    }
}
