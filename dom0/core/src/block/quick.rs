//! The quick way down to a physical disk: requests go in without waiting and without an allocation, are made known to the device together,
//! and what has been done is fetched together.
//!
//! Whoever serves a guest looks up by [`super::Disk::place`] where its bytes lie, submits what one look into the guest's ring gave, kicks
//! once, and sleeps until [`Completions`] has something.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Poll, Waker};

use super::{DiskError, Info, Piece};

/// What a physical disk is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Read into the pieces.
    Read,
    /// Write what the pieces hold.
    Write,
    /// Make durable what has been written; no pieces.
    Flush,
    /// Forget this many bytes; no pieces.
    Discard(u64),
}

/// What one request can have at most. A longer one has to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pieces of memory.
    pub pieces: usize,
    /// Bytes of one piece.
    pub piece_bytes: u32,
    /// Bytes.
    pub bytes: u64,
    /// Bytes of one discard.
    pub discard_bytes: u64,
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No room now: wait by [`QuickDisk::room`], kick before.
    Full,
    /// Never, for this reason.
    Failed(DiskError),
}

/// A physical disk. Nothing here blocks.
pub trait QuickDisk {
    /// What it is.
    fn info(&self) -> Info;

    /// What one request can have.
    fn limits(&self) -> Limits;

    /// Takes a request for the bytes from `offset` on: `token` comes back through `to` when it is done, however it ends. The memory stays the
    /// device's until then. The device need not look before [`QuickDisk::kick`].
    ///
    /// # Errors
    /// [`Refused`]: nothing was taken, and nothing comes back. [`DiskError::Unsupported`] for more than [`QuickDisk::limits`].
    fn submit(&self, kind: Kind, offset: u64, pieces: &[Piece], to: &Rc<Completions>, token: u64) -> Result<(), Refused>;

    /// Lets the device know of what was submitted, if it has to be told.
    fn kick(&self);

    /// Waits until a request with so many pieces has a chance. Those who wait are served in their order, and before newcomers.
    fn room(&self, pieces: usize) -> Pin<alloc::boxed::Box<dyn Future<Output = ()> + '_>>;
}

/// What has been done for one user of disks, in the order of completion.
#[derive(Default)]
pub struct Completions {
    done: RefCell<VecDeque<(u64, Result<(), DiskError>)>>,
    waiting: Cell<Option<Waker>>,
}

impl Completions {
    /// Nothing is done.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Notes that something is done. [`Completions::wake`] is called once for several.
    pub fn push(&self, token: u64, result: Result<(), DiskError>) {
        self.done.borrow_mut().push_back((token, result));
    }

    /// Wakes who waits.
    pub fn wake(&self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// The next that is done, if there is one: its token and how it went.
    pub fn take(&self) -> Option<(u64, Result<(), DiskError>)> {
        self.done.borrow_mut().pop_front()
    }

    /// All that is done by now, in exchange for an empty queue, whose memory is used from now on.
    pub fn take_all(&self, into: &mut VecDeque<(u64, Result<(), DiskError>)>) {
        debug_assert!(into.is_empty(), "nothing is lost");
        core::mem::swap(&mut *self.done.borrow_mut(), into);
    }

    /// Whether something is done.
    pub fn any(&self) -> bool {
        !self.done.borrow().is_empty()
    }

    /// Has the task woken when something is done; only the last that asked.
    pub fn register(&self, waker: &Waker) {
        match self.waiting.take() {
            Some(known) if known.will_wake(waker) => self.waiting.set(Some(known)),
            _ => self.waiting.set(Some(waker.clone())),
        }
    }

    /// Waits for the next that is done.
    pub async fn next(&self) -> (u64, Result<(), DiskError>) {
        poll_fn(|context| {
            self.take().map_or_else(
                || {
                    self.register(context.waker());
                    Poll::Pending
                },
                Poll::Ready,
            )
        })
        .await
    }
}
