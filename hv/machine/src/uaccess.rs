//! Copies between the hypervisor and the running guest: the only code that may fault in ring 0, and may only fault as listed here.
//!
//! A guest's address is checked for range first (never the hypervisor's slots, never non-canonical), then tried: if the access
//! faults, the exception table sends execution to the failure path. Nothing keeps a reference to guest memory.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use hv_core::machine::GuestFault;

/// First address behind the lower canonical half.
const LOW_END: u64 = 1 << 47;
/// First address behind the hypervisor's slots.
const HIGH_START: u64 = abi::layout::HYPERVISOR_VIRT_END;

/// CR4.SMAP is on: user pages are reachable only between STAC and CLAC.
pub static SMAP: AtomicBool = AtomicBool::new(false);

/// Tells that CR4.SMAP is on.
pub fn set_smap() {
    SMAP.store(true, Ordering::Relaxed);
}

/// True if the guest could own every byte of the range.
#[inline(always)]
fn permitted(address: u64, length: usize) -> bool {
    let length = length as u64;
    if address < LOW_END { address + length <= LOW_END } else { address >= HIGH_START && address.checked_add(length).is_some() }
}

/// Copies `length` bytes; true if all arrived.
///
/// # Safety
/// One side is a valid object of the hypervisor of `length` bytes, the other a range that [`permitted`] allows.
#[inline(always)]
unsafe fn copy(to: u64, from: u64, length: usize) -> bool {
    let failed: u64;
    let smap = SMAP.load(Ordering::Relaxed);
    if smap {
        // SAFETY: CR4.SMAP is on, so STAC exists.
        unsafe { asm!("stac", options(nostack)) };
    }
    // SAFETY: the caller's promise; a fault on the guest's side goes to label 4 through the exception table, with the count not zero.
    // The direction flag is clear in the hypervisor.
    unsafe {
        asm!(
            "2: rep movsq",
            "mov ecx, {tail:e}",
            "3: rep movsb",
            "xor {failed:e}, {failed:e}",
            "jmp 5f",
            "4: mov {failed:e}, 1",
            "5:",
            ".pushsection .ex_table, \"a\"",
            ".long 2b - ., 4b - .",
            ".long 3b - ., 4b - .",
            ".popsection",
            tail = in(reg) length & 7,
            failed = out(reg) failed,
            inout("rcx") length / 8 => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack),
        );
    }
    if smap {
        // SAFETY: as above.
        unsafe { asm!("clac", options(nostack)) };
    }
    failed == 0
}

/// Reads guest memory.
#[inline]
pub fn copy_from_guest(address: u64, into: &mut [u8]) -> Result<(), GuestFault> {
    if !permitted(address, into.len()) {
        return Err(GuestFault);
    }
    // SAFETY: `into` is valid for writes of its length; the other side was checked.
    match unsafe { copy(into.as_mut_ptr() as u64, address, into.len()) } {
        true => Ok(()),
        false => Err(GuestFault),
    }
}

/// Writes guest memory. CR0.WP is on, so a read-only page faults as it would for the guest.
#[inline]
pub fn copy_to_guest(address: u64, from: &[u8]) -> Result<(), GuestFault> {
    if !permitted(address, from.len()) {
        return Err(GuestFault);
    }
    // SAFETY: `from` is valid for reads of its length; the other side was checked.
    match unsafe { copy(address, from.as_ptr() as u64, from.len()) } {
        true => Ok(()),
        false => Err(GuestFault),
    }
}

/// A row of the exception table: distances from each field to an instruction that may fault and to where it goes on.
#[repr(C)]
struct Row {
    fault: i32,
    fixup: i32,
}

unsafe extern "C" {
    static __ex_table_start: Row;
    static __ex_table_end: Row;
}

/// Where execution goes on after a fault at `rip`, if that instruction may fault.
pub fn fixup(rip: u64) -> Option<u64> {
    let start = &raw const __ex_table_start;
    let count = (&raw const __ex_table_end as usize - start as usize) / size_of::<Row>();
    for index in 0..count {
        // SAFETY: the linker script makes the table from whole rows between the two symbols.
        let row = unsafe { &*start.add(index) };
        let at = |field: &i32| (field as *const i32 as u64).wrapping_add_signed(i64::from(*field));
        if at(&row.fault) == rip {
            return Some(at(&row.fixup));
        }
    }
    None
}
