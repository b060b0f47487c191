//! A disk in memory, with a power switch: what layers above it are tested on, on the host.
//!
//! Memory and disk share one arena, so that "machine addresses" mean something on the host. Writes lie in a cache until a flush; cutting
//! the power keeps any part of them, sector by sector, as a real disk may.

use alloc::{boxed::Box, collections::BTreeMap, rc::Rc, vec, vec::Vec};
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use super::{Buffer, Disk, DiskError, Doing, Info, Memory, Piece, Place, SECTOR, check_range, length};

const SECTOR_BYTES: usize = SECTOR as usize;
const PAGE_BYTES: usize = 4096;
/// Where the first buffer "lies": not 0, so that a forgotten address is noticed.
const FIRST_ADDRESS: u64 = 0x10_0000;

/// Memory whose addresses the fake disks understand: a buffer by its first address. What was taken is never freed, what was given out as a
/// [`Buffer`] is.
#[derive(Default)]
pub struct FakeMemory {
    pages: RefCell<BTreeMap<u64, Vec<u8>>>,
    next: Cell<u64>,
    /// Buffers that may still be given out; none without limit.
    pub limit: Cell<Option<usize>>,
}

/// Some of [`FakeMemory`]: a buffer of ours, or the pages of a "guest".
pub struct FakeBuffer {
    memory: Rc<FakeMemory>,
    address: u64,
    pieces: Vec<Piece>,
    freed: bool,
}

impl Drop for FakeBuffer {
    fn drop(&mut self) {
        if self.freed {
            self.memory.pages.borrow_mut().remove(&self.address);
        }
    }
}

impl FakeMemory {
    /// Nothing is given out yet.
    pub fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }

    /// Zeroed memory in pieces of a page.
    pub fn take(self: &Rc<Self>, bytes: usize) -> FakeBuffer {
        let address = FIRST_ADDRESS + self.next.get();
        // A gap behind each buffer: pieces that run over are noticed.
        self.next.set(self.next.get() + (bytes.next_multiple_of(PAGE_BYTES) + PAGE_BYTES) as u64);
        self.pages.borrow_mut().insert(address, vec![0; bytes]);
        let piece = |from: usize| {
            let address = address + from as u64;
            Piece { address, virt: address, bytes: (bytes - from).min(PAGE_BYTES) as u32 }
        };
        FakeBuffer { memory: self.clone(), address, pieces: (0..bytes).step_by(PAGE_BYTES).map(piece).collect(), freed: false }
    }

    fn with<T>(&self, address: u64, bytes: usize, act: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut pages = self.pages.borrow_mut();
        let (start, memory) = pages.range_mut(..=address).next_back().expect("an address of a buffer");
        let at = (address - start) as usize;
        act(memory.get_mut(at..at + bytes).expect("inside the buffer"))
    }
}

/// Gives out buffers of a [`FakeMemory`].
impl Memory for Rc<FakeMemory> {
    fn buffer(&self, bytes: usize) -> Result<Box<dyn Buffer>, DiskError> {
        if let Some(left) = self.limit.get() {
            self.limit.set(Some(left.checked_sub(1).ok_or(DiskError::NoMemory)?));
        }
        let mut buffer = self.take(bytes);
        buffer.freed = true;
        Ok(Box::new(buffer))
    }

    fn put(&self, into: &[Piece], from: &[u8]) {
        assert!(length(into) >= from.len() as u64, "room for the bytes");
        let mut rest = from;
        for piece in into {
            let (now, later) = rest.split_at(rest.len().min(piece.bytes as usize));
            self.with(piece.address, now.len(), |bytes| bytes.copy_from_slice(now));
            rest = later;
        }
    }
}

impl Buffer for FakeBuffer {
    fn get(&self, at: usize, into: &mut [u8]) {
        self.memory.with(self.address + at as u64, into.len(), |bytes| into.copy_from_slice(bytes));
    }

    fn set(&self, at: usize, from: &[u8]) {
        self.memory.with(self.address + at as u64, from.len(), |bytes| bytes.copy_from_slice(from));
    }

    fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

/// A disk in memory.
pub struct FakeDisk {
    memory: Rc<FakeMemory>,
    number: u32,
    info: Cell<Info>,
    durable: RefCell<Vec<u8>>,
    /// Sectors written since the last flush.
    cache: RefCell<BTreeMap<u64, [u8; SECTOR_BYTES]>>,
    /// Requests that still succeed; none without limit. For fault injection.
    pub good_for: Cell<Option<u64>>,
    /// Requests so far.
    pub requests: Cell<u64>,
}

impl FakeDisk {
    /// A disk with these contents, whose length is a multiple of [`SECTOR`].
    pub fn new(memory: &Rc<FakeMemory>, number: u32, contents: Vec<u8>) -> Rc<Self> {
        let bytes = contents.len() as u64;
        assert!(bytes.is_multiple_of(SECTOR), "whole sectors");
        let info = Info { bytes, logical_block: SECTOR as u32, physical_block: 4096, read_only: false, discard: Some(SECTOR as u32) };
        Rc::new(Self {
            memory: memory.clone(),
            number,
            info: Cell::new(info),
            durable: RefCell::new(contents),
            cache: RefCell::default(),
            good_for: Cell::new(None),
            requests: Cell::new(0),
        })
    }

    /// Makes it read-only, or not.
    pub fn set_read_only(&self, read_only: bool) {
        self.info.set(Info { read_only, ..self.info.get() });
    }

    /// What would be read.
    pub fn contents(&self) -> Vec<u8> {
        let mut contents = self.durable.borrow().clone();
        self.cache.borrow().iter().for_each(|(sector, bytes)| put(&mut contents, *sector, bytes));
        contents
    }

    /// The disk after a loss of power: of the sectors written since the last flush those for which `keep` says so.
    pub fn after_power_cut(&self, mut keep: impl FnMut(u64) -> bool) -> Vec<u8> {
        let mut contents = self.durable.borrow().clone();
        let cache = self.cache.borrow();
        cache.iter().filter(|(sector, _)| keep(**sector)).for_each(|(sector, bytes)| put(&mut contents, *sector, bytes));
        contents
    }

    fn begin(&self, offset: u64, bytes: u64, write: bool) -> Result<(), DiskError> {
        self.requests.set(self.requests.get() + 1);
        if let Some(left) = self.good_for.get() {
            self.good_for.set(Some(left.checked_sub(1).ok_or(DiskError::Io)?));
        }
        check_range(&self.info.get(), offset, bytes)?;
        if write && self.info.get().read_only { Err(DiskError::ReadOnly) } else { Ok(()) }
    }

    fn sector(&self, sector: u64) -> [u8; SECTOR_BYTES] {
        self.cache.borrow().get(&sector).copied().unwrap_or_else(|| {
            let at = sector as usize * SECTOR_BYTES;
            self.durable.borrow()[at..at + SECTOR_BYTES].try_into().expect("a sector")
        })
    }

    fn do_read(&self, offset: u64, into: &[Piece]) -> Result<(), DiskError> {
        self.begin(offset, length(into), false)?;
        for (sector, address) in sectors(offset, into) {
            let bytes = self.sector(sector);
            self.memory.with(address, SECTOR_BYTES, |memory| memory.copy_from_slice(&bytes));
        }
        Ok(())
    }

    fn do_write(&self, offset: u64, from: &[Piece]) -> Result<(), DiskError> {
        self.begin(offset, length(from), true)?;
        for (sector, address) in sectors(offset, from) {
            let bytes = self.memory.with(address, SECTOR_BYTES, |memory| (&*memory).try_into().expect("a sector"));
            self.cache.borrow_mut().insert(sector, bytes);
        }
        Ok(())
    }

    fn do_flush(&self) -> Result<(), DiskError> {
        self.begin(0, 0, false)?;
        let mut durable = self.durable.borrow_mut();
        core::mem::take(&mut *self.cache.borrow_mut()).iter().for_each(|(sector, bytes)| put(&mut durable, *sector, bytes));
        Ok(())
    }
}

fn put(contents: &mut [u8], sector: u64, bytes: &[u8; SECTOR_BYTES]) {
    let at = sector as usize * SECTOR_BYTES;
    contents[at..at + SECTOR_BYTES].copy_from_slice(bytes);
}

/// Which sector goes to which address.
fn sectors(offset: u64, pieces: &[Piece]) -> impl Iterator<Item = (u64, u64)> {
    let addresses = pieces.iter().flat_map(|piece| {
        assert!(piece.bytes.is_multiple_of(SECTOR as u32), "pieces hold whole sectors");
        (0..u64::from(piece.bytes)).step_by(SECTOR_BYTES).map(|step| piece.address + step)
    });
    (offset / SECTOR..).zip(addresses)
}

/// Done when it is first polled, not when it is called.
fn later<'a>(act: impl FnOnce() -> Result<(), DiskError> + 'a) -> Doing<'a> {
    Box::pin(async move { act() })
}

impl Disk for FakeDisk {
    fn info(&self) -> Info {
        self.info.get()
    }

    fn place(&self, offset: u64, bytes: u64, _write: bool) -> Place {
        Place::At { device: self.number, offset, bytes }
    }

    fn read<'a>(&'a self, offset: u64, into: &'a [Piece]) -> Doing<'a> {
        later(move || self.do_read(offset, into))
    }

    fn write<'a>(&'a self, offset: u64, from: &'a [Piece]) -> Doing<'a> {
        later(move || self.do_write(offset, from))
    }

    fn flush(&self) -> Doing<'_> {
        later(|| self.do_flush())
    }

    fn discard(&self, offset: u64, bytes: u64) -> Doing<'_> {
        later(move || {
            self.begin(offset, bytes, true)?;
            let mut cache = self.cache.borrow_mut();
            (offset / SECTOR..(offset + bytes) / SECTOR).for_each(|sector| {
                cache.insert(sector, [0; SECTOR_BYTES]);
            });
            Ok(())
        })
    }
}

/// Drives something to its end that waits for nothing but itself.
///
/// # Panics
/// If it waits for ever.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(result) = work.as_mut().poll(&mut context) {
            return result;
        }
    }
    panic!("it never ends");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_survives_a_flush() {
        let memory = FakeMemory::new();
        let disk = FakeDisk::new(&memory, 0, vec![0; 64 * 1024]);
        let (from, into) = (memory.take(8192), memory.take(8192));
        from.set(0, &[7; 8192]);
        block_on(disk.write(4096, from.pieces())).unwrap();
        block_on(disk.read(4096, into.pieces())).unwrap();
        let mut read = [0; 8192];
        into.get(0, &mut read);
        assert_eq!(read, [7; 8192]);
        assert!(disk.after_power_cut(|_| false).iter().all(|&byte| byte == 0));
        block_on(disk.flush()).unwrap();
        assert_eq!(disk.after_power_cut(|_| false)[4096..12288], [7; 8192]);
    }

    #[test]
    fn faults_and_ranges() {
        let memory = FakeMemory::new();
        let disk = FakeDisk::new(&memory, 0, vec![0; 4096]);
        let page = memory.take(4096);
        assert_eq!(block_on(disk.read(512, page.pieces())), Err(DiskError::OutOfRange));
        assert_eq!(block_on(disk.read(1, page.pieces())), Err(DiskError::Misaligned));
        disk.good_for.set(Some(0));
        assert_eq!(block_on(disk.read(0, page.pieces())), Err(DiskError::Io));
        disk.good_for.set(None);
        disk.set_read_only(true);
        assert_eq!(block_on(disk.write(0, page.pieces())), Err(DiskError::ReadOnly));
    }
}
