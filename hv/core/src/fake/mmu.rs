//! The memory management unit of the machine on the host: walks tables as they stand in RAM, and remembers what it found.
//!
//! It is as unhelpful as a real one may be. Nothing is forgotten until it is flushed: neither translations nor which L1 table covers which
//! 2 MiB (the paging-structure cache). A guest's access uses whatever grants more. So a flush that the rules forgot shows as
//! access that should be gone.

use core::sync::atomic::Ordering::Relaxed;
use std::cell::RefCell;
use std::collections::BTreeMap;

use abi::layout::is_canonical;
use abi::mmu::pte;

use super::memory::Memory;
use crate::ids::{CpuId, Mfn};

/// A translation that a CPU remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translation {
    /// The frame.
    pub mfn: Mfn,
    /// True if the guest may write.
    pub writable: bool,
    /// The top-level table under which it was found.
    pub root: Mfn,
}

/// An L1 table that a CPU remembers for a range of 2 MiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Directory {
    /// The table.
    pub table: Mfn,
    /// True if every level above lets the guest write.
    pub writable: bool,
}

/// What an access was refused for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Not mapped, or not for ring 3.
    NotMapped,
    /// Mapped read-only.
    ReadOnly,
}

/// The caches of all CPUs.
#[derive(Default)]
pub struct Mmu {
    translations: RefCell<BTreeMap<(CpuId, u64), Translation>>,
    directories: RefCell<BTreeMap<(CpuId, u64), Directory>>,
}

impl Mmu {
    /// Forgets everything that a CPU knows.
    pub fn flush(&self, cpu: CpuId) {
        self.translations.borrow_mut().retain(|&(of, _), _| of != cpu);
        self.directories.borrow_mut().retain(|&(of, _), _| of != cpu);
    }

    /// Forgets one page, and (as INVLPG does) all directories.
    pub fn flush_page(&self, cpu: CpuId, address: u64) {
        self.translations.borrow_mut().remove(&(cpu, address >> 12));
        self.directories.borrow_mut().retain(|&(of, _), _| of != cpu);
    }

    /// What CPUs remember: (CPU, page number, translation).
    pub fn translations(&self) -> std::vec::Vec<(CpuId, u64, Translation)> {
        self.translations.borrow().iter().map(|(&(cpu, page), &entry)| (cpu, page, entry)).collect()
    }

    /// What CPUs remember of L1 tables.
    pub fn directories(&self) -> std::vec::Vec<(CpuId, u64, Directory)> {
        self.directories.borrow().iter().map(|(&(cpu, range), &entry)| (cpu, range, entry)).collect()
    }

    /// Translates a guest's access.
    ///
    /// # Errors
    /// The access faults.
    pub fn translate(&self, memory: &Memory, cpu: CpuId, root: Mfn, address: u64, write: bool) -> Result<Mfn, Refused> {
        if !is_canonical(address) || !root.is_some() {
            return Err(Refused::NotMapped);
        }
        let known = self.translations.borrow().get(&(cpu, address >> 12)).copied();
        if let Some(known) = known
            && (!write || known.writable)
        {
            return Ok(known.mfn);
        }
        let remembered = self.directories.borrow().get(&(cpu, address >> 21)).copied();
        if let Some(directory) = remembered
            && let Ok(mfn) = self.finish(memory, cpu, root, address, write, directory)
        {
            return Ok(mfn);
        }
        let directory = walk_to_l1(memory, root, address)?;
        self.directories.borrow_mut().insert((cpu, address >> 21), directory);
        self.finish(memory, cpu, root, address, write, directory)
    }

    fn finish(&self, memory: &Memory, cpu: CpuId, root: Mfn, address: u64, write: bool, directory: Directory) -> Result<Mfn, Refused> {
        let (mfn, writable) = step(memory, directory.table, address, 12)?;
        let writable = writable && directory.writable;
        if write && !writable {
            return Err(Refused::ReadOnly);
        }
        if write {
            memory.word(directory.table, index(address, 12)).fetch_or(pte::DIRTY, Relaxed);
        }
        self.translations.borrow_mut().insert((cpu, address >> 12), Translation { mfn, writable, root });
        Ok(mfn)
    }
}

fn walk_to_l1(memory: &Memory, root: Mfn, address: u64) -> Result<Directory, Refused> {
    let mut directory = Directory { table: root, writable: true };
    for shift in [39, 30, 21] {
        let (table, writable) = step(memory, directory.table, address, shift)?;
        directory = Directory { table, writable: writable && directory.writable };
    }
    Ok(directory)
}

/// One level: the frame that the entry names and whether it lets write. Sets A, as processors do.
fn step(memory: &Memory, table: Mfn, address: u64, shift: u32) -> Result<(Mfn, bool), Refused> {
    let word = memory.word(table, index(address, shift));
    let entry = word.load(Relaxed);
    if entry & pte::PRESENT == 0 || entry & pte::USER == 0 {
        return Err(Refused::NotMapped);
    }
    assert!(shift == 12 || entry & pte::PSE == 0, "a superpage got into a table: {entry:#x}");
    word.fetch_or(pte::ACCESSED, Relaxed);
    Ok((Mfn((entry & pte::ADDR_MASK) >> 12), entry & pte::RW != 0))
}

fn index(address: u64, shift: u32) -> usize {
    (address >> shift) as usize & 511
}
