//! Single entries.

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::scratch::{PAGE, Page, TABLE, address, leaf, path, update, word};
use domus_test_kernels::{fail, holds, same, tables};
use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::abi::mmu::{self, MmuUpdate, UVMF_INVLPG, pte};
use pv_guest_sdk::hypercall;

pub const CHECKS: &[Check] = &[
    ("superpages are refused at every level", superpages),
    ("reserved address bits are refused", reserved_bits),
    ("cache attributes are refused on memory", attributes),
    ("an entry for a frame that does not exist is refused", no_frame),
    ("the hypervisor's slots cannot be written", slots),
    ("a misaligned entry address is refused", misaligned),
    ("an entry in a frame that is no table is a plain write, or refused", no_table),
    ("unknown commands are refused", unknown),
    ("a batch stops at the first bad request and says how far it came", partial),
    ("G and U are the hypervisor's to decide", adjusted),
    ("accessed and dirty bits are kept on request", preserve),
    ("a bad flush mask is a fault", bad_mask),
    ("update_va_mapping outside the guest's range is refused", bad_address),
];

fn refused(what: &str, slot: u64, value: u64) -> Outcome {
    let before = word(slot);
    if update(slot, value).is_ok() {
        fail!("{what}: {value:#x} is accepted");
    }
    same!(word(slot), before);
    Ok(())
}

fn superpages() -> Outcome {
    let page = Page::new();
    let at = address();
    let [l4, l3, l2, _] = path(at);
    for (level, slot) in [(4, l4), (3, l3), (2, l2)] {
        let next = slot & !0xfff | (slot + 8) & 0xfff;
        for slot in [slot, next] {
            refused("PSE", slot, page.mfn << 12 & !0x1f_ffff | TABLE | pte::PSE)?;
            refused("PSE, read-only", slot, TABLE & !pte::RW | pte::PSE)?;
            let _ = level;
        }
    }
    Ok(())
}

fn reserved_bits() -> Outcome {
    let page = Page::new();
    let slot = leaf(address());
    for bit in 40..52 {
        refused("an address bit", slot, page.mfn << 12 | PAGE | 1 << bit)?;
    }
    Ok(())
}

fn attributes() -> Outcome {
    let page = Page::new();
    let slot = leaf(address());
    let [_, _, l2, _] = path(address());
    for bits in [pte::PCD, pte::PWT] {
        refused("attributes of a table", l2, word(l2) | bits)?;
    }
    // What a leaf may say of caching is between the guest and its devices: refused, or taken and harmless.
    for bits in [pte::PCD, pte::PWT, pte::PAT] {
        let _ = update(slot, page.mfn << 12 | PAGE | bits);
        same!(update(slot, 0), Ok(()));
    }
    Ok(())
}

fn no_frame() -> Outcome {
    let slot = leaf(address());
    for mfn in [(1u64 << 40) - 1, 1 << 35, 0x1_0000_0000] {
        refused("a frame beyond memory", slot, mfn << 12 & pte::ADDR_MASK | PAGE)?;
    }
    Ok(())
}

fn slots() -> Outcome {
    let root = tables::kernel_root_mfn();
    let page = Page::read_only();
    for index in 256..272u64 {
        let slot = root << 12 | index << 3;
        for value in [0, page.mfn << 12 | TABLE, root << 12 | TABLE & !pte::RW] {
            refused("a slot of the hypervisor", slot, value)?;
        }
    }
    Ok(())
}

fn misaligned() -> Outcome {
    let slot = leaf(address());
    for bits in 4..8 {
        same!((bits, update(slot | bits, 0)), (bits, Err(Errno::NOSYS)));
    }
    Ok(())
}

fn no_table() -> Outcome {
    let page = Page::new();
    // Xen takes this for a write to memory of one's own.
    if update(page.slot(3), 0x1234).is_ok() {
        same!(page.read(3), 0x1234);
    }
    let table = Page::new();
    holds!(update(table.slot(0), table.mfn << 12 | PAGE).is_ok() || table.read(0) == 0);
    Ok(())
}

fn unknown() -> Outcome {
    for count in [0u64, 1] {
        let mut done = 7u32;
        let request = MmuUpdate::default();
        // SAFETY: no such domain.
        let result = unsafe {
            hypercall::call(pv_guest_sdk::abi::hypercall::MMU_UPDATE, [&raw const request as u64, count, &raw mut done as u64, 0x7abc, 0])
        };
        holds!(result.is_err());
    }
    for cmd in [14u32, 21, 99, u32::MAX] {
        same!((cmd, domus_test_kernels::scratch::ext(cmd, 0, 0)), (cmd, Err(Errno::NOSYS)));
    }
    for cmd in [mmu::EXT_MARK_SUPER, mmu::EXT_UNMARK_SUPER] {
        holds!(domus_test_kernels::scratch::ext(cmd, 0, 0).is_err());
    }
    Ok(())
}

fn partial() -> Outcome {
    let page = Page::new();
    let good = MmuUpdate { ptr: leaf(address()), val: page.mfn << 12 | PAGE };
    let bad = MmuUpdate { ptr: good.ptr, val: PAGE | pte::ADDR_MASK };
    let never = MmuUpdate { ptr: leaf(address()), val: page.mfn << 12 | PAGE };
    let batch = [good, good, bad, never];
    let mut done = 0u32;
    // SAFETY: nothing relies on these entries.
    let result = unsafe {
        hypercall::call(
            pv_guest_sdk::abi::hypercall::MMU_UPDATE,
            [batch.as_ptr() as u64, 4, &raw mut done as u64, pv_guest_sdk::abi::domid::SELF.into(), 0],
        )
    };
    holds!(result.is_err());
    same!(done, 2);
    same!((word(good.ptr) & pte::PRESENT, word(never.ptr)), (1, 0));
    Ok(())
}

fn adjusted() -> Outcome {
    let page = Page::new();
    let slot = leaf(address());
    same!(update(slot, page.mfn << 12 | PAGE & !pte::USER | pte::GLOBAL), Ok(()));
    let stored = word(slot);
    same!(stored & (pte::USER | pte::PRESENT | pte::RW), pte::USER | pte::PRESENT | pte::RW);
    same!(stored & pte::ADDR_MASK, page.mfn << 12);
    Ok(())
}

fn preserve() -> Outcome {
    let page = Page::new();
    let at = address();
    let slot = leaf(at);
    let clean = page.mfn << 12 | PAGE & !(pte::ACCESSED | pte::DIRTY);
    same!(update(slot, clean), Ok(()));
    same!(word(slot) & (pte::ACCESSED | pte::DIRTY), 0);
    // SAFETY: the page is mapped there.
    unsafe { (at as *mut u64).write_volatile(1) };
    same!(word(slot) & (pte::ACCESSED | pte::DIRTY), pte::ACCESSED | pte::DIRTY);
    same!(update(slot | mmu::PT_UPDATE_PRESERVE_AD, clean | 1 << 9), Ok(()));
    same!(word(slot) & (pte::ACCESSED | pte::DIRTY | 1 << 9), pte::ACCESSED | pte::DIRTY | 1 << 9);
    same!(update(slot, clean), Ok(()));
    same!(word(slot) & (pte::ACCESSED | pte::DIRTY), 0);
    Ok(())
}

fn bad_mask() -> Outcome {
    let at = address();
    for mask in [0x1000u64, 1 << 60, 0xffff_8300_0000_0000] {
        // SAFETY: nothing is mapped there, before or after.
        let result = unsafe { hypercall::call(pv_guest_sdk::abi::hypercall::UPDATE_VA_MAPPING, [at, 0, mask | UVMF_INVLPG, 0, 0]) };
        same!((mask, result), (mask, Err(Errno::FAULT)));
    }
    Ok(())
}

fn bad_address() -> Outcome {
    let page = Page::new();
    for at in [0xffff_8000_0000_0000u64, 0xffff_8300_0000_0000, 0xffff_87ff_ffff_f000, 1 << 60, 1 << 47] {
        // SAFETY: refused.
        let result = unsafe { hypercall::update_va_mapping(at, page.mfn << 12 | PAGE, 0) };
        holds!(result.is_err());
    }
    Ok(())
}
