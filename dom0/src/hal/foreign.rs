//! What a toolstack asks of the hypervisor for another domain by Xen's own calls: memory, pins, grants.

use alloc::vec::Vec;

use abi::Errno;
use abi::grant::{self, EntryV1, GTF_PERMIT_ACCESS, RESERVED_CONSOLE, RESERVED_XENSTORE, SetupTable};
use abi::memory::{OP_POPULATE_PHYSMAP, Reservation};
use abi::mmu::{EXT_PIN_L4_TABLE, MmuextOp};
use embassy_futures::yield_now;
use pv_guest_sdk::hypercall;
use pv_guest_sdk::{grants, memory};

/// The largest extent that is asked for: 2 MiB.
const MOST_ORDER: u32 = 9;
/// Extents in a call.
const BATCH: usize = 16;

/// Gives a domain without memory `pages` zeroed pages, and tells their frames by PFN. The hypervisor enters them into the machine-to-physical
/// table as it goes. Large extents first: a call and an entry of the list for 512 pages.
///
/// # Errors
/// -ENOMEM if the machine or the domain's limit has no more; what was given goes with the domain.
pub async fn populate(domid: u16, pages: usize) -> Result<Vec<u64>, Errno> {
    let mut frames = Vec::new();
    frames.try_reserve_exact(pages).map_err(|_| Errno::NOMEM)?;
    let mut order = MOST_ORDER;
    while frames.len() < pages {
        let left = pages - frames.len();
        order = order.min(left.ilog2());
        let count = (left >> order).min(BATCH);
        let given = populate_batch(domid, &mut frames, order, count)?;
        if given < count {
            // Memory is in pieces, or at its end.
            order = order.checked_sub(1).ok_or(Errno::NOMEM)?;
        }
        yield_now().await;
    }
    Ok(frames)
}

fn populate_batch(domid: u16, frames: &mut Vec<u64>, order: u32, count: usize) -> Result<usize, Errno> {
    let next = frames.len() as u64;
    let mut extents: [u64; BATCH] = core::array::from_fn(|index| next + ((index as u64) << order));
    let mut request = Reservation {
        extent_start: extents.as_mut_ptr() as u64,
        nr_extents: count.min(BATCH) as u64,
        extent_order: order,
        domid,
        ..Reservation::default()
    };
    // SAFETY: the structure of the operation; its list is as long as it says. No memory of ours is given away.
    let given = unsafe { hypercall::memory_op(OP_POPULATE_PHYSMAP, &mut request) }? as usize;
    for &mfn in extents.iter().take(given) {
        frames.extend(mfn..mfn + (1 << order));
    }
    Ok(given)
}

/// Has a page of a domain validated as its top-level table.
///
/// # Errors
/// -EINVAL if it is no valid table.
pub fn pin_top_table(domid: u16, mfn: u64) -> Result<(), Errno> {
    let pin = MmuextOp { cmd: EXT_PIN_L4_TABLE, arg1: mfn, ..MmuextOp::default() };
    // SAFETY: the tables are another domain's; none of our mappings change.
    unsafe { hypercall::mmuext_op_for(&[pin], domid) }
}

/// Enters the grants of the two rings into a new domain's table, for Dom0 to map.
///
/// # Errors
/// What the hypervisor returns.
pub fn seed_grants(domid: u16, console: u64, store: u64) -> Result<(), Errno> {
    let mut frame = 0u64;
    let mut setup = SetupTable { dom: domid, nr_frames: 1, frame_list: (&raw mut frame) as u64, ..SetupTable::default() };
    // SAFETY: the structure of the operation; its list has room for one frame.
    unsafe { hypercall::grant_table_op(grant::OP_SETUP_TABLE, core::slice::from_mut(&mut setup)) }?;
    if setup.status != grant::GNTST_OKAY {
        return Err(grants::status_errno(setup.status));
    }
    // SAFETY: the domain does not run yet, so the frame is ours alone to write.
    let window = unsafe { memory::map_foreign(domid, &[frame], true) }?;
    let table: *mut EntryV1 = window.as_ptr().cast();
    for (reference, mfn) in [(RESERVED_CONSOLE, console), (RESERVED_XENSTORE, store)] {
        let frame = u32::try_from(mfn).map_err(|_| Errno::INVAL)?;
        let entry = EntryV1 { flags: GTF_PERMIT_ACCESS, domid: 0, frame };
        // SAFETY: the reserved references are below 8, and the page has 512 entries.
        unsafe { table.add(reference as usize).write_volatile(entry) };
    }
    Ok(())
}
