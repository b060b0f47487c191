//! A device: what it was made from, and what its tasks share. Tasks never run at the same time, so cells suffice.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::task::Waker;

use abi::DomId;
use dom0_core::blkback::ends::Host;
use dom0_core::blkback::faults::Dice;
use dom0_core::blkback::features;
use dom0_core::blkback::state::{Ours, Wanted};
use dom0_core::blkback::stats::Stats;
use dom0_core::block::quick::QuickDisk;
use dom0_core::block::{Disk, Info, Memory, Piece, SharedDisk, SharedMemory, Traffic};
use dom0_core::config::DiskSpec;
use dom0_core::render::DiskRow;

use crate::block;
use crate::hal::bell::Bell;
use crate::hal::doorbell::Doorbell;
use crate::storage::Opened;

/// The disk, as queues use it.
pub struct Below {
    disk: SharedDisk,
    devices: Vec<(u32, Rc<dyn QuickDisk>)>,
    traffic: Option<Rc<Traffic>>,
    memory: SharedMemory,
}

impl Below {
    fn new(opened: &Opened) -> Self {
        let disk = opened.disk().clone();
        let traffic = disk.traffic();
        Self { disk, devices: opened.devices().to_vec(), traffic, memory: block::memory() }
    }

    /// A physical disk, to keep.
    pub fn shared_device(&self, number: u32) -> Option<Rc<dyn QuickDisk>> {
        self.devices.iter().find(|(known, _)| *known == number).map(|(_, device)| device.clone())
    }

    /// The disk, to keep.
    pub fn shared_disk(&self) -> SharedDisk {
        self.disk.clone()
    }
}

impl Host for Below {
    fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    fn device(&self, number: u32) -> Option<&dyn QuickDisk> {
        self.devices.iter().find(|(known, _)| *known == number).map(|(_, device)| &**device)
    }

    fn traffic(&self) -> Option<&Traffic> {
        self.traffic.as_deref()
    }

    fn zero(&self, into: &[Piece]) {
        Memory::zero(&*self.memory, into);
    }
}

/// What a queue's task and its device's share.
pub struct QueueCell {
    /// The event channel.
    pub door: Doorbell,
    /// It is to end when nothing is under way any more.
    pub stop: Cell<bool>,
    /// It has ended, and nothing of the front end is mapped for it.
    pub done: Cell<bool>,
    /// Whom to wake when it is to stop.
    pub waker: Cell<Option<Waker>>,
    /// What it has done.
    pub stats: Cell<Stats>,
    /// Requests under way, and pages that stay mapped.
    pub now: Cell<(usize, usize)>,
}

impl QueueCell {
    /// A queue that has not done anything yet.
    pub fn new(door: Doorbell) -> Self {
        Self { door, stop: Cell::default(), done: Cell::default(), waker: Cell::default(), stats: Cell::default(), now: Cell::default() }
    }
}

/// A device.
pub struct Device {
    /// Whose.
    pub domid: DomId,
    /// The domain's name, for the log.
    pub name: String,
    /// What it was made from.
    pub spec: DiskSpec,
    /// Where our end is.
    pub ours: Cell<Ours>,
    /// What the operator wants.
    wanted: Cell<Wanted>,
    /// The disk, to be closed at the end.
    pub open: RefCell<Option<Opened>>,
    /// The disk, to be used.
    pub below: Below,
    /// Faults on purpose.
    pub dice: RefCell<Dice>,
    /// What former queues have done.
    pub past: Cell<Stats>,
    /// The queues that run.
    pub queues: RefCell<Vec<Rc<QueueCell>>>,
    /// What a queue found wrong with the front end, until the device's task looks.
    pub failure: RefCell<Option<String>>,
    /// How often the front end was given up.
    pub given_up: Cell<u32>,
    /// What was wrong with it last.
    pub error: RefCell<Option<String>>,
    /// Rung when the device's task has something to look at.
    pub bell: Bell,
}

impl Device {
    /// A device that has its nodes in xenstore.
    pub fn new(domid: DomId, name: &str, spec: &DiskSpec, opened: Opened) -> Self {
        Self {
            domid,
            name: name.into(),
            spec: spec.clone(),
            ours: Cell::new(Ours::New),
            wanted: Cell::new(Wanted::Present),
            below: Below::new(&opened),
            open: RefCell::new(Some(opened)),
            dice: RefCell::default(),
            past: Cell::default(),
            queues: RefCell::default(),
            failure: RefCell::default(),
            given_up: Cell::default(),
            error: RefCell::default(),
            bell: Bell::new(),
        }
    }

    /// What the disk is now.
    pub fn info(&self) -> Info {
        self.below.disk.info()
    }

    /// What the operator has said about it.
    pub fn offer(&self) -> features::Wanted {
        features::Wanted {
            read_only: self.spec.read_only,
            cdrom: self.spec.cdrom,
            removable: false,
            no_discard: self.spec.discard == Some(false),
        }
    }

    /// What the operator wants.
    pub fn wanted(&self) -> Wanted {
        self.wanted.get()
    }

    /// Has the device's task go there. What was to go at once does so whatever is said later.
    pub fn want(&self, wanted: Wanted) {
        self.wanted.set(self.wanted.get().max(wanted));
        self.bell.ring();
    }

    /// A queue has found the front end at fault.
    pub fn fail(&self, why: String) {
        self.failure.borrow_mut().get_or_insert(why);
        self.bell.ring();
    }

    /// For lists.
    pub fn shown(&self) -> Shown {
        let queues = self.queues.borrow();
        let mut stats = self.past.get();
        queues.iter().for_each(|queue| stats.add(&queue.stats.get()));
        let now = queues.iter().map(|queue| queue.now.get());
        let (in_flight, kept_pages) = now.fold((0, 0), |sum, now| (sum.0 + now.0, sum.1 + now.1));
        Shown {
            spec: self.spec.clone(),
            state: self.ours.get(),
            bytes: self.info().bytes,
            stats,
            queues: queues.len(),
            in_flight,
            kept_pages,
            dice: *self.dice.borrow(),
            error: self.error.borrow().clone(),
        }
    }
}

/// What a device is and has done.
pub struct Shown {
    spec: DiskSpec,
    state: Ours,
    bytes: u64,
    stats: Stats,
    queues: usize,
    in_flight: usize,
    kept_pages: usize,
    dice: Dice,
    error: Option<String>,
}

impl Shown {
    /// For rendering.
    pub fn row(&self) -> DiskRow<'_> {
        DiskRow {
            spec: &self.spec,
            state: self.state,
            bytes: self.bytes,
            stats: self.stats,
            queues: self.queues,
            in_flight: self.in_flight,
            kept_pages: self.kept_pages,
            faults: *self.dice.faults(),
            error: self.error.clone(),
        }
    }
}
