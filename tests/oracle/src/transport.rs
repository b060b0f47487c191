//! What the crate takes for a device's registers.

use std::rc::Rc;

use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{Error, PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{Device, bus};

/// The most entries that the device offers for a queue.
const MOST_ENTRIES: u32 = 256;

/// A device with one queue.
pub struct Wires {
    device: Rc<dyn Device>,
    status: DeviceStatus,
    queue: bool,
}

impl Wires {
    /// Of a device that was just reset.
    pub fn new(device: Rc<dyn Device>) -> Self {
        Self { device, status: DeviceStatus::empty(), queue: false }
    }
}

impl Transport for Wires {
    fn device_type(&self) -> DeviceType {
        DeviceType::Block
    }

    fn read_device_features(&mut self) -> u64 {
        self.device.features()
    }

    fn write_driver_features(&mut self, features: u64) {
        assert_eq!(features & !self.device.features(), 0, "not offered");
        self.device.negotiated(features);
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        if queue == 0 { MOST_ENTRIES } else { 0 }
    }

    fn notify(&mut self, queue: u16) {
        assert!(queue == 0 && self.queue && self.status.contains(DeviceStatus::DRIVER_OK));
        bus::doorbell();
    }

    fn get_status(&self) -> DeviceStatus {
        self.status
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.status = status;
    }

    fn set_guest_page_size(&mut self, _bytes: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(&mut self, queue: u16, size: u32, descriptors: PhysAddr, available: PhysAddr, used: PhysAddr) {
        assert_eq!(queue, 0);
        self.queue = true;
        self.device.queue(size as u16, descriptors, available, used);
    }

    fn queue_unset(&mut self, _queue: u16) {
        self.queue = false;
    }

    fn queue_used(&mut self, _queue: u16) -> bool {
        self.queue
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::empty()
    }

    fn read_config_generation(&self) -> u32 {
        0
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        let config = self.device.config();
        let field = config.get(offset..).and_then(|rest| T::read_from_prefix(rest).ok());
        field.map(|(field, _)| field).ok_or(Error::ConfigSpaceTooSmall)
    }

    fn write_config_space<T: IntoBytes + Immutable>(&mut self, _offset: usize, _value: T) -> Result<()> {
        Err(Error::Unsupported)
    }
}
