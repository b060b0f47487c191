//! A frame is never writable and a table at once.

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::scratch::{PAGE, Page, TABLE, address, ext, leaf, path, update, word};
use domus_test_kernels::{holds, same, tables, trap};
use pv_guest_sdk::abi::mmu::{self, pte};

pub const CHECKS: &[Check] = &[
    ("a page table cannot be mapped writable", map_table),
    ("a page that is mapped writable cannot become a table", become_table),
    ("a table cannot be made writable by the fast path", fast_path),
    ("a table with a bad entry is refused as a whole", bad_entry),
    ("a table of one level is not one of another", wrong_level),
    ("linear tables: writable ones are refused", linear),
    ("a table in use keeps its type until it is let go", lifetime),
    ("a table cannot be cleared, copied onto or written by mmu_update as memory", other_writes),
    ("writing to a table faults", write_faults),
];

/// An empty L1 table, linked where nothing else is mapped; and the L2 entry that links it.
fn linked() -> (Page, u64, u64) {
    let table = Page::read_only();
    // The next 2 MiB after an address of ours: nobody has a table there.
    let at = (address() | 0x1f_ffff) + 1 + 0x4000_0000 * 3 / 4 / 0x20_0000 * 0x20_0000 % 0x2000_0000;
    let [.., l2, _] = path(at);
    (table, l2, at)
}

fn map_table() -> Outcome {
    for table in path(address()).map(|slot| slot >> 12) {
        let slot = leaf(address());
        holds!(update(slot, table << 12 | PAGE).is_err());
        same!(word(slot), 0);
        // Reading is allowed.
        same!(update(slot, table << 12 | PAGE & !pte::RW), Ok(()));
        // RW alone must not slip in as a harmless bit.
        holds!(update(slot, table << 12 | PAGE).is_err());
        same!(word(slot) & pte::RW, 0);
        same!(update(slot, 0), Ok(()));
    }
    Ok(())
}

fn become_table() -> Outcome {
    let page = Page::new();
    for level in [mmu::EXT_PIN_L1_TABLE, mmu::EXT_PIN_L2_TABLE, mmu::EXT_PIN_L3_TABLE, mmu::EXT_PIN_L4_TABLE] {
        holds!(ext(level, page.mfn, 0).is_err());
    }
    let (_, l2, _) = linked();
    holds!(update(l2, page.mfn << 12 | TABLE).is_err());
    page.write(1, 7);
    same!(page.read(1), 7);
    Ok(())
}

fn fast_path() -> Outcome {
    let table = Page::read_only();
    same!(ext(mmu::EXT_PIN_L1_TABLE, table.mfn, 0), Ok(()));
    holds!(table.unprotect().is_err());
    same!(ext(mmu::EXT_UNPIN_TABLE, table.mfn, 0), Ok(()));
    same!(table.unprotect(), Ok(()));
    Ok(())
}

fn bad_entry() -> Outcome {
    let root = tables::kernel_root_mfn();
    for bad in [root << 12 | PAGE, PAGE | pte::ADDR_MASK, 1 << 45 | PAGE] {
        let table = Page::new();
        let harmless = Page::new();
        table.write(0, harmless.mfn << 12 | PAGE);
        table.write(511, bad);
        same!(table.protect(), Ok(()));
        holds!(ext(mmu::EXT_PIN_L1_TABLE, table.mfn, 0).is_err());
        // Nothing is left behind: both are plain pages again.
        same!(table.unprotect(), Ok(()));
        same!(harmless.protect(), Ok(()));
        same!(ext(mmu::EXT_PIN_L1_TABLE, harmless.mfn, 0), Ok(()));
        same!(ext(mmu::EXT_UNPIN_TABLE, harmless.mfn, 0), Ok(()));
    }
    Ok(())
}

fn wrong_level() -> Outcome {
    let table = Page::read_only();
    same!(ext(mmu::EXT_PIN_L1_TABLE, table.mfn, 0), Ok(()));
    for level in [mmu::EXT_PIN_L2_TABLE, mmu::EXT_PIN_L3_TABLE, mmu::EXT_PIN_L4_TABLE] {
        holds!(ext(level, table.mfn, 0).is_err());
    }
    holds!(ext(mmu::EXT_NEW_BASEPTR, table.mfn, 0).is_err());
    holds!(ext(mmu::EXT_NEW_USER_BASEPTR, table.mfn, 0).is_err());
    let [l4, l3, ..] = path(address());
    for slot in [l4 ^ 8, l3 ^ 8] {
        if word(slot) == 0 {
            holds!(update(slot, table.mfn << 12 | TABLE).is_err());
        }
    }
    same!(ext(mmu::EXT_UNPIN_TABLE, table.mfn, 0), Ok(()));
    Ok(())
}

fn linear() -> Outcome {
    let root = tables::kernel_root_mfn();
    let free = (0..256u64).find(|index| word(root << 12 | index << 3) == 0).unwrap_or(255);
    holds!(update(root << 12 | free << 3, root << 12 | TABLE).is_err());
    same!(word(root << 12 | free << 3), 0);
    Ok(())
}

fn lifetime() -> Outcome {
    let table = Page::read_only();
    let (_, l2, at) = linked();
    same!(word(l2), 0, "a free slot");
    same!(update(l2, table.mfn << 12 | TABLE), Ok(()));
    holds!(table.unprotect().is_err());
    same!(update(leaf(at), Page::new().mfn << 12 | PAGE), Ok(()));
    same!(update(l2, 0), Ok(()));
    same!(table.unprotect(), Ok(()));
    Ok(())
}

fn other_writes() -> Outcome {
    let table = Page::read_only();
    same!(ext(mmu::EXT_PIN_L1_TABLE, table.mfn, 0), Ok(()));
    let source = Page::new();
    source.write(0, tables::kernel_root_mfn() << 12 | PAGE);
    holds!(ext(mmu::EXT_CLEAR_PAGE, table.mfn, 0).is_err());
    holds!(ext(mmu::EXT_COPY_PAGE, table.mfn, source.mfn).is_err());
    same!(table.read(0), 0);
    same!(ext(mmu::EXT_UNPIN_TABLE, table.mfn, 0), Ok(()));
    // Plain pages can be.
    same!(ext(mmu::EXT_COPY_PAGE, Page::new().mfn, source.mfn), Ok(()));
    same!(ext(mmu::EXT_CLEAR_PAGE, source.mfn, 0), Ok(()));
    same!(source.read(0), 0);
    Ok(())
}

fn write_faults() -> Outcome {
    let root = tables::kernel_root() as u64;
    let trap = trap!("mov qword ptr [rdi], 0", in("rdi") root);
    same!((trap.kind(), trap.cr2), ((14, 3), root));
    Ok(())
}
