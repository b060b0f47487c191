//! Pseudo-physical, machine and virtual: the conversions, by the p2m list that the builder made and the hypervisor's M2P table.

use core::sync::atomic::{AtomicU64, Ordering};

use abi::layout::{MACH2PHYS_NR_ENTRIES, MACH2PHYS_VIRT_START, PAGE_SHIFT};

use crate::BootInfo;

/// Where frame 0 of the domain lies; the linker script has the same number.
pub const LINEAR_BASE: u64 = 0xffff_ffff_8000_0000;

/// How many frames can be used at most: up to 1.75 GiB.
pub const LINEAR_FRAMES: u64 = 0x7000_0000 >> PAGE_SHIFT;

static P2M: AtomicU64 = AtomicU64::new(0);
static FRAMES: AtomicU64 = AtomicU64::new(0);

pub(super) fn init(info: &BootInfo) {
    P2M.store(info.start_info().mfn_list, Ordering::Relaxed);
    FRAMES.store(info.nr_pages(), Ordering::Relaxed);
}

fn p2m_entry(pfn: u64) -> Option<*mut u64> {
    (pfn < FRAMES.load(Ordering::Relaxed)).then(|| (P2M.load(Ordering::Relaxed) + pfn * 8) as *mut u64)
}

/// The machine frame behind a frame of ours; `None` if there is no such frame.
pub fn pfn_to_mfn(pfn: u64) -> Option<u64> {
    // SAFETY: the list has an entry for each frame (checked) and stays mapped.
    p2m_entry(pfn).map(|entry| unsafe { entry.read_volatile() })
}

/// Records that frame `pfn` is now machine frame `mfn`, in the p2m list only.
///
/// # Safety
/// It must be true.
pub unsafe fn set_mfn(pfn: u64, mfn: u64) {
    if let Some(entry) = p2m_entry(pfn) {
        // SAFETY: the list has an entry for the frame (checked); it is writable memory of the domain.
        unsafe { entry.write_volatile(mfn) }
    }
}

/// The frame of ours that a machine frame is; `None` for one that is not ours.
pub fn mfn_to_pfn(mfn: u64) -> Option<u64> {
    if mfn >= MACH2PHYS_NR_ENTRIES {
        return None;
    }
    // SAFETY: the hypervisor maps the table for the guest to read, and the index is within it. Holes in it are only behind the highest
    // machine frame, and callers pass frames that the hypervisor named.
    let pfn = unsafe { ((MACH2PHYS_VIRT_START + mfn * 8) as *const u64).read_volatile() };
    (pfn_to_mfn(pfn) == Some(mfn)).then_some(pfn)
}

/// Where a frame lies. The builder maps the first ones, [`super::alloc_page`] the rest as they are needed.
pub const fn pfn_to_virt(pfn: u64) -> *mut u8 {
    (LINEAR_BASE + (pfn << PAGE_SHIFT)) as *mut u8
}

/// The frame that lies at an address of the linear area.
pub fn virt_to_pfn<T: ?Sized>(address: *const T) -> Option<u64> {
    let offset = (address.addr() as u64).checked_sub(LINEAR_BASE)?;
    Some(offset >> PAGE_SHIFT).filter(|&pfn| pfn < LINEAR_FRAMES)
}

/// The machine frame that lies at an address of the linear area.
pub fn virt_to_mfn<T: ?Sized>(address: *const T) -> Option<u64> {
    pfn_to_mfn(virt_to_pfn(address)?)
}
