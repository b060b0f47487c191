//! A disk, from xenstore to the last revoked grant.

use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::task::Poll;

use abi::Errno;

use super::error::BufferError;
use super::machine::Xen;
use super::options::Options;
use super::volume::Volume;
use super::{Buffer, Error, Info, connect, registry};
use crate::xenbus::{self, Device, State, Step};
use crate::xenstore;

/// Devices of the class that are looked at.
const MOST_DISKS: usize = 64;

/// The numbers of all disks, in rising order.
///
/// # Errors
/// What xenstore answers.
pub fn disks() -> Result<Vec<u32>, Error> {
    let mut numbers = [0; MOST_DISKS];
    let count = xenbus::devices("vbd", &mut numbers)?;
    Ok(numbers[..count].to_vec())
}

/// What has happened to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its properties are others now; usually it has grown.
    Info(Info),
    /// It is not to be had any more: drop it.
    Stopped,
}

/// A disk that is in use. Every operation fails with
///
/// - [`Error::Range`], [`Error::Misaligned`], [`Error::ReadOnly`], [`Error::NotSupported`] for what is asked wrongly,
/// - [`Error::Io`], [`Error::NotSupported`] as the back end answers,
/// - [`Error::Memory`] if there is no memory or no grant at all,
/// - [`Error::Stopped`], [`Error::Breach`] once the disk is not in use any more.
///
/// Operations run at the same time, in no order. Dropping one forgets its result; a write may have been carried out. Dropping the disk tells the back
/// end that it is closed; [`Self::close`] also waits for it.
pub struct Disk {
    volume: Volume<Xen>,
    device: Device,
    vdev: u32,
    options: Options,
    /// The events of xenstore that have been looked at.
    seen: AtomicU32,
    /// The properties have changed and nobody has been told.
    changed: AtomicBool,
    ended: bool,
}

impl Disk {
    /// Connects a disk, by its number in xenstore (see [`super::vdev`]).
    ///
    /// # Errors
    /// [`Error::NoDevice`]; [`Error::Stopped`] if the back end does not want; [`Error::Memory`]; what xenstore answers.
    pub async fn open(vdev: u32, options: Options) -> Result<Disk, Error> {
        registry::reap();
        xenstore::on_activity(registry::store_rang)?;
        let device = Device::open("vbd", vdev)?;
        device.begin().await?;
        let queues = connect::make_queues(&device, vdev as u16, options)?;
        // From here on dropping the disk gives everything back.
        let unknown = Info::read(|name| Ok((name == "sectors").then_some(0)))?;
        let mut disk = Disk {
            volume: Volume::new(queues, unknown, 1),
            device,
            vdev,
            options,
            seen: AtomicU32::new(xenstore::activity()),
            changed: AtomicBool::new(false),
            ended: false,
        };
        connect::publish(&disk.device, disk.volume.queues(), options).await?;
        let info = connect::describe(&disk.device, options)?;
        disk.volume.set_info(info);
        disk.volume.set_step(options.segments(info.max_indirect));
        disk.device.set_state(State::Connected)?;
        Ok(disk)
    }

    /// Connects the disk that is number `index`, from 0, in the order of their numbers.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub async fn open_nth(index: usize, options: Options) -> Result<Disk, Error> {
        let vdev = disks()?.get(index).copied().ok_or(Error::NoDevice)?;
        Disk::open(vdev, options).await
    }

    /// Its number in xenstore.
    pub fn vdev(&self) -> u32 {
        self.vdev
    }

    /// Its properties.
    pub fn info(&self) -> Info {
        self.volume.info()
    }

    /// How many rings it has, pages of a ring, and pages of a request at most.
    pub fn shape(&self) -> (usize, usize, usize) {
        let queues = self.volume.queues();
        (queues.len(), queues[0].ring_grants().len(), self.volume.step())
    }

    /// Reads from a sector on. Lengths are multiples of the disk's block, as everywhere.
    ///
    /// # Errors
    /// See [`Disk`].
    pub async fn read(&self, sector: u64, data: &mut [u8]) -> Result<(), Error> {
        self.watched(self.volume.read(sector, data)).await
    }

    /// Writes from a sector on. What is written is durable after a [`Self::flush`] that is begun when this has ended.
    ///
    /// # Errors
    /// See [`Disk`].
    pub async fn write(&self, sector: u64, data: &[u8]) -> Result<(), Error> {
        self.watched(self.volume.write(sector, data)).await
    }

    /// Makes durable all writes that have ended.
    ///
    /// # Errors
    /// See [`Disk`].
    pub async fn flush(&self) -> Result<(), Error> {
        self.watched(self.volume.flush()).await
    }

    /// Forgets the contents of sectors; what is read there afterwards is anything. With `secure` nothing of the old is left.
    ///
    /// # Errors
    /// See [`Disk`].
    pub async fn discard(&self, sector: u64, sectors: u64, secure: bool) -> Result<(), Error> {
        self.watched(self.volume.discard(sector, sectors, secure)).await
    }

    /// Reads the first `bytes` of a buffer: in place, unless the connection has persistent grants ([`Options::persistent`]).
    ///
    /// # Errors
    /// See [`Disk`]; the buffer comes back unless the back end holds on to it.
    pub async fn read_buffer(&self, sector: u64, buffer: Buffer, bytes: usize) -> Result<Buffer, BufferError<Xen>> {
        self.watched(self.volume.read_buffer(sector, buffer, bytes)).await
    }

    /// Writes the first `bytes` of a buffer likewise.
    ///
    /// # Errors
    /// As for [`Self::read_buffer`].
    pub async fn write_buffer(&self, sector: u64, buffer: Buffer, bytes: usize) -> Result<Buffer, BufferError<Xen>> {
        self.watched(self.volume.write_buffer(sector, buffer, bytes)).await
    }

    /// Waits until something happens to the disk. For one task.
    ///
    /// # Errors
    /// What xenstore answers.
    pub async fn changed(&self) -> Result<Change, Error> {
        poll_fn(|context| {
            self.volume.queues().iter().for_each(|queue| queue.watch(context.waker()));
            self.look();
            match self.volume.failure() {
                Some(Error::Stopped) => Poll::Ready(Ok(Change::Stopped)),
                Some(error) => Poll::Ready(Err(error)),
                None if self.changed.swap(false, Ordering::Relaxed) => Poll::Ready(Ok(Change::Info(self.info()))),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Runs an operation, and looks after the device whenever it is polled: a back end that has gone answers nothing.
    async fn watched<F: Future>(&self, operation: F) -> F::Output {
        let mut operation = pin!(operation);
        poll_fn(|context| {
            self.look();
            operation.as_mut().poll(context)
        })
        .await
    }

    /// Learns what has happened in xenstore, if anything has.
    fn look(&self) {
        let activity = xenstore::activity();
        if self.seen.swap(activity, Ordering::Relaxed) != activity
            && let Err(error) = self.learn()
        {
            self.volume.fail(error);
        }
    }

    fn learn(&self) -> Result<(), Error> {
        if !self.device.take_change()? {
            return Ok(());
        }
        if xenbus::next(State::Connected, self.device.back_state()) != Step::Serve || self.device.is_gone() {
            return Err(Error::Stopped);
        }
        let info = connect::describe(&self.device, self.options)?;
        if info != self.info() {
            // What was agreed on stays: the rings are as they are.
            self.volume.set_info(Info { persistent: self.info().persistent, ..info });
            self.changed.store(true, Ordering::Relaxed);
            self.volume.queues()[0].wake_watcher();
        }
        Ok(())
    }

    /// Closes the disk and waits until the back end has let go of it. Nothing of ours is granted to it then.
    ///
    /// # Errors
    /// [`Error::System`] with -EBUSY if it still has some of our memory mapped; what xenstore answers.
    pub async fn close(mut self) -> Result<(), Error> {
        self.ended = true;
        let result = match self.device.end().await {
            // A device that has been taken away has ended.
            Err(Errno::NOENT | Errno::NODEV) => Ok(()),
            other => other.map_err(Error::from),
        };
        self.volume.queues().iter().for_each(connect::end_queue);
        result?;
        if registry::reap() == 0 { Ok(()) } else { Err(Error::System(Errno::BUSY)) }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // Without waiting: what is still mapped is given back when there is next something to do with disks.
        for state in [State::Closing, State::Closed] {
            let _ = self.device.set_state(state);
        }
        self.volume.queues().iter().for_each(connect::end_queue);
    }
}
