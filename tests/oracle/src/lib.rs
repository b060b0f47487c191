//! The disk driver of the crate `virtio-drivers`, started on a model of a device: a second opinion on our own driver and on the model.
//!
//! That crate wants memory behind pointers, our model has an array with addresses. So the crate's rings are copied into the model's memory before
//! the device works, and what the device may write is copied back after; buffers are copied when they are lent and when they return.
//! What a device must not write is compared instead.

mod bus;
mod transport;

use std::ops::Range;
use std::rc::Rc;

use virtio_drivers::device::blk::VirtIOBlk;
pub use virtio_drivers::{Error, Result};

use self::bus::Bus;
use self::transport::Wires;

/// The device at the other end.
pub trait Device {
    /// The features that it offers.
    fn features(&self) -> u64;
    /// Its configuration (virtio 1.2, 5.2.4), little-endian.
    fn config(&self) -> Vec<u8>;
    /// Where the driver may have memory, as the device addresses it.
    fn memory(&self) -> Range<u64>;
    /// The bytes there.
    fn get(&self, address: u64, bytes: &mut [u8]);
    /// Writes there.
    fn put(&self, address: u64, bytes: &[u8]);
    /// The driver has chosen these features of those offered.
    fn negotiated(&self, features: u64);
    /// The driver has made queue 0: entries, and the addresses of descriptors, available and used ring.
    fn queue(&self, size: u16, descriptors: u64, available: u64, used: u64);
    /// The driver rings: carry out what waits.
    fn doorbell(&self);
}

/// The disk. One a thread at a time, since the crate asks for memory without saying for whom.
pub struct Oracle(VirtIOBlk<Bus, Wires>);

impl Oracle {
    /// Starts the device.
    ///
    /// # Errors
    /// The crate's, if it does not like the device.
    ///
    /// # Panics
    /// If this thread has one already.
    pub fn start(device: Rc<dyn Device>) -> Result<Self> {
        bus::connect(device.clone());
        VirtIOBlk::new(Wires::new(device)).map(Self)
    }

    /// Sectors of 512 bytes.
    pub fn capacity(&self) -> u64 {
        self.0.capacity()
    }

    /// Reads from a sector on.
    ///
    /// # Errors
    /// What the device reports.
    pub fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<()> {
        self.0.read_blocks(sector as usize, into)
    }

    /// Writes from a sector on.
    ///
    /// # Errors
    /// What the device reports.
    pub fn write(&mut self, sector: u64, from: &[u8]) -> Result<()> {
        self.0.write_blocks(sector as usize, from)
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// What the device reports.
    pub fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}
