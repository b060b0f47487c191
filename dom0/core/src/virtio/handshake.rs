//! Starting a device (virtio 1.2, 3.1.1) through its common configuration (4.1.4.3), with interrupts by MSI-X.

use core::fmt;

use super::memory::Registers;

const DEVICE_FEATURE_SELECT: usize = 0x00;
const DEVICE_FEATURE: usize = 0x04;
const DRIVER_FEATURE_SELECT: usize = 0x08;
const DRIVER_FEATURE: usize = 0x0c;
const CONFIG_MSIX_VECTOR: usize = 0x10;
const NUM_QUEUES: usize = 0x12;
const DEVICE_STATUS: usize = 0x14;
const CONFIG_GENERATION: usize = 0x15;
const QUEUE_SELECT: usize = 0x16;
const QUEUE_SIZE: usize = 0x18;
const QUEUE_MSIX_VECTOR: usize = 0x1a;
const QUEUE_ENABLE: usize = 0x1c;
const QUEUE_NOTIFY_OFF: usize = 0x1e;
const QUEUE_DESC: usize = 0x20;
const QUEUE_DRIVER: usize = 0x28;
const QUEUE_DEVICE: usize = 0x30;

const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
const NEEDS_RESET: u8 = 64;
const FAILED: u8 = 128;

/// What a vector register says when there is none (4.1.4.3: VIRTIO_MSI_NO_VECTOR).
pub const NO_VECTOR: u16 = 0xffff;
/// Reads of the status until a device counts as dead: each takes a microsecond or so, where a real device answers at all.
const PATIENCE: u32 = 1_000_000;
/// Tries to read a configuration that does not change meanwhile.
const CONFIG_TRIES: u32 = 64;

/// Why a device cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// It does not finish a reset.
    Reset,
    /// It speaks only the interface from before virtio 1.0.
    Legacy,
    /// It refuses the features that it offered.
    Features,
    /// It has not the queues that it announced.
    Queue,
    /// It has no room for the number of an interrupt.
    Vector,
    /// Its configuration never holds still, or contradicts itself.
    Config,
}

impl fmt::Display for StartError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Reset => "it does not finish a reset",
            Self::Legacy => "it does not offer virtio 1.0",
            Self::Features => "it refuses the features that it offers",
            Self::Queue => "it has no usable queue",
            Self::Vector => "it does not take its MSI-X vector",
            Self::Config => "its configuration makes no sense",
        })
    }
}

/// Where the parts of a queue lie for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePlace {
    /// Machine address of the descriptors.
    pub descriptors: u64,
    /// Machine address of the ring of what is available.
    pub available: u64,
    /// Machine address of the ring of what was used.
    pub used: u64,
}

/// Stops a device: it has forgotten everything, vectors included, and touches no memory any more. False if it does not.
pub fn reset(common: &impl Registers) -> bool {
    common.set8(DEVICE_STATUS, 0);
    (0..PATIENCE).any(|_| common.get8(DEVICE_STATUS) == 0)
}

/// Resets a device and agrees on features: what `choose` makes of those offered.
///
/// # Errors
/// [`StartError`]; the device is to be [given up](give_up).
pub fn negotiate(common: &impl Registers, choose: impl FnOnce(u64) -> u64) -> Result<u64, StartError> {
    if !reset(common) {
        return Err(StartError::Reset);
    }
    common.set8(DEVICE_STATUS, ACKNOWLEDGE);
    common.set8(DEVICE_STATUS, ACKNOWLEDGE | DRIVER);
    let half = |select: u32| {
        common.set32(DEVICE_FEATURE_SELECT, select);
        u64::from(common.get32(DEVICE_FEATURE)) << (32 * select)
    };
    let offered = half(0) | half(1);
    if offered & super::feature::VERSION_1 == 0 {
        return Err(StartError::Legacy);
    }
    let chosen = choose(offered) & offered;
    for select in 0..2 {
        common.set32(DRIVER_FEATURE_SELECT, select);
        common.set32(DRIVER_FEATURE, (chosen >> (32 * select)) as u32);
    }
    common.set8(DEVICE_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    if common.get8(DEVICE_STATUS) & FEATURES_OK == 0 { Err(StartError::Features) } else { Ok(chosen) }
}

/// How many queues the device has.
pub fn queue_count(common: &impl Registers) -> u16 {
    common.get16(NUM_QUEUES)
}

/// Says which entry of the MSI-X table tells of changes of the configuration.
///
/// # Errors
/// [`StartError::Vector`].
pub fn set_config_vector(common: &impl Registers, vector: u16) -> Result<(), StartError> {
    common.set16(CONFIG_MSIX_VECTOR, vector);
    if common.get16(CONFIG_MSIX_VECTOR) == vector { Ok(()) } else { Err(StartError::Vector) }
}

/// Sets up a queue: `memory` gets the number of entries that the device can have at most and says how many there are, and where. Then
/// tells which entry of the MSI-X table it interrupts by, and enables it. The result is the queue's index among the doorbells.
///
/// # Errors
/// [`StartError`], or what `memory` says.
pub fn set_queue<E: From<StartError>>(
    common: &impl Registers,
    queue: u16,
    vector: u16,
    memory: impl FnOnce(u16) -> Result<(u16, QueuePlace), E>,
) -> Result<u16, E> {
    common.set16(QUEUE_SELECT, queue);
    let most = common.get16(QUEUE_SIZE);
    if most == 0 || common.get16(QUEUE_ENABLE) != 0 {
        return Err(StartError::Queue.into());
    }
    let (size, place) = memory(most)?;
    common.set16(QUEUE_SIZE, size);
    let addresses = [(QUEUE_DESC, place.descriptors), (QUEUE_DRIVER, place.available), (QUEUE_DEVICE, place.used)];
    for (register, address) in addresses {
        common.set32(register, address as u32);
        common.set32(register + 4, (address >> 32) as u32);
    }
    common.set16(QUEUE_MSIX_VECTOR, vector);
    if common.get16(QUEUE_MSIX_VECTOR) != vector {
        return Err(StartError::Vector.into());
    }
    let doorbell = common.get16(QUEUE_NOTIFY_OFF);
    common.set16(QUEUE_ENABLE, 1);
    Ok(doorbell)
}

/// Lets the device work.
pub fn finish(common: &impl Registers) {
    common.set8(DEVICE_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

/// Tells the device that nobody will use it.
pub fn give_up(common: &impl Registers) {
    reset(common);
    common.set8(DEVICE_STATUS, FAILED);
}

/// What `read` reads of the device's own configuration, from a time at which it did not change; `None` in it if the device is broken.
///
/// # Errors
/// [`StartError::Config`] if it never stops changing; [`StartError::Reset`] if the device says that it needs a reset.
pub fn device_config<T>(common: &impl Registers, read: impl Fn() -> T) -> Result<T, StartError> {
    if common.get8(DEVICE_STATUS) & NEEDS_RESET != 0 {
        return Err(StartError::Reset);
    }
    for _ in 0..CONFIG_TRIES {
        let before = common.get8(CONFIG_GENERATION);
        let value = read();
        if common.get8(CONFIG_GENERATION) == before {
            return Ok(value);
        }
    }
    Err(StartError::Config)
}
