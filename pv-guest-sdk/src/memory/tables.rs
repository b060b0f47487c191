//! Page tables: walking them through the linear area, where they are read-only, and changing them by hypercall.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::layout::{ENTRIES, PAGE_SIZE};
use abi::mmu::{MmuUpdate, NORMAL_PT_UPDATE, UVMF_INVLPG, pte};

use super::{alloc_page, mfn_to_pfn, pfn_to_mfn, pfn_to_virt, virt_to_mfn};
use crate::BootInfo;
use crate::hypercall::{self, Result};

/// Entries of upper levels.
const TABLE: u64 = pte::PRESENT | pte::RW | pte::USER | pte::ACCESSED | pte::DIRTY;
/// Entries of the linear area.
const LINEAR: u64 = pte::PRESENT | pte::RW | pte::USER | pte::ACCESSED | pte::DIRTY | pte::NX;

static ROOT: AtomicU64 = AtomicU64::new(0);

pub(super) fn init(info: &BootInfo) {
    ROOT.store(info.start_info().pt_base, Ordering::Relaxed);
}

/// A new, zeroed table page comes from here.
type TableSource<'a> = &'a mut dyn FnMut() -> *mut u8;

fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * (level - 1))) as usize % ENTRIES
}

/// Reads the entry of `table` that covers `address`.
fn read(table: u64, address: u64, level: u32) -> u64 {
    // SAFETY: tables of the kernel stay mapped in the linear area; the index is below 512.
    unsafe { (table as *const u64).add(index(address, level)).read_volatile() }
}

/// The virtual address of the table that an entry points to.
fn child(entry: u64) -> Option<u64> {
    (entry & pte::PRESENT != 0).then_some(())?;
    Some(pfn_to_virt(mfn_to_pfn((entry & pte::ADDR_MASK) >> 12)?) as u64)
}

/// The table of `level` that covers `address`, if there is one.
fn walk(root: u64, address: u64, level: u32) -> Option<u64> {
    let mut table = root;
    for upper in (level + 1..=4).rev() {
        table = child(read(table, address, upper))?;
    }
    Some(table)
}

pub(super) fn is_mapped_at_boot(root: u64, address: u64) -> bool {
    walk(root, address, 1).is_some_and(|table| read(table, address, 1) & pte::PRESENT != 0)
}

/// The L1 entry that maps `address`, or `None` if nothing does.
pub fn lookup(address: u64) -> Option<u64> {
    walk(ROOT.load(Ordering::Relaxed), address, 1).map(|table| read(table, address, 1)).filter(|entry| entry & pte::PRESENT != 0)
}

/// The machine address of the L1 entry for `address`, as grant operations with CONTAINS_PTE and mmu_update take it.
pub fn virt_to_pte_machine(address: u64) -> Option<u64> {
    let table = walk(ROOT.load(Ordering::Relaxed), address, 1)?;
    entry_machine(table, address, 1)
}

fn entry_machine(table: u64, address: u64, level: u32) -> Option<u64> {
    Some((virt_to_mfn(table as *const u8)? << 12) + index(address, level) as u64 * 8)
}

/// Makes a page of the linear area read-only, as it must be to become a table or be granted for reading only.
///
/// # Safety
/// Nothing may write to it while it is so.
///
/// # Errors
/// -EINVAL if it is no page of the linear area.
pub unsafe fn protect_read_only(page: *mut u8) -> Result<()> {
    let mfn = virt_to_mfn(page).ok_or(abi::Errno::INVAL)?;
    // SAFETY: the mapping stays, only writing ends, which the caller has agreed to.
    unsafe { hypercall::update_va_mapping(page as u64, mfn << 12 | LINEAR & !pte::RW, UVMF_INVLPG) }
}

/// Makes sure that there is an L1 table for `address`; returns its address.
fn ensure_l1(address: u64, source: TableSource<'_>) -> Option<u64> {
    let mut table = ROOT.load(Ordering::Relaxed);
    for level in (2..=4).rev() {
        let entry = read(table, address, level);
        table = match child(entry) {
            Some(child) => child,
            None => {
                let new = source();
                if new.is_null() {
                    return None;
                }
                // SAFETY: the page is fresh and unused, and empty tables map nothing.
                unsafe { link(table, address, level, new) }.ok()?;
                new as u64
            }
        };
    }
    Some(table)
}

/// Makes `new` the table below `table` that covers `address`.
///
/// # Safety
/// `new` must be a page that nothing else uses, and its contents must be valid entries.
unsafe fn link(table: u64, address: u64, level: u32, new: *mut u8) -> Result<()> {
    // SAFETY: only the hypervisor writes to the page from here on.
    unsafe { protect_read_only(new) }?;
    let mfn = virt_to_mfn(new).ok_or(abi::Errno::INVAL)?;
    let ptr = entry_machine(table, address, level).ok_or(abi::Errno::INVAL)? | NORMAL_PT_UPDATE;
    // SAFETY: the entry was empty, so no mapping goes away; what appears is the caller's.
    unsafe { hypercall::mmu_update(&[MmuUpdate { ptr, val: mfn << 12 | TABLE }], abi::domid::SELF) }
}

/// Maps frames of the domain at their place in the linear area. `pfns` lie in one 2 MiB piece; table pages come from `source`, mapped.
///
/// # Safety
/// Nothing else may map or use these frames.
pub(super) unsafe fn map_linear(pfns: Range<u64>, source: TableSource<'_>) -> Option<()> {
    let root = ROOT.load(Ordering::Relaxed);
    let first = pfn_to_virt(pfns.start) as u64;
    if walk(root, first, 1).is_none() {
        // A fresh table is filled by plain writes and validated once, as it is linked.
        let table = source();
        // SAFETY: the page is fresh, mapped and ours.
        unsafe { table.write_bytes(0, PAGE_SIZE) };
        for pfn in pfns {
            let entry = pfn_to_mfn(pfn)? << 12 | LINEAR;
            // SAFETY: as above; the index is below 512.
            unsafe { table.cast::<u64>().add(pfn as usize % ENTRIES).write(entry) };
        }
        let upper = match walk(root, first, 2) {
            Some(upper) => upper,
            None => {
                let new = source();
                // SAFETY: the page is fresh, mapped and ours.
                unsafe { new.write_bytes(0, PAGE_SIZE) };
                let top = walk(root, first, 3)?;
                // SAFETY: the page is fresh, and an empty table maps nothing.
                unsafe { link(top, first, 3, new) }.ok()?;
                new as u64
            }
        };
        // SAFETY: the table maps frames that the caller vouches for.
        return unsafe { link(upper, first, 2, table) }.ok();
    }
    for pfn in pfns {
        // SAFETY: the caller vouches for the frame.
        unsafe { hypercall::update_va_mapping(pfn_to_virt(pfn) as u64, pfn_to_mfn(pfn)? << 12 | LINEAR, 0) }.ok()?;
    }
    Some(())
}

/// Takes the frame of a page of the linear area out of it, without a flush.
///
/// # Safety
/// Nothing may use the page.
pub(super) unsafe fn take_away(page: *mut u8) -> Result<()> {
    // SAFETY: the caller's obligation.
    unsafe { hypercall::update_va_mapping(page as u64, 0, 0) }
}

/// Puts a frame of ours in its place again.
///
/// # Safety
/// It is the frame that the p2m list has for the page, and it is mapped writable nowhere else where someone uses it.
pub(super) unsafe fn map_back(page: *mut u8, mfn: u64) -> Result<()> {
    // SAFETY: the caller's obligation.
    unsafe { hypercall::update_va_mapping(page as u64, mfn << 12 | LINEAR, 0) }
}

/// Maps machine frames of domain `domid` (ours: `domid::SELF`) from `address` on, with the entry bits `flags` (`pte::*`).
///
/// # Safety
/// The address range must be free or the caller's to change, and the frames must be sound to access so.
///
/// # Errors
/// -ENOMEM if a table is needed and no page is left; what the hypervisor returns otherwise. Entries before the failing one stay mapped.
pub unsafe fn map(address: u64, mfns: &[u64], domid: u16, flags: u64) -> Result<()> {
    update(address, mfns.len(), domid, |index| mfns[index] << 12 | flags)
}

/// Unmaps `count` pages from `address` on, and flushes them.
///
/// # Safety
/// Nothing may use them any more.
///
/// # Errors
/// What the hypervisor returns.
pub unsafe fn unmap(address: u64, count: usize) -> Result<()> {
    update(address, count, abi::domid::SELF, |_| 0)?;
    flush()
}

/// Drops this CPU's translations.
pub(super) fn flush() -> Result<()> {
    let flush = abi::mmu::MmuextOp { cmd: abi::mmu::EXT_TLB_FLUSH_LOCAL, ..Default::default() };
    // SAFETY: flushing is harmless.
    unsafe { hypercall::mmuext_op(&[flush]) }
}

/// Sets `count` L1 entries from `address` on, in batches.
fn update(address: u64, count: usize, domid: u16, value: impl Fn(usize) -> u64) -> Result<()> {
    const BATCH: usize = 64;
    let mut batch = [MmuUpdate::default(); BATCH];
    let mut done = 0;
    let mut cursor = Cursor::default();
    while done < count {
        let filled = BATCH.min(count - done);
        for (offset, request) in batch.iter_mut().take(filled).enumerate() {
            let at = address + ((done + offset) * PAGE_SIZE) as u64;
            let ptr = cursor.entry(at)? | NORMAL_PT_UPDATE;
            let val = value(done + offset);
            *request = MmuUpdate { ptr, val };
        }
        // SAFETY: `map` and `unmap` have passed the obligation to their callers.
        unsafe { hypercall::mmu_update(&batch[..filled], domid) }?;
        done += filled;
    }
    Ok(())
}

/// Makes sure that L1 tables exist for a range, so that a grant can be mapped there.
pub(super) fn prepare(address: u64, count: usize) -> Result<()> {
    let mut cursor = Cursor::default();
    for index in 0..count {
        cursor.entry(address + (index * PAGE_SIZE) as u64)?;
    }
    Ok(())
}

/// Finds L1 entries one after the other, and walks from the top only when a new table begins.
#[derive(Default)]
struct Cursor {
    /// Machine address of the current L1 table, and the address space it covers.
    table: Option<(u64, u64)>,
}

impl Cursor {
    /// The machine address of the L1 entry for `address`, whose table is created if there is none.
    fn entry(&mut self, address: u64) -> Result<u64> {
        let piece = address >> 21;
        let table = match self.table {
            Some((table, covered)) if covered == piece => table,
            _ => {
                let mut source = || alloc_page().map_or(core::ptr::null_mut(), |page| page.as_ptr());
                let table = ensure_l1(address, &mut source).ok_or(abi::Errno::NOMEM)?;
                let machine = virt_to_mfn(table as *const u8).ok_or(abi::Errno::INVAL)? << 12;
                self.table = Some((machine, piece));
                machine
            }
        };
        Ok(table + index(address, 1) as u64 * 8)
    }
}
