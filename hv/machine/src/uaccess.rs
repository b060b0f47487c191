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
    let mut failed = 0u64;
    user_access(|| {
        // SAFETY: the caller's promise; a fault on the guest's side goes to label 4 through the exception table. The direction flag is
        // clear in the hypervisor.
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
                failed = inout(reg) failed,
                inout("rcx") length / 8 => _,
                inout("rdi") to => _,
                inout("rsi") from => _,
                options(nostack),
            );
        }
    });
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

/// Reads words one by one: shorter than a string copy for the few that a frame has.
#[inline(always)]
pub fn read_words<const N: usize>(address: u64) -> Result<[u64; N], GuestFault> {
    if !permitted(address, N * 8) {
        return Err(GuestFault);
    }
    let mut failed = 0u32;
    let words = user_access(|| {
        core::array::from_fn(|index| {
            let word: u64;
            // SAFETY: the range was checked; a fault goes on behind the load, with the failure noted.
            unsafe {
                asm!(
                    "2: mov {word}, [{address}]",
                    "3:",
                    ".pushsection .text.fixup, \"ax\"",
                    "4: mov {failed:e}, 1",
                    "jmp 3b",
                    ".popsection",
                    ".pushsection .ex_table, \"a\"",
                    ".long 2b - ., 4b - .",
                    ".popsection",
                    word = out(reg) word,
                    address = in(reg) address.wrapping_add(index as u64 * 8),
                    failed = inout(reg) failed,
                    options(nostack, readonly, preserves_flags),
                );
            }
            word
        })
    });
    if failed == 0 { Ok(words) } else { Err(GuestFault) }
}

/// Writes words one by one.
#[inline(always)]
pub fn write_words<const N: usize>(address: u64, words: [u64; N]) -> Result<(), GuestFault> {
    if !permitted(address, N * 8) {
        return Err(GuestFault);
    }
    let mut failed = 0u32;
    user_access(|| {
        for (index, word) in words.into_iter().enumerate() {
            // SAFETY: as in `read_words`; what is written is the guest's own memory.
            unsafe {
                asm!(
                    "2: mov [{address}], {word}",
                    "3:",
                    ".pushsection .text.fixup, \"ax\"",
                    "4: mov {failed:e}, 1",
                    "jmp 3b",
                    ".popsection",
                    ".pushsection .ex_table, \"a\"",
                    ".long 2b - ., 4b - .",
                    ".popsection",
                    word = in(reg) word,
                    address = in(reg) address.wrapping_add(index as u64 * 8),
                    failed = inout(reg) failed,
                    options(nostack, preserves_flags),
                );
            }
        }
    });
    if failed == 0 { Ok(()) } else { Err(GuestFault) }
}

/// Does `access` with user pages reachable.
#[inline(always)]
fn user_access<R>(access: impl FnOnce() -> R) -> R {
    let smap = SMAP.load(Ordering::Relaxed);
    if smap {
        // SAFETY: CR4.SMAP is on, so STAC exists.
        unsafe { asm!("stac", options(nostack)) };
    }
    let result = access();
    if smap {
        // SAFETY: as above.
        unsafe { asm!("clac", options(nostack)) };
    }
    result
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
