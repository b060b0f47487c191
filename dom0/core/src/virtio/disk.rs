//! A virtio disk: requests go into queues, the device is told once for many, and answers are handed out together.

use alloc::{boxed::Box, rc::Rc, vec::Vec};
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;

use super::config::{Config, Forgetting};
use super::handshake::StartError;
use super::memory::Shared;
use super::queue::{Broken, Queue};
use super::waiting::Waiting;
use crate::block::quick::{Completions, Kind, Limits, QuickDisk, Refused};
use crate::block::{DiskError, Info, Piece, SECTOR, check_range};

/// Types of requests (virtio 1.2, 5.2.6).
const READ: u32 = 0;
const WRITE: u32 = 1;
const FLUSH: u32 = 4;
const DISCARD: u32 = 11;
const WRITE_ZEROES: u32 = 13;
/// Flag of [`WRITE_ZEROES`]: the zeroes need not take room.
const UNMAP: u32 = 1;

/// Statuses.
const OK: u8 = 0;
const UNSUPPORTED: u8 = 2;

/// What of a device is needed while it works.
pub trait Device {
    /// Tells it of what is new in a queue.
    fn doorbell(&self, queue: usize);
    /// Reads its configuration again.
    ///
    /// # Errors
    /// [`StartError`]: the device is broken.
    fn config(&self) -> Result<Config, StartError>;
    /// Makes sure that it touches no memory any more.
    fn stop(&self);
}

/// Whoever a request was for.
pub struct User {
    to: Rc<Completions>,
    token: u64,
}

impl User {
    fn answer(self, result: Result<(), DiskError>) {
        self.to.push(self.token, result);
        self.to.wake();
    }
}

/// A queue of a disk.
pub type DiskQueue<M> = Queue<M, User>;

/// A virtio disk.
pub struct VirtioDisk<D, M> {
    device: D,
    config: RefCell<Config>,
    queues: RefCell<Vec<DiskQueue<M>>>,
    /// The queue that requests go to: the same until they are made known, so that one bell rings for all of them.
    current: Cell<usize>,
    waiting: Waiting,
    gone: Cell<bool>,
}

impl<D: Device, M: Shared> VirtioDisk<D, M> {
    /// A disk of a device that is started, with its queues.
    pub fn new(device: D, config: Config, queues: Vec<DiskQueue<M>>) -> Self {
        let disk = Self {
            device,
            config: RefCell::new(config),
            queues: RefCell::new(queues),
            current: Cell::new(0),
            waiting: Waiting::default(),
            gone: Cell::new(false),
        };
        disk.adopt(config);
        disk
    }

    /// Takes over a configuration, as far as the queues allow.
    fn adopt(&self, mut config: Config) {
        let pieces = self.queues.borrow().iter().map(|queue| queue.shape().pieces).min().unwrap_or(0);
        config.limits.pieces = config.limits.pieces.min(pieces);
        config.limits.bytes = (config.limits.pieces as u64).saturating_mul(config.limits.piece_bytes.into());
        *self.config.borrow_mut() = config;
    }

    /// To be called when a queue has interrupted: hands out what is done.
    pub fn serve(&self) {
        if self.gone.get() {
            return;
        }
        let served = self.queues.borrow_mut().iter_mut().try_for_each(drain);
        if served.is_err() {
            self.give_up();
        }
        self.waiting.wake();
    }

    /// To be called when the configuration may have changed; true if the disk's size did.
    pub fn configuration_changed(&self) -> bool {
        if self.gone.get() {
            return false;
        }
        let now = *self.config.borrow();
        match self.device.config() {
            // Only the size may change (5.2.5.2); a block size that did would tear requests that are on their way.
            Ok(new) => self.adopt(Config { info: Info { bytes: new.info.bytes, ..now.info }, ..now }),
            Err(_) => self.give_up(),
        }
        self.config.borrow().info.bytes != now.info.bytes
    }

    /// Whether the device has been stopped because it made no sense.
    pub fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// Stops the device; everything on its way has failed.
    fn give_up(&self) {
        self.gone.set(true);
        self.device.stop();
        self.queues.borrow_mut().iter_mut().for_each(|queue| queue.abandon().for_each(|user| user.answer(Err(DiskError::Gone))));
        self.waiting.wake();
    }

    fn has_room(&self) -> bool {
        self.gone.get() || self.queues.borrow().iter().any(Queue::has_room)
    }

    /// Whether a request can be taken at all.
    #[inline]
    fn check(&self, config: &Config, kind: Kind, offset: u64, pieces: &[Piece]) -> Result<(), DiskError> {
        let Config { info, limits, .. } = config;
        if self.gone.get() {
            return Err(DiskError::Gone);
        }
        if info.read_only && matches!(kind, Kind::Write | Kind::Discard(_)) {
            return Err(DiskError::ReadOnly);
        }
        let bytes = match kind {
            Kind::Read | Kind::Write => bytes_of(pieces, limits).ok_or(DiskError::Unsupported)?,
            Kind::Flush => return Ok(()),
            Kind::Discard(bytes) if bytes == 0 || bytes > limits.discard_bytes || config.forgetting.is_none() => {
                return Err(DiskError::Unsupported);
            }
            Kind::Discard(bytes) => bytes,
        };
        check_range(info, offset, bytes)
    }
}

/// How many bytes the pieces are together, if a request can have them.
#[inline]
fn bytes_of(pieces: &[Piece], limits: &Limits) -> Option<u64> {
    if pieces.is_empty() || pieces.len() > limits.pieces {
        return None;
    }
    let mut bytes = 0;
    for piece in pieces {
        if piece.bytes > limits.piece_bytes {
            return None;
        }
        bytes += u64::from(piece.bytes);
    }
    Some(bytes)
}

/// Puts a request into a queue; false if it is full.
#[inline]
fn add<M: Shared>(queue: &mut DiskQueue<M>, how: Option<Forgetting>, kind: Kind, offset: u64, pieces: &[Piece], user: User) -> bool {
    let sector = offset / SECTOR;
    let (number, sector, pieces) = match kind {
        Kind::Read => (READ, sector, pieces),
        Kind::Write => (WRITE, sector, pieces),
        Kind::Flush => (FLUSH, 0, &[][..]),
        Kind::Discard(bytes) => {
            let (number, flags) = if how == Some(Forgetting::WriteZeroes) { (WRITE_ZEROES, UNMAP) } else { (DISCARD, 0) };
            return queue.add_range(number, sector, (bytes / SECTOR) as u32, flags, user);
        }
    };
    queue.add(number, sector, number == READ, pieces, user)
}

/// Hands out what is done until nothing more is, then listens again.
fn drain<M: Shared>(queue: &mut DiskQueue<M>) -> Result<(), Broken> {
    queue.ignore();
    loop {
        while let Some(done) = queue.take()? {
            done.user.answer(match done.status {
                OK => Ok(()),
                UNSUPPORTED => Err(DiskError::Unsupported),
                _ => Err(DiskError::Io),
            });
        }
        if !queue.listen(patience(queue.shown())) {
            return Ok(());
        }
    }
}

/// After how many more answers the device is to interrupt, besides one: with many on their way, a few may share an interrupt. Always fewer
/// than the device has, so that an interrupt comes.
const fn patience(shown: u16) -> u16 {
    shown / 8
}

impl<D: Device, M: Shared> QuickDisk for VirtioDisk<D, M> {
    fn info(&self) -> Info {
        self.config.borrow().info
    }

    fn limits(&self) -> Limits {
        self.config.borrow().limits
    }

    fn submit(&self, kind: Kind, offset: u64, pieces: &[Piece], to: &Rc<Completions>, token: u64) -> Result<(), Refused> {
        let config = self.config.borrow();
        self.check(&config, kind, offset, pieces).map_err(Refused::Failed)?;
        if kind == Kind::Flush && !config.flush {
            // A device without a cache has nothing to empty.
            User { to: to.clone(), token }.answer(Ok(()));
            return Ok(());
        }
        if self.waiting.closed() {
            return Err(Refused::Full);
        }
        let mut queues = self.queues.borrow_mut();
        let mut current = self.current.get();
        if !queues.get(current).is_some_and(Queue::has_room) {
            current = queues.iter().position(Queue::has_room).ok_or(Refused::Full)?;
            self.current.set(current);
        }
        // It has room, and the pieces were counted.
        let user = User { to: to.clone(), token };
        let added = add(&mut queues[current], config.forgetting, kind, offset, pieces, user);
        debug_assert!(added);
        Ok(())
    }

    fn kick(&self) {
        self.waiting.kicked();
        let mut queues = self.queues.borrow_mut();
        for (index, queue) in queues.iter_mut().enumerate() {
            if queue.publish() && !self.gone.get() {
                self.device.doorbell(index);
            }
        }
        let next = self.current.get() + 1;
        self.current.set(if next < queues.len() { next } else { 0 });
    }

    fn room(&self, _pieces: usize) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(self.waiting.turn(|| self.has_room()))
    }
}
