//! The guest's virtual address space: how large the initial mapping must be, and whether what is to be mapped lies where a guest may map.

use abi::layout::{HYPERVISOR_VIRT_END, HYPERVISOR_VIRT_START};

use crate::error::ImageError;
use crate::pages::{PAGE, Pages};
use crate::tables::Tables;

/// The initial mapping ends on a multiple of this many bytes.
const END_ALIGNMENT: u64 = 4 << 20;
/// Pages behind the last element: 512 KiB.
const PAD_PAGES: u64 = 128;
/// The upper half of the address space begins with the hypervisor's part; a guest has what lies above it, and this much from 0 on.
const LOWER_END: u64 = HYPERVISOR_VIRT_START.wrapping_neg();

/// The pages to map at `v_start`, when `packed` of them are taken before the page tables. The tables map themselves, so that each turn may
/// need more of them; a turn adds at most one table for every 512 pages the last one added, so this ends after a few.
pub(crate) fn initial_mapping(v_start: u64, packed: u64) -> Result<Pages, ImageError> {
    let mut tables = 1;
    loop {
        let pages = packed.saturating_add(tables).saturating_add(1 + PAD_PAGES);
        let bytes = check_range(v_start, pages)?;
        let end = (v_start + bytes).checked_next_multiple_of(END_ALIGNMENT);
        let end = end.ok_or(ImageError::AddressSpace { start: v_start, bytes })?;
        let mapped = Pages { first: 0, count: (end - v_start) / PAGE };
        check_range(v_start, mapped.count)?;
        let needed = 1 + Tables::count_below_root(v_start, mapped);
        if needed <= tables {
            return Ok(mapped);
        }
        tables = needed;
    }
}

/// A list at `va`, which is not in the initial mapping, must end before that begins, or lie behind it.
pub(crate) fn check_list(va: u64, pages: u64, v_start: u64) -> Result<(), ImageError> {
    let bytes = check_range(va, pages)?;
    if va < v_start && bytes > v_start - va {
        return Err(ImageError::P2mOverlaps(va));
    }
    Ok(())
}

/// Checks that a guest may map `pages` pages at `start`; returns their size in bytes. Their end, exclusive, does not wrap.
fn check_range(start: u64, pages: u64) -> Result<u64, ImageError> {
    let bytes = pages.saturating_mul(PAGE);
    let refused = ImageError::AddressSpace { start, bytes };
    let end = start.checked_add(bytes).ok_or(refused)?;
    if end <= LOWER_END || start >= HYPERVISOR_VIRT_END { Ok(bytes) } else { Err(refused) }
}
