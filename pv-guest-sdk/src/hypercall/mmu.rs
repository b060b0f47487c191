//! The calls that change page tables.

use abi::hypercall as number;
use abi::layout::PAGE_SIZE;
use abi::mmu::{MmuUpdate, MmuextOp};

use super::{Result, call};

/// `mmu_update` of entries and frames of `domid`; returns how many were done if all were.
///
/// # Safety
/// The new mappings must not break what live references rely on.
///
/// # Errors
/// Of the first request that failed.
pub unsafe fn mmu_update(requests: &[MmuUpdate], domid: u16) -> Result<()> {
    let mut done = 0u32;
    // SAFETY: the caller's obligation; pointer and count belong together.
    unsafe { call(number::MMU_UPDATE, [requests.as_ptr() as u64, requests.len() as u64, (&raw mut done) as u64, domid.into(), 0]) }?;
    Ok(())
}

/// `mmuext_op` on frames of the calling domain.
///
/// # Safety
/// As for [`mmu_update`].
///
/// # Errors
/// Of the first request that failed.
pub unsafe fn mmuext_op(requests: &[MmuextOp]) -> Result<()> {
    // SAFETY: the caller's obligation; pointer and count belong together.
    unsafe { mmuext_op_for(requests, abi::domid::SELF) }
}

/// `mmuext_op` on frames of `domid`, for a privileged domain.
///
/// # Safety
/// As for [`mmu_update`].
///
/// # Errors
/// Of the first request that failed.
pub unsafe fn mmuext_op_for(requests: &[MmuextOp], domid: u16) -> Result<()> {
    let mut done = 0u32;
    // SAFETY: the caller's obligation; pointer and count belong together.
    unsafe { call(number::MMUEXT_OP, [requests.as_ptr() as u64, requests.len() as u64, (&raw mut done) as u64, domid.into(), 0]) }?;
    Ok(())
}

/// `update_va_mapping`: sets the L1 entry that maps `address`; `flags` are `UVMF_*`.
///
/// # Safety
/// As for [`mmu_update`].
///
/// # Errors
/// -EINVAL if no L1 table covers the address or the entry is not valid.
pub unsafe fn update_va_mapping(address: u64, entry: u64, flags: u64) -> Result<()> {
    debug_assert!((address as usize).is_multiple_of(PAGE_SIZE));
    // SAFETY: the caller's obligation.
    unsafe { call(number::UPDATE_VA_MAPPING, [address, entry, flags, 0, 0]) }?;
    Ok(())
}
