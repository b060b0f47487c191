//! A split virtqueue (virtio 1.2, 2.7) for requests of a disk, in which every request has a slot with all that it needs.
//!
//! A slot is 2048 bytes of shared memory: a table of descriptors, the request's header and its status. With indirect descriptors
//! (2.7.5.3) slot *n* is descriptor *n* of the queue, for ever; without, it is a fixed run of descriptors. So most of what the device reads is
//! written once, when the queue is made: a request adds its header, its pieces of memory and an index. Nothing is allocated, and nothing
//! that the device writes is used for more than the number of a slot, which is checked.

use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

use super::memory::Shared;
use crate::block::Piece;

/// Entries of a queue at most: its descriptors fill a page, and both rings another.
pub const MOST_SIZE: u16 = 256;
/// Bytes of a queue's rings.
pub const RINGS_BYTES: usize = 4096;
/// Bytes of a slot: two to a page, so that each is contiguous.
pub const SLOT_BYTES: usize = 2048;
/// Pieces of memory in a request at most: as many descriptors as a slot has room for, without those of header and status.
pub const MOST_PIECES: usize = (SLOT_BYTES - 32) / DESCRIPTOR - 2;

const DESCRIPTOR: usize = 16;
/// In a slot: where its header and its status are. What is to be discarded stands in the table, behind the three descriptors that this takes.
const HEADER: usize = SLOT_BYTES - 32;
const STATUS: usize = SLOT_BYTES - 16;
const RANGE: usize = 4 * DESCRIPTOR;
const _: () = assert!(STATUS == HEADER + HEADER_BYTES as usize);
const HEADER_BYTES: u32 = 16;
const RANGE_BYTES: u32 = 16;

/// Flags of a descriptor.
const NEXT: u64 = 1;
const DEVICE_WRITES: u64 = 2;
const IS_TABLE: u64 = 4;

/// In the rings' page: where each begins.
const AVAILABLE: usize = 0;
const USED: usize = 1024;
const FLAGS: usize = 0;
const INDEX: usize = 2;
const RING: usize = 4;
/// In `flags`: do not tell me.
const QUIET: u16 = 1;
/// What a status is before the device writes one; no status that there is.
const UNWRITTEN: u8 = 0xff;

/// How a queue is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Entries: a power of two, at most [`MOST_SIZE`].
    pub size: u16,
    /// Slots: requests that can be on their way.
    pub slots: u16,
    /// Pieces in a request at most.
    pub pieces: usize,
    /// Slots have tables of their own.
    pub indirect: bool,
    /// Each side says from which index on it wants to be told.
    pub event_index: bool,
}

impl Shape {
    /// The shape for a device that can have `most` entries and `pieces` pieces in a request, if `slots` slots are wanted; none if not even one
    /// request has room.
    pub fn new(most: u16, pieces: usize, slots: u16, indirect: bool, event_index: bool) -> Option<Self> {
        let size = most.min(MOST_SIZE);
        if !size.is_power_of_two() || size < 4 {
            return None;
        }
        // No chain may be longer than the queue, not even in a table of its own (2.7.5.3.1).
        let pieces = pieces.min(usize::from(size) - 2).min(MOST_PIECES);
        if indirect {
            return Some(Self { size, slots: slots.clamp(1, size), pieces, indirect, event_index });
        }
        // Short runs for many requests rather than long ones for few.
        let run = (usize::from(size) / 16).max(4).min(pieces + 2);
        Some(Self { size, slots: slots.clamp(1, size / run as u16), pieces: run - 2, indirect, event_index })
    }

    /// Descriptors in the queue that a slot has.
    fn run(&self) -> usize {
        if self.indirect { 1 } else { self.pieces + 2 }
    }
}

/// The device wrote what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A request that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done<T> {
    /// Whoever it was for.
    pub user: T,
    /// How it went, as the device says: 0 is well, [`u8::MAX`] that it did not say.
    pub status: u8,
}

/// A queue. `T` is what each request is remembered by.
pub struct Queue<M, T> {
    shape: Shape,
    descriptors: M,
    rings: M,
    slots: M,
    free: Vec<u16>,
    users: Vec<Option<T>>,
    /// Requests put into the ring, told to the device by index, and taken back, all counted without end.
    added: u16,
    told: u16,
    seen: u16,
    /// The device's index when it was last read.
    known: u16,
}

impl<M: Shared, T> Queue<M, T> {
    /// An empty queue in zeroed memory: a page for descriptors, a page for the rings, and the slots.
    pub fn new(shape: Shape, descriptors: M, rings: M, slots: M) -> Self {
        let queue = Self {
            shape,
            descriptors,
            rings,
            slots,
            free: (0..shape.slots).rev().collect(),
            users: (0..shape.slots).map(|_| None).collect(),
            added: 0,
            told: 0,
            seen: 0,
            known: 0,
        };
        (0..usize::from(shape.slots)).for_each(|slot| queue.prepare(slot));
        queue
    }

    /// Writes what stays the same for all requests of a slot: in its table the header first, then the status, which every chain ends with, and
    /// what leads from the queue to the table.
    fn prepare(&self, slot: usize) {
        let base = slot * SLOT_BYTES;
        let (table, at, _) = self.table(slot);
        table.set64(at, self.slots.machine(base + HEADER));
        table.set64(at + DESCRIPTOR, self.slots.machine(base + STATUS));
        table.set64(at + DESCRIPTOR + 8, tail(1, DEVICE_WRITES, 0));
        if self.shape.indirect {
            let length = (self.shape.pieces + 2) * DESCRIPTOR;
            self.descriptors.set64(slot * DESCRIPTOR, self.slots.machine(base));
            self.descriptors.set64(slot * DESCRIPTOR + 8, tail(length as u32, IS_TABLE, 0));
        }
    }

    /// Where a slot's descriptors are: in which memory, from which byte on, and the number of the first.
    #[inline]
    fn table(&self, slot: usize) -> (&M, usize, usize) {
        if self.shape.indirect {
            (&self.slots, slot * SLOT_BYTES, 0)
        } else {
            let first = slot * self.shape.run();
            (&self.descriptors, first * DESCRIPTOR, first)
        }
    }

    /// How it is built.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Where its parts lie for the device.
    pub fn place(&self) -> super::QueuePlace {
        super::QueuePlace {
            descriptors: self.descriptors.machine(0),
            available: self.rings.machine(AVAILABLE),
            used: self.rings.machine(USED),
        }
    }

    /// Whether another request has room.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Requests on their way.
    pub fn on_their_way(&self) -> u16 {
        self.shape.slots - self.free.len() as u16
    }

    /// Requests on their way that the device has been shown.
    pub fn shown(&self) -> u16 {
        self.on_their_way() - self.added.wrapping_sub(self.told)
    }

    /// Puts a request for `sector` into the queue; the device reads the pieces or (`device_writes`) writes them. False if there is no room for
    /// it: then nothing happened.
    #[inline(always)]
    pub fn add(&mut self, kind: u32, sector: u64, device_writes: bool, pieces: &[Piece], user: T) -> bool {
        let Some(slot) = self.take_slot(pieces.len()) else { return false };
        self.write(slot, kind, sector, device_writes, pieces);
        self.offer(slot, user);
        true
    }

    /// Puts a request into the queue that names a range of `sectors` sectors instead of memory (virtio 1.2, 5.2.6: discard and the like).
    pub fn add_range(&mut self, kind: u32, sector: u64, sectors: u32, flags: u32, user: T) -> bool {
        let Some(slot) = self.take_slot(1) else { return false };
        let at = usize::from(slot) * SLOT_BYTES + RANGE;
        self.slots.set64(at, sector);
        self.slots.set64(at + 8, u64::from(sectors) | u64::from(flags) << 32);
        let range = Piece { address: self.slots.machine(at), virt: 0, bytes: RANGE_BYTES };
        self.write(slot, kind, 0, false, &[range]);
        self.offer(slot, user);
        true
    }

    fn take_slot(&mut self, pieces: usize) -> Option<u16> {
        if pieces > self.shape.pieces { None } else { self.free.pop() }
    }

    #[inline(always)]
    fn write(&self, slot: u16, kind: u32, sector: u64, device_writes: bool, pieces: &[Piece]) {
        let slot = usize::from(slot);
        let base = slot * SLOT_BYTES;
        // The status lies behind the header, and nothing behind it.
        self.slots.set_words(base + HEADER, [kind.into(), sector, UNWRITTEN.into()]);
        let (table, start, first) = self.table(slot);
        let status = first + 1;
        let flags = if device_writes { NEXT | DEVICE_WRITES } else { NEXT };
        table.set64(start + 8, tail(HEADER_BYTES, NEXT, if pieces.is_empty() { status } else { first + 2 }));
        let Some((last, others)) = pieces.split_last() else { return };
        let mut at = start + 2 * DESCRIPTOR;
        for (next, piece) in (first + 3..).zip(others) {
            table.set_words(at, [piece.address, tail(piece.bytes, flags, next)]);
            at += DESCRIPTOR;
        }
        table.set_words(at, [last.address, tail(last.bytes, flags, status)]);
    }

    #[inline(always)]
    fn offer(&mut self, slot: u16, user: T) {
        let at = AVAILABLE + RING + 2 * usize::from(self.added & (self.shape.size - 1));
        self.rings.set16(at, slot * self.shape.run() as u16);
        self.added = self.added.wrapping_add(1);
        self.users[usize::from(slot)] = Some(user);
    }

    /// Shows the device what was added; true if it has to be told.
    pub fn publish(&mut self) -> bool {
        if self.added == self.told {
            return false;
        }
        // What the index covers is there before the index is.
        fence(Ordering::Release);
        self.rings.set16(AVAILABLE + INDEX, self.added);
        // The index is there before we look whether the device sleeps.
        fence(Ordering::SeqCst);
        let before = core::mem::replace(&mut self.told, self.added);
        if self.shape.event_index {
            let event = self.rings.get16(USED + RING + 8 * usize::from(self.shape.size));
            // The device wants to be told once the index passes this one (2.7.7).
            self.added.wrapping_sub(event).wrapping_sub(1) < self.added.wrapping_sub(before)
        } else {
            self.rings.get16(USED + FLAGS) & QUIET == 0
        }
    }

    /// The next request that is done.
    ///
    /// # Errors
    /// [`Broken`]: the device must be stopped.
    pub fn take(&mut self) -> Result<Option<Done<T>>, Broken> {
        if self.seen == self.known {
            self.known = self.rings.get16(USED + INDEX);
            let done = self.known.wrapping_sub(self.seen);
            if done == 0 {
                return Ok(None);
            }
            if done > self.on_their_way() {
                return Err(Broken);
            }
            // What the index covers is read after the index.
            fence(Ordering::Acquire);
        }
        let at = USED + RING + 8 * usize::from(self.seen & (self.shape.size - 1));
        let head = self.rings.get32(at) as usize;
        let run = self.shape.run();
        let slot = if run == 1 { head } else { head / run };
        let user = self.users.get_mut(slot).filter(|_| run == 1 || head.is_multiple_of(run)).and_then(Option::take).ok_or(Broken)?;
        let status = self.slots.get8(slot * SLOT_BYTES + STATUS);
        self.seen = self.seen.wrapping_add(1);
        self.free.push(slot as u16);
        Ok(Some(Done { user, status }))
    }

    /// Asks the device to tell nothing until [`Queue::listen`]. With event indices it does not anyway.
    pub fn ignore(&mut self) {
        if !self.shape.event_index {
            self.rings.set16(AVAILABLE + FLAGS, QUIET);
        }
    }

    /// Asks the device to tell when `others` requests after those taken are done, and then one more. True if more are done by now: those it
    /// may not tell of.
    pub fn listen(&mut self, others: u16) -> bool {
        if self.shape.event_index {
            let event = self.seen.wrapping_add(others);
            self.rings.set16(AVAILABLE + RING + 2 * usize::from(self.shape.size), event);
            fence(Ordering::SeqCst);
            self.rings.get16(USED + INDEX).wrapping_sub(self.seen) > others
        } else {
            self.rings.set16(AVAILABLE + FLAGS, 0);
            fence(Ordering::SeqCst);
            self.rings.get16(USED + INDEX) != self.seen
        }
    }

    /// Takes everything that was on its way, once the device is stopped.
    pub fn abandon(&mut self) -> impl Iterator<Item = T> + '_ {
        self.users.iter_mut().filter_map(Option::take)
    }
}

/// The second half of a descriptor: length, flags, the next.
const fn tail(bytes: u32, flags: u64, next: usize) -> u64 {
    bytes as u64 | flags << 32 | (next as u64) << 48
}
