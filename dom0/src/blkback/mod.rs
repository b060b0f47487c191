//! The block back end: serves disks to guests by the protocol that every Xen guest speaks. What is decided is decided in
//! [`dom0_core::blkback`]; here are the tasks, one for each device and one for each of its queues, and the list of devices.
//!
//! Reading order: [`device`] for what a device is, [`life`] for its task, [`connection`] for how rings come and go, [`serve`] for a queue's
//! task.

mod connection;
mod device;
mod life;
mod nodes;
mod serve;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use abi::DomId;
use dom0_core::blkback::faults::{Dice, Faults};
use dom0_core::blkback::state::Wanted;
use dom0_core::config::{DiskSpec, Vdev};

use crate::hal::bell::Bell;
use crate::hal::executor;
use crate::hal::task_cell::TaskCell;
use crate::storage::Opened;
use device::Device;

pub use device::Shown;

type Key = (DomId, u32);

static DEVICES: TaskCell<BTreeMap<Key, Rc<Device>>> = TaskCell::new(BTreeMap::new());

/// Rung when a device is gone.
static GONE: Bell = Bell::new();

/// Gives a domain a disk that was opened for it: its nodes, and a task that serves it.
///
/// # Errors
/// Why not; the disk is closed.
pub async fn attach(domid: DomId, name: &str, spec: &DiskSpec, opened: Opened) -> Result<(), String> {
    match begin(domid, name, spec, opened) {
        Ok(()) => Ok(()),
        Err(Refused { opened, why }) => {
            opened.close().await;
            Err(why)
        }
    }
}

/// A disk that was not attached.
struct Refused {
    opened: Box<Opened>,
    why: String,
}

fn begin(domid: DomId, name: &str, spec: &DiskSpec, opened: Opened) -> Result<(), Refused> {
    let refused = |opened, why| Refused { opened: Box::new(opened), why };
    if let Err(why) = check_free(domid, &spec.vdev) {
        return Err(refused(opened, why));
    }
    if let Err(why) = nodes::add(domid, spec) {
        nodes::remove(domid, spec.vdev.number);
        return Err(refused(opened, why));
    }
    let device = Rc::new(Device::new(domid, name, spec, opened));
    let key = (domid, spec.vdev.number);
    DEVICES.with(|devices| devices.insert(key, device.clone()));
    if executor::spawn(life::run(device.clone())).is_ok() {
        return Ok(());
    }
    DEVICES.with(|devices| devices.remove(&key));
    nodes::remove(domid, spec.vdev.number);
    match device.open.take() {
        Some(opened) => Err(refused(opened, "Dom0 runs too many tasks; detach a disk or end a domain".into())),
        None => Ok(()),
    }
}

/// Whether a domain can be given another disk of this name.
///
/// # Errors
/// Which is in the way.
pub fn check_free(domid: DomId, vdev: &Vdev) -> Result<(), String> {
    match of(domid).iter().map(|device| &device.spec.vdev).find(|other| other.collides(vdev)) {
        None => Ok(()),
        Some(other) if other.number == vdev.number => Err(format!("{vdev}: the domain has it already; `dom block-list` shows its disks")),
        Some(other) => Err(format!("{vdev}: to a guest it is the same as {other}, which it has; take another, such as xvdb")),
    }
}

/// Waits until a domain has noticed that it has lost a former disk of this name; otherwise it would not notice that it gets one.
pub async fn former_gone(domid: DomId, vdev: &Vdev) {
    nodes::former_gone(domid, vdev.number).await;
}

/// The devices of a domain, by their numbers.
fn of(domid: DomId) -> Vec<Rc<Device>> {
    DEVICES.with(|devices| devices.range((domid, 0)..=(domid, u32::MAX)).map(|(_, device)| device.clone()).collect())
}

fn find(domid: DomId, vdev: &Vdev) -> Result<Rc<Device>, String> {
    let found = DEVICES.with(|devices| devices.get(&(domid, vdev.number)).cloned());
    found.ok_or_else(|| format!("{vdev}: the domain has no such disk; `dom block-list` shows those it has"))
}

/// What the devices of a domain are and have done, for lists.
pub fn list(domid: DomId) -> Vec<Shown> {
    of(domid).iter().map(|device| device.shown()).collect()
}

/// Makes a disk fail on purpose.
///
/// # Errors
/// The domain has no such disk.
pub fn set_faults(domid: DomId, vdev: &Vdev, faults: Faults) -> Result<(), String> {
    find(domid, vdev)?.dice.replace(Dice::new(faults));
    Ok(())
}

/// Begins to take a disk away: at once if it is to be `forced`, otherwise when the front end lets go of it.
///
/// # Errors
/// The domain has no such disk.
pub fn begin_detach(domid: DomId, vdev: &Vdev, forced: bool) -> Result<(), String> {
    find(domid, vdev)?.want(if forced { Wanted::Taken } else { Wanted::Away });
    Ok(())
}

/// Waits until a disk is gone.
pub async fn detached(domid: DomId, vdev: &Vdev) {
    GONE.wait_for(|| find(domid, vdev).err().map(drop)).await;
}

/// Begins to take all disks of a domain away that has ended.
pub fn begin_end(domid: DomId) {
    of(domid).iter().for_each(|device| device.want(Wanted::Gone));
}

/// Waits until all disks of a domain are gone: nothing of the domain is mapped for them any more, and others can have them.
pub async fn ended(domid: DomId) {
    GONE.wait_for(|| of(domid).is_empty().then_some(())).await;
}

/// Forgets a device; its task is at its end.
fn forget(device: &Device) {
    DEVICES.with(|devices| devices.remove(&(device.domid, device.spec.vdev.number)));
    GONE.ring();
}
