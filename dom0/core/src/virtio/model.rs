//! A model of a virtio disk, for tests: it reads the rings as the standard says and complains about a driver that does not keep to it.

use alloc::{rc::Rc, vec, vec::Vec};
use core::cell::{Cell, RefCell};

use super::config::Forgetting;
use super::{Config, Device, QueuePlace, Shape, Shared, StartError};
use crate::block::quick::Limits;
use crate::block::{Info, Piece};

const PAGE: usize = 4096;
const SECTOR: usize = 512;
/// The machine address of the first byte that there is.
const FIRST: u64 = 0x10_0000;

/// The machine's memory.
#[derive(Default)]
pub struct Arena(RefCell<Vec<u8>>);

impl Arena {
    pub fn take(self: &Rc<Self>, bytes: usize) -> Area {
        let mut memory = self.0.borrow_mut();
        let base = memory.len();
        // A page between any two, so that what runs over is noticed.
        memory.resize(base + bytes.next_multiple_of(PAGE) + PAGE, 0);
        Area { arena: self.clone(), base }
    }

    pub fn bytes(&self, address: u64, length: usize) -> Vec<u8> {
        let at = (address - FIRST) as usize;
        self.0.borrow()[at..at + length].to_vec()
    }

    pub fn put(&self, address: u64, bytes: &[u8]) {
        let at = (address - FIRST) as usize;
        self.0.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn get<const N: usize>(&self, address: u64) -> [u8; N] {
        self.bytes(address, N).try_into().unwrap()
    }

    pub fn get16(&self, address: u64) -> u16 {
        u16::from_le_bytes(self.get(address))
    }

    fn get64(&self, address: u64) -> u64 {
        u64::from_le_bytes(self.get(address))
    }
}

/// Some of it.
pub struct Area {
    arena: Rc<Arena>,
    base: usize,
}

impl Area {
    /// Its page `index` as a piece of a request.
    pub fn piece(&self, index: usize, bytes: u32) -> Piece {
        let address = self.machine(index * PAGE);
        Piece { address, virt: address, bytes }
    }
}

impl Shared for Area {
    fn machine(&self, at: usize) -> u64 {
        FIRST + (self.base + at) as u64
    }
    fn get8(&self, at: usize) -> u8 {
        self.arena.get::<1>(self.machine(at))[0]
    }
    fn get16(&self, at: usize) -> u16 {
        self.arena.get16(self.machine(at))
    }
    fn get32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.arena.get(self.machine(at)))
    }
    fn set8(&self, at: usize, value: u8) {
        self.arena.put(self.machine(at), &[value]);
    }
    fn set16(&self, at: usize, value: u16) {
        assert!(at.is_multiple_of(2));
        self.arena.put(self.machine(at), &value.to_le_bytes());
    }
    fn set64(&self, at: usize, value: u64) {
        assert!(at.is_multiple_of(8));
        self.arena.put(self.machine(at), &value.to_le_bytes());
    }
}

/// A request as the device has understood it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub kind: u32,
    pub sector: u64,
    /// Memory of the request: address, length, whether the device writes it.
    pub memory: Vec<(u64, u32, bool)>,
}

struct ModelQueue {
    shape: Shape,
    place: QueuePlace,
    seen: u16,
    used: u16,
}

/// The device.
pub struct Model {
    pub arena: Rc<Arena>,
    pub contents: RefCell<Vec<u8>>,
    pub config: Cell<Config>,
    pub broken_config: Cell<bool>,
    queues: RefCell<Vec<ModelQueue>>,
    /// What it was told and what it told.
    pub doorbells: Cell<u32>,
    pub interrupts: Cell<u32>,
    pub stopped: Cell<bool>,
    pub log: RefCell<Vec<Seen>>,
    /// The status of the next requests, if not well.
    pub fail: Cell<Option<u8>>,
}

/// A disk of 1 MiB that can do everything.
pub fn config() -> Config {
    let info = Info { bytes: 1 << 20, logical_block: 512, physical_block: 4096, read_only: false, discard: Some(512) };
    let limits = Limits { pieces: 124, piece_bytes: 1 << 20, bytes: 1 << 27, discard_bytes: 1 << 18 };
    Config { info, limits, queues: 1, flush: true, forgetting: Some(Forgetting::Discard) }
}

impl Model {
    pub fn new(arena: &Rc<Arena>) -> Rc<Self> {
        Rc::new(Self {
            arena: arena.clone(),
            contents: RefCell::new(vec![0; 1 << 20]),
            config: Cell::new(config()),
            broken_config: Cell::default(),
            queues: RefCell::default(),
            doorbells: Cell::default(),
            interrupts: Cell::default(),
            stopped: Cell::default(),
            log: RefCell::default(),
            fail: Cell::default(),
        })
    }

    pub fn add_queue(&self, shape: Shape, place: QueuePlace) {
        self.queues.borrow_mut().push(ModelQueue { shape, place, seen: 0, used: 0 });
    }

    pub fn place(&self, queue: usize) -> QueuePlace {
        self.queues.borrow()[queue].place
    }

    /// Requests that wait in a queue.
    pub fn waiting(&self, queue: usize) -> u16 {
        let queue = &self.queues.borrow()[queue];
        self.arena.get16(queue.place.available + 2).wrapping_sub(queue.seen)
    }

    /// Works on at most `most` requests of each queue, the last of them first; true if it interrupts. Then it wants to be told of the next.
    pub fn work(&self, most: u16) -> bool {
        assert!(!self.stopped.get());
        let count = self.queues.borrow().len();
        (0..count).filter(|&queue| self.work_on(queue, most)).count() > 0
    }

    fn work_on(&self, index: usize, most: u16) -> bool {
        let count = self.waiting(index).min(most);
        let mut queues = self.queues.borrow_mut();
        let queue = &mut queues[index];
        let size = u64::from(queue.shape.size);
        let (from, before) = (queue.seen, queue.used);
        for step in (0..count).rev() {
            let slot = u64::from(from.wrapping_add(step)) % size;
            let head = self.arena.get16(queue.place.available + 4 + 2 * slot);
            self.carry_out(queue, head);
            let at = queue.place.used + 4 + 8 * (u64::from(queue.used) % size);
            self.arena.put(at, &u64::from(head).to_le_bytes());
            queue.used = queue.used.wrapping_add(1);
        }
        queue.seen = from.wrapping_add(count);
        self.arena.put(queue.place.used + 2, &queue.used.to_le_bytes());
        if queue.shape.event_index {
            self.arena.put(queue.place.used + 4 + 8 * size, &queue.seen.to_le_bytes());
        }
        let told = if queue.shape.event_index {
            let event = self.arena.get16(queue.place.available + 4 + 2 * size);
            queue.used.wrapping_sub(event).wrapping_sub(1) < queue.used.wrapping_sub(before)
        } else {
            count > 0 && self.arena.get16(queue.place.available) & 1 == 0
        };
        self.interrupts.set(self.interrupts.get() + u32::from(told));
        told
    }

    fn carry_out(&self, queue: &ModelQueue, head: u16) {
        let chain = self.chain(queue, head);
        let (header, rest) = chain.split_first().unwrap();
        let (status, memory) = rest.split_last().unwrap();
        assert_eq!((header.1, header.2, status.1, status.2), (16, false, 1, true));
        let kind = self.arena.get64(header.0);
        let seen = Seen { kind: kind as u32, sector: self.arena.get64(header.0 + 8), memory: memory.to_vec() };
        let result = self.fail.get().unwrap_or_else(|| self.transfer(&seen));
        self.log.borrow_mut().push(seen);
        self.arena.put(status.0, &[result]);
    }

    fn transfer(&self, request: &Seen) -> u8 {
        let mut at = request.sector as usize * SECTOR;
        let mut contents = self.contents.borrow_mut();
        for &(address, bytes, device_writes) in &request.memory {
            let bytes = bytes as usize;
            match (request.kind, device_writes) {
                (0, true) => self.arena.put(address, &contents[at..at + bytes]),
                (1, false) => contents[at..at + bytes].copy_from_slice(&self.arena.bytes(address, bytes)),
                (11 | 13, false) => {
                    let (sector, what) = (self.arena.get64(address) as usize, self.arena.get64(address + 8));
                    assert_eq!((bytes, what >> 32), (16, u64::from(request.kind == 13)));
                    contents[sector * SECTOR..][..what as u32 as usize * SECTOR].fill(0);
                }
                other => panic!("{other:?}"),
            }
            at += bytes;
        }
        assert!(matches!(request.kind, 0 | 1 | 4 | 11 | 13));
        0
    }

    /// The memory of a chain, which is checked as 2.7.5 wants it.
    fn chain(&self, queue: &ModelQueue, head: u16) -> Vec<(u64, u32, bool)> {
        let descriptor = |table: u64, index: u16| {
            let at = table + 16 * u64::from(index);
            let tail = self.arena.get64(at + 8);
            (self.arena.get64(at), tail as u32, (tail >> 32) as u16, (tail >> 48) as u16)
        };
        assert!(head < queue.shape.size);
        let (mut table, mut index, mut entries) = (queue.place.descriptors, head, u32::from(queue.shape.size));
        let (address, bytes, flags, _) = descriptor(table, head);
        if flags & 4 != 0 {
            assert!(queue.shape.indirect && flags == 4 && bytes.is_multiple_of(16) && bytes > 0);
            (table, index, entries) = (address, 0, bytes / 16);
        }
        let mut chain = Vec::new();
        loop {
            assert!(u32::from(index) < entries);
            let (address, bytes, flags, next) = descriptor(table, index);
            assert!(flags & !3 == 0 && bytes > 0);
            chain.push((address, bytes, flags & 2 != 0));
            assert!(chain.len() <= usize::from(queue.shape.size));
            if flags & 1 == 0 {
                break;
            }
            index = next;
        }
        assert!(chain.is_sorted_by_key(|&(_, _, device_writes)| device_writes), "what the device writes comes last");
        chain
    }
}

impl Device for Rc<Model> {
    fn doorbell(&self, queue: usize) {
        assert!(!self.stopped.get() && queue < self.queues.borrow().len());
        self.doorbells.set(self.doorbells.get() + 1);
    }

    fn config(&self) -> Result<Config, StartError> {
        if self.broken_config.get() { Err(StartError::Config) } else { Ok(self.config.get()) }
    }

    fn stop(&self) {
        self.stopped.set(true);
    }
}
