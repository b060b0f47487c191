//! Pins and base pointers.

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::scratch::{Page, ext};
use domus_test_kernels::{holds, same, tables};
use pv_guest_sdk::abi::mmu::{self, pte};

pub const CHECKS: &[Check] = &[
    ("garbage cannot be pinned", garbage),
    ("a second pin of a pinned table is refused", twice),
    ("unpinning what is not pinned is refused", not_pinned),
    ("a base pointer to garbage is refused", base),
    ("a table that is loaded cannot be unpinned into memory", loaded),
    ("frames that do not exist cannot be pinned or loaded", no_frame),
    ("caches are not the guest's to flush, or it is harmless", caches),
    ("flushes with bad arguments are harmless", flushes),
];

fn pins() -> [u32; 4] {
    [mmu::EXT_PIN_L1_TABLE, mmu::EXT_PIN_L2_TABLE, mmu::EXT_PIN_L3_TABLE, mmu::EXT_PIN_L4_TABLE]
}

fn garbage() -> Outcome {
    let page = Page::new();
    for index in 0..512usize {
        page.write(index, (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | pte::PRESENT);
    }
    same!(page.protect(), Ok(()));
    for pin in pins() {
        holds!(ext(pin, page.mfn, 0).is_err());
    }
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn twice() -> Outcome {
    let page = Page::read_only();
    same!(ext(mmu::EXT_PIN_L2_TABLE, page.mfn, 0), Ok(()));
    holds!(ext(mmu::EXT_PIN_L2_TABLE, page.mfn, 0).is_err());
    same!(ext(mmu::EXT_UNPIN_TABLE, page.mfn, 0), Ok(()));
    holds!(ext(mmu::EXT_UNPIN_TABLE, page.mfn, 0).is_err());
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn not_pinned() -> Outcome {
    holds!(ext(mmu::EXT_UNPIN_TABLE, Page::new().mfn, 0).is_err());
    Ok(())
}

fn base() -> Outcome {
    let page = Page::new();
    holds!(ext(mmu::EXT_NEW_BASEPTR, page.mfn, 0).is_err());
    page.write(0, 0xfff | 1 << 50);
    same!(page.protect(), Ok(()));
    holds!(ext(mmu::EXT_NEW_BASEPTR, page.mfn, 0).is_err());
    holds!(ext(mmu::EXT_NEW_USER_BASEPTR, page.mfn, 0).is_err());
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn loaded() -> Outcome {
    let second = tables::second_root();
    same!(ext(mmu::EXT_NEW_BASEPTR, second, 0), Ok(()));
    same!(ext(mmu::EXT_UNPIN_TABLE, second, 0), Ok(()));
    // Loaded, it is a table still.
    let pfn = pv_guest_sdk::memory::mfn_to_pfn(second);
    let page = Page { address: pv_guest_sdk::memory::pfn_to_virt(pfn.unwrap_or(0)) as u64, mfn: second };
    holds!(page.unprotect().is_err());
    same!(ext(mmu::EXT_NEW_BASEPTR, tables::kernel_root_mfn(), 0), Ok(()));
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn no_frame() -> Outcome {
    for mfn in [0x1_0000_0000u64, 1 << 40, u64::MAX, u64::MAX >> 12] {
        for cmd in pins().into_iter().chain([mmu::EXT_UNPIN_TABLE, mmu::EXT_NEW_BASEPTR, mmu::EXT_NEW_USER_BASEPTR, mmu::EXT_CLEAR_PAGE]) {
            holds!(ext(cmd, mfn, 0).is_err());
        }
        holds!(ext(mmu::EXT_COPY_PAGE, Page::new().mfn, mfn).is_err());
        holds!(ext(mmu::EXT_COPY_PAGE, mfn, Page::new().mfn).is_err());
    }
    Ok(())
}

fn caches() -> Outcome {
    let _ = ext(mmu::EXT_FLUSH_CACHE, 0, 0);
    let _ = ext(mmu::EXT_FLUSH_CACHE_GLOBAL, 0, 0);
    Ok(())
}

fn flushes() -> Outcome {
    for address in [0u64, 1 << 60, 0xffff_8300_0000_0000, u64::MAX] {
        same!(ext(mmu::EXT_INVLPG_LOCAL, address, 0), Ok(()));
        same!(ext(mmu::EXT_INVLPG_ALL, address, 0), Ok(()));
        holds!(ext(mmu::EXT_TLB_FLUSH_MULTI, 0, 0x1000 + address % 7).is_err());
        holds!(ext(mmu::EXT_INVLPG_MULTI, address, 1 << 60).is_err());
    }
    same!(ext(mmu::EXT_TLB_FLUSH_LOCAL, 0, 0), Ok(()));
    same!(ext(mmu::EXT_TLB_FLUSH_ALL, 0, 0), Ok(()));
    Ok(())
}
