//! A connected disk: what may be asked of it, checked against what it is, and spread over its rings.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use abi::layout::PAGE_SIZE;

use super::buffer::{Buffer, Lent};
use super::engine::Data;
use super::error::BufferError;
use super::flight::Flight;
use super::machine::Machine;
use super::queue::Queue;
use super::request::Operation;
use super::{Error, Info};
use crate::sync::IrqMutex;

/// Sectors of a page.
const PAGE_SECTORS: u64 = PAGE_SIZE as u64 / 512;

/// A disk as far as its rings go.
pub struct Volume<M: Machine> {
    queues: Vec<Arc<Queue<M>>>,
    turn: AtomicUsize,
    info: IrqMutex<Info>,
    /// Pages of a request at most.
    step: usize,
}

impl<M: Machine> Volume<M> {
    /// From its rings, one at least. A request takes `step` pages at most.
    pub fn new(queues: Vec<Arc<Queue<M>>>, info: Info, step: usize) -> Volume<M> {
        assert!(!queues.is_empty() && step > 0, "a disk has a ring, and requests have pages");
        Volume { queues, turn: AtomicUsize::new(0), info: IrqMutex::new(info), step }
    }

    /// The disk's properties.
    pub fn info(&self) -> Info {
        *self.info.lock()
    }

    /// Properties that have changed.
    pub fn set_info(&self, info: Info) {
        *self.info.lock() = info;
    }

    /// What a request takes at most, in pages.
    pub fn set_step(&mut self, step: usize) {
        self.step = step.max(1);
    }

    /// Its rings.
    pub fn queues(&self) -> &[Arc<Queue<M>>] {
        &self.queues
    }

    /// Pages of a request at most.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Ends the use of all rings.
    pub fn fail(&self, error: Error) {
        self.queues.iter().for_each(|queue| queue.fail(error));
    }

    /// Why the disk is not in use any more. A back end that has broken the protocol on one ring is not trusted with the others.
    pub fn failure(&self) -> Option<Error> {
        let error = self.queues.iter().find_map(|queue| queue.failure())?;
        self.fail(error);
        Some(error)
    }

    /// The next ring: one after the other.
    fn queue(&self) -> &Queue<M> {
        match &self.queues[..] {
            [only] => only,
            all => &all[self.turn.fetch_add(1, Ordering::Relaxed) % all.len()],
        }
    }

    fn writable(&self) -> Result<Info, Error> {
        Some(self.info()).filter(|info| !info.read_only).ok_or(Error::ReadOnly)
    }

    /// Reads from a sector on.
    ///
    /// # Errors
    /// As for every operation of [`super::Disk`].
    pub async fn read(&self, sector: u64, data: &mut [u8]) -> Result<(), Error> {
        self.info().check_bytes(sector, data.len())?;
        let queue = self.queue();
        if data.len() <= self.step * PAGE_SIZE {
            let operation = Operation::Read { sector, bytes: data.len() };
            return self.judged(async { queue.send(operation, &mut Data::Pool).await?.await.map(|answer| answer.copy_to(data)) }.await);
        }
        let mut flight = Flight::new(queue);
        for (piece, sector) in data.chunks_mut(self.step * PAGE_SIZE).zip(self.steps(sector)) {
            flight.send(Operation::Read { sector, bytes: piece.len() }, Data::Pool, piece).await;
        }
        self.judged(flight.finish().await)
    }

    /// Writes from a sector on.
    ///
    /// # Errors
    /// As for every operation of [`super::Disk`].
    pub async fn write(&self, sector: u64, data: &[u8]) -> Result<(), Error> {
        self.writable()?.check_bytes(sector, data.len())?;
        let queue = self.queue();
        if data.len() <= self.step * PAGE_SIZE {
            let operation = Operation::Write { sector, bytes: data.len() };
            return self.ask(queue, operation, &mut Data::Copied(data)).await;
        }
        let mut flight = Flight::new(queue);
        for (piece, sector) in data.chunks(self.step * PAGE_SIZE).zip(self.steps(sector)) {
            flight.send(Operation::Write { sector, bytes: piece.len() }, Data::Copied(piece), &mut []).await;
        }
        self.judged(flight.finish().await)
    }

    /// Makes durable what has been written, that is, what was answered before.
    ///
    /// # Errors
    /// As for every operation of [`super::Disk`].
    pub async fn flush(&self) -> Result<(), Error> {
        let operation = match self.info() {
            Info { read_only: true, .. } => return Ok(()),
            Info { flush: true, .. } => Operation::Flush,
            Info { barrier: true, .. } => Operation::Barrier,
            _ => return Err(Error::NotSupported),
        };
        self.ask(self.queue(), operation, &mut Data::Pool).await
    }

    /// Forgets the contents of sectors.
    ///
    /// # Errors
    /// As for every operation of [`super::Disk`].
    pub async fn discard(&self, sector: u64, sectors: u64, secure: bool) -> Result<(), Error> {
        let info = self.writable()?;
        if !info.discard.is_some_and(|discard| discard.secure || !secure) {
            return Err(Error::NotSupported);
        }
        info.check(sector, sectors)?;
        self.ask(self.queue(), Operation::Discard { sector, sectors, secure }, &mut Data::Pool).await
    }

    /// Reads the first `bytes` of a buffer, in place if its pages need not stay mapped.
    ///
    /// # Errors
    /// As for every operation of [`super::Disk`]; the buffer comes back with the error.
    pub async fn read_buffer(&self, sector: u64, mut buffer: Buffer<M>, bytes: usize) -> Result<Buffer<M>, BufferError<M>> {
        let info = self.info();
        let checked = info.check_bytes(sector, bytes).and_then(|()| fits(&buffer, bytes));
        let result = match checked {
            Ok(()) if !info.persistent => return self.lend(buffer, sector, bytes, false).await,
            Ok(()) => self.read(sector, &mut buffer[..bytes]).await,
            Err(error) => Err(error),
        };
        with_buffer(result, buffer)
    }

    /// Writes the first `bytes` of a buffer likewise.
    ///
    /// # Errors
    /// As for [`Self::read_buffer`].
    pub async fn write_buffer(&self, sector: u64, buffer: Buffer<M>, bytes: usize) -> Result<Buffer<M>, BufferError<M>> {
        let checked = self.writable().and_then(|info| info.check_bytes(sector, bytes).map(|()| info));
        let result = match checked.and_then(|info| fits(&buffer, bytes).map(|()| info)) {
            Ok(info) if !info.persistent => return self.lend(buffer, sector, bytes, true).await,
            Ok(_) => self.write(sector, &buffer[..bytes]).await,
            Err(error) => Err(error),
        };
        with_buffer(result, buffer)
    }

    async fn lend(&self, buffer: Buffer<M>, sector: u64, bytes: usize, write: bool) -> Result<Buffer<M>, BufferError<M>> {
        let buffer = Arc::new(buffer);
        let mut flight = Flight::new(self.queue());
        for (first, sector) in (0..bytes.div_ceil(PAGE_SIZE)).step_by(self.step).zip(self.steps(sector)) {
            let bytes = (bytes - first * PAGE_SIZE).min(self.step * PAGE_SIZE);
            let lent = Lent { buffer: Arc::clone(&buffer), first, pages: bytes.div_ceil(PAGE_SIZE) };
            let operation = if write { Operation::Write { sector, bytes } } else { Operation::Read { sector, bytes } };
            flight.send(operation, Data::Lent(lent), &mut []).await;
        }
        let result = self.judged(flight.finish().await);
        // A share that is left belongs to a request whose pages the other end holds on to.
        match (result, Arc::try_unwrap(buffer)) {
            (Ok(()), Ok(buffer)) => Ok(buffer),
            (Ok(()), Err(_)) => Err(BufferError { error: Error::Breach(super::Breach::StillMapped), buffer: None }),
            (Err(error), buffer) => Err(BufferError { error, buffer: buffer.ok() }),
        }
    }

    async fn ask(&self, queue: &Queue<M>, operation: Operation, data: &mut Data<'_, M>) -> Result<(), Error> {
        self.judged(async { queue.send(operation, data).await?.await.map(drop) }.await)
    }

    /// Passes a result on; a breach ends the use of all rings.
    fn judged(&self, result: Result<(), Error>) -> Result<(), Error> {
        if let Err(Error::Breach(_)) = result {
            self.failure();
        }
        result
    }

    /// The sectors where the pieces of an operation begin.
    fn steps(&self, sector: u64) -> impl Iterator<Item = u64> {
        let step = self.step as u64 * PAGE_SECTORS;
        (0..).map(move |index: u64| sector + index * step)
    }
}

fn fits<M: Machine>(buffer: &Buffer<M>, bytes: usize) -> Result<(), Error> {
    if bytes <= buffer.len() { Ok(()) } else { Err(Error::Range) }
}

fn with_buffer<M: Machine>(result: Result<(), Error>, buffer: Buffer<M>) -> Result<Buffer<M>, BufferError<M>> {
    match result {
        Ok(()) => Ok(buffer),
        Err(error) => Err(BufferError { error, buffer: Some(buffer) }),
    }
}
