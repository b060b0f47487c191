//! Frames of memory: who owns each, how it is used, which are free.
//!
//! One [`Frame`] of 32 bytes for each machine frame carries the facts on which isolation rests; the rules about types are in [`crate::mm`].
//! This module knows owners, references and the allocator. A frame becomes free when its last reference goes, whoever drops it; then it
//! leaves its owner's list by itself. Frames are scrubbed when handed out, not at boot.

mod account;
mod buddy;
mod clock;
mod devices;
mod exchange;
mod frame;
mod ram;
mod run;
#[cfg(test)]
mod tests;
mod work;

use core::sync::atomic::Ordering::Relaxed;

use crate::ids::{CpuId, CpuMask, DomId, MAX_DOMAINS, Mfn};
use crate::machine::{Flush, Machine};

pub use account::DomainFrames;
use buddy::Buddy;
pub use buddy::MAX_ORDER;
pub use clock::FlushClock;
pub use devices::{DeviceFrames, DeviceRange, MAX_RANGES};
pub use exchange::Exchange;
pub use frame::{Frame, MAX_REFS, Owner, PageType, RefError, Saturated, Usage};
use ram::RamMap;
pub use run::{FrameRun, order_of};

/// Why a domain gets no frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoFrame {
    /// It has as many as it may have, or is being destroyed.
    Limit,
    /// None is free.
    Exhausted,
    /// The frame that was named is not to be had.
    Unavailable,
}

/// The frame table, the allocator and every domain's account.
pub struct Frames {
    table: &'static [Frame],
    buddy: Buddy,
    accounts: [DomainFrames; MAX_DOMAINS],
    /// How many frames there are of RAM.
    ram: u64,
    /// How many of them are domains' own: the sum of all accounts' `total`.
    owned: u64,
    ram_map: RamMap,
    /// Frames that are no RAM: who may map which.
    pub devices: DeviceFrames,
    /// When each CPU last flushed.
    pub clock: FlushClock,
}

/// Numbers for `machine_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Frames of RAM.
    pub total: u64,
    /// Frames that are free.
    pub free: u64,
    /// Frames that are domains' own.
    pub owned: u64,
    /// One more than the highest frame number.
    pub end: u64,
}

impl Frames {
    /// A table in which no address has RAM yet. Frame numbers must fit into 32 bits (16 TiB).
    pub const fn new(table: &'static [Frame]) -> Self {
        Frames {
            table,
            buddy: Buddy::new(),
            accounts: [DomainFrames::new(); MAX_DOMAINS],
            ram: 0,
            owned: 0,
            ram_map: RamMap::new(),
            devices: DeviceFrames::new(),
            clock: FlushClock::new(),
        }
    }

    /// A frame of RAM by number; none if the number has no RAM.
    #[inline]
    pub fn get(&self, mfn: Mfn) -> Option<&'static Frame> {
        let frame = self.table.get(mfn.0 as usize)?;
        (frame.owner() != Owner::Absent).then_some(frame)
    }

    /// True if any frame from `start` up to but without `end` may be RAM.
    pub fn has_ram(&self, start: u64, end: u64) -> bool {
        self.ram_map.touches(start, end)
    }

    /// A frame that some structure of ours names.
    #[inline]
    pub(crate) fn known(&self, mfn: Mfn) -> &'static Frame {
        &self.table[mfn.0 as usize]
    }

    /// A domain's account.
    pub fn of(&self, domain: DomId) -> &DomainFrames {
        &self.accounts[usize::from(domain)]
    }

    /// Sets how many frames a domain may have; it keeps what it has.
    pub fn set_limit(&mut self, domain: DomId, limit: u64) {
        self.accounts[usize::from(domain)].limit = limit;
    }

    /// Prepares the account of a new domain; it must be empty.
    pub fn open(&mut self, domain: DomId, limit: u64) {
        let account = &mut self.accounts[usize::from(domain)];
        assert!(account.is_empty(), "the number is in use still");
        *account = DomainFrames { limit, ..DomainFrames::new() };
    }

    /// The numbers for `machine_info`.
    pub fn stats(&self) -> Stats {
        Stats { total: self.ram, free: self.buddy.free_frames(), owned: self.owned, end: self.table.len() as u64 }
    }

    // Boot

    /// Puts the table in place of the empty one that [`Frames::new`] was given before memory was known.
    ///
    /// # Panics
    /// If RAM is known already.
    pub fn install(&mut self, table: &'static [Frame]) {
        assert!(self.ram == 0, "the frame table is installed once, at boot");
        self.table = table;
    }

    /// Tells of RAM that is free: frames `start` up to but without `end`. Frame 0 and frames that are known already are left out.
    pub fn add_region(&mut self, start: Mfn, end: Mfn) {
        self.ram_map.add(start.0, end.0);
        let table = self.table;
        let end = end.0.min(table.len() as u64);
        let mut next = start.0.max(1);
        while next < end {
            let unknown = table[next as usize..end as usize].iter().take_while(|frame| frame.owner() == Owner::Absent).count() as u64;
            self.add_run(next, next + unknown);
            next += unknown + 1;
        }
    }

    /// Frees frames that are adjacent, in blocks as large as their alignment allows: booting is the time when all RAM is freed.
    fn add_run(&mut self, mut first: u64, end: u64) {
        self.ram += end - first;
        while first < end {
            let order = first.trailing_zeros().min((end - first).ilog2()).min(MAX_ORDER);
            self.buddy.give(self.table, first as u32, order);
            first += 1 << order;
        }
    }

    /// Tells of RAM that is in use by the hypervisor or waits to be handed over (the archive). Before [`Frames::add_region`] of a region around it.
    pub fn reserve(&mut self, start: Mfn, end: Mfn) {
        self.ram_map.add(start.0, end.0);
        let end = end.0.min(self.table.len() as u64);
        for mfn in start.0..end {
            let frame = &self.table[mfn as usize];
            if frame.owner() == Owner::Absent {
                self.ram += 1;
                frame.give_to(Owner::Hypervisor, 0, false, false);
            }
        }
    }

    /// Frees one reserved frame; false if it is not reserved.
    pub fn release_reserved(&mut self, mfn: Mfn) -> bool {
        let reserved = self.get(mfn).is_some_and(is_reserved) && mfn.is_some();
        if reserved {
            self.buddy.give(self.table, mfn.0 as u32, 0);
        }
        reserved
    }

    /// Gives a reserved frame to a domain, with what is in it.
    ///
    /// # Errors
    /// It is not reserved, or the domain has all that it may have.
    pub fn adopt(&mut self, mfn: Mfn, domain: DomId) -> Result<(), NoFrame> {
        if !mfn.is_some() || !self.get(mfn).is_some_and(is_reserved) {
            return Err(NoFrame::Unavailable);
        }
        self.room(domain, 1)?;
        self.assign(mfn.0 as u32, domain);
        self.owned += 1;
        Ok(())
    }

    // Frames of the hypervisor

    /// 2^`order` adjacent frames for an object of the hypervisor, charged to a domain's overhead if one is named.
    ///
    /// Their contents are whatever was there; [`Machine::object`] zeroes.
    pub fn allocate_run<M: Machine>(&mut self, machine: &M, order: u32, charge: Option<DomId>) -> Option<FrameRun> {
        if order > MAX_ORDER {
            return None;
        }
        let first = self.buddy.take(self.table, order)?;
        self.forget_translations(machine, first, order);
        for frame in &self.table[first as usize..first as usize + (1 << order)] {
            frame.give_to(Owner::Hypervisor, 1, false, false);
        }
        let head = &self.table[first as usize];
        head.set_usage(Usage::block(order));
        head.work.store(charge.map_or(0, |domain| u32::from(domain) + 1), Relaxed);
        if let Some(domain) = charge {
            self.accounts[usize::from(domain)].overhead += 1 << order;
        }
        Some(FrameRun::new(Mfn(u64::from(first)), 1 << order))
    }

    /// Frees a run by its first frame; [`Machine::reclaim`] tells it.
    pub fn free_run(&mut self, first: Mfn) {
        let head = self.known(first);
        let order = head.usage().order().expect("the first frame of a run");
        assert!(head.owner() == Owner::Hypervisor, "a run of the hypervisor");
        if let Some(domain) = head.work.swap(0, Relaxed).checked_sub(1) {
            self.accounts[domain as usize].overhead -= 1 << order;
        }
        for mfn in first.0..first.0 + (1 << order) {
            self.table[mfn as usize].set_stamp(self.clock.now());
        }
        self.buddy.give(self.table, first.0 as u32, order);
    }

    /// One zeroed frame of the hypervisor that a domain may map writable (`shared_info`, grant tables). It is charged to the domain's
    /// overhead, is on none of its lists, and stays typed writable, so that it never becomes a page table.
    pub fn allocate_shared<M: Machine>(&mut self, machine: &M, domain: DomId) -> Option<Mfn> {
        let first = self.buddy.take(self.table, 0)?;
        self.forget_translations(machine, first, 0);
        let mfn = Mfn(u64::from(first));
        machine.zero_frame(mfn);
        machine.set_m2p(mfn, abi::layout::INVALID_M2P_ENTRY);
        let frame = self.known(mfn);
        frame.give_to(Owner::Domain(domain), 1, false, true);
        frame.set_usage(Usage::UNUSED.with(PageType::Writable, 1).set_validated(true));
        self.accounts[usize::from(domain)].overhead += 1;
        Some(mfn)
    }

    /// Gives up the hypervisor's hold of a shared frame; it is freed when the domain's mappings are gone, too.
    pub fn free_shared(&mut self, mfn: Mfn) {
        let frame = self.known(mfn);
        assert!(frame.shared() && frame.usage().is(PageType::Writable), "a shared frame");
        frame.set_usage(frame.usage().less());
        frame.set_stamp(self.clock.now());
        self.put_ref(mfn);
    }

    // Frames of domains

    /// A zeroed frame for a domain.
    ///
    /// # Errors
    /// It has all that it may have, or none is free.
    pub fn allocate_for<M: Machine>(&mut self, machine: &M, domain: DomId) -> Result<Mfn, NoFrame> {
        self.allocate_block_for(machine, domain, 0)
    }

    /// 2^`order` adjacent zeroed frames for a domain; each is freed by itself.
    ///
    /// # Errors
    /// As [`Frames::allocate_for`].
    pub fn allocate_block_for<M: Machine>(&mut self, machine: &M, domain: DomId, order: u32) -> Result<Mfn, NoFrame> {
        if order > MAX_ORDER {
            return Err(NoFrame::Exhausted);
        }
        self.room(domain, 1 << order)?;
        let first = self.buddy.take(self.table, order).ok_or(NoFrame::Exhausted)?;
        self.hand_over(machine, first, order, domain);
        Ok(Mfn(u64::from(first)))
    }

    /// Takes a reference to a domain's frame.
    ///
    /// # Errors
    /// No RAM, another's, or too many references.
    #[inline]
    pub fn take_ref(&mut self, mfn: Mfn, owner: DomId) -> Result<&'static Frame, RefError> {
        let frame = self.table.get(mfn.0 as usize).ok_or(RefError::NotOwned)?;
        frame.take_ref(owner)?;
        Ok(frame)
    }

    /// Drops a reference; frees the frame if it was the last.
    #[inline]
    pub fn put_ref(&mut self, mfn: Mfn) {
        if self.known(mfn).drop_ref() {
            self.release(mfn);
        }
    }

    /// The owner gives a frame back: it is freed when nobody refers to it any more.
    ///
    /// # Errors
    /// Not that domain's, or given back before.
    pub fn give_back(&mut self, mfn: Mfn, domain: DomId) -> Result<(), NoFrame> {
        let frame = self.get(mfn).ok_or(NoFrame::Unavailable)?;
        if !frame.belongs_to(domain) || !frame.allocated() {
            return Err(NoFrame::Unavailable);
        }
        frame.clear_allocated();
        let account = &mut self.accounts[usize::from(domain)];
        account::unlink(self.table, &mut account.heads(), mfn.0 as u32);
        account::link(self.table, &mut account.lingering, mfn.0 as u32);
        account.given_back += 1;
        self.put_ref(mfn);
        Ok(())
    }

    /// For teardown: the next frame that the domain gave back and that is referred to. It is told once.
    pub(crate) fn next_lingering(&mut self, domain: DomId) -> Option<Mfn> {
        let account = &mut self.accounts[usize::from(domain)];
        let mfn = account.lingering;
        let found = some(mfn)?;
        account::unlink(self.table, &mut account.heads(), mfn);
        account::link(self.table, &mut account.released, mfn);
        Some(found)
    }

    /// A frame that the domain has and has not given back; none if there is none.
    pub fn first_of(&self, domain: DomId) -> Option<Mfn> {
        some(self.of(domain).allocated)
    }

    /// The next frame on the list after one that [`Frames::first_of`] or this told.
    pub fn next_of(&self, mfn: Mfn) -> Option<Mfn> {
        some(self.known(mfn).next.load(Relaxed))
    }

    /// The account of the domain that owns a frame, to count the frame as a page table or as none.
    pub(crate) fn account_of(&mut self, frame: &Frame) -> &mut DomainFrames {
        let Owner::Domain(domain) = frame.owner() else { panic!("only domains have page tables") };
        &mut self.accounts[usize::from(domain)]
    }

    /// Refuses a dying domain anything new.
    pub fn close(&mut self, domain: DomId) {
        self.accounts[usize::from(domain)].closed = true;
    }

    // Translations

    /// Flushes and remembers it.
    #[inline]
    pub fn flush<M: Machine>(&mut self, machine: &M, cpus: CpuMask, what: Flush) {
        if cpus.0 != 0 {
            machine.flush(cpus, what);
            if what == Flush::All {
                self.clock.flushed(cpus);
            }
        }
    }

    /// Loads a top-level table, which flushes, and remembers it.
    #[inline]
    pub fn load_page_table<M: Machine>(&mut self, machine: &M, cpu: CpuId, root: Mfn) {
        machine.load_page_table(root);
        self.clock.flushed_one(cpu);
    }

    /// Makes sure that no CPU has a translation to these frames from their last life.
    fn forget_translations<M: Machine>(&mut self, machine: &M, first: u32, order: u32) {
        let block = &self.table[first as usize..first as usize + (1 << order)];
        let latest = block.iter().fold(0, |mask, frame| mask | self.clock.stale(frame.stamp()).0);
        self.flush(machine, CpuMask(latest), Flush::All);
    }

    fn room(&self, domain: DomId, count: u64) -> Result<(), NoFrame> {
        let account = self.of(domain);
        if account.closed || account.limit.saturating_sub(account.total) < count {
            return Err(NoFrame::Limit);
        }
        Ok(())
    }

    /// Gives a block that was taken from the allocator to a domain, zeroed and without translations from its last life.
    fn hand_over<M: Machine>(&mut self, machine: &M, first: u32, order: u32, domain: DomId) {
        self.forget_translations(machine, first, order);
        for mfn in first..first + (1 << order) {
            let frame = Mfn(u64::from(mfn));
            machine.zero_frame(frame);
            machine.set_m2p(frame, abi::layout::INVALID_M2P_ENTRY);
            self.assign(mfn, domain);
        }
        self.owned += 1 << order;
    }

    fn assign(&mut self, mfn: u32, domain: DomId) {
        let frame = &self.table[mfn as usize];
        frame.give_to(Owner::Domain(domain), 1, true, false);
        frame.set_usage(Usage::UNUSED);
        let account = &mut self.accounts[usize::from(domain)];
        account.total += 1;
        account::link(self.table, &mut account.allocated, mfn);
    }

    /// The last reference of a domain's frame is gone.
    #[cold]
    fn release(&mut self, mfn: Mfn) {
        let frame = self.known(mfn);
        let Owner::Domain(domain) = frame.owner() else { panic!("only domains' frames are counted") };
        let usage = frame.usage();
        assert!(usage.count() == 0 && !usage.partial() && !usage.queued(), "a frame without references has no use");
        let account = &mut self.accounts[usize::from(domain)];
        if frame.shared() {
            account.overhead -= 1;
        } else {
            account::unlink(self.table, &mut account.heads(), mfn.0 as u32);
            account.total -= 1;
            account.given_back -= 1;
            self.owned -= 1;
        }
        frame.set_stamp(self.clock.now());
        self.buddy.give(self.table, mfn.0 as u32, 0);
    }
}

fn is_reserved(frame: &Frame) -> bool {
    frame.owner() == Owner::Hypervisor && frame.refs() == 0
}

fn some(mfn: u32) -> Option<Mfn> {
    (mfn != 0).then_some(Mfn(u64::from(mfn)))
}
