//! The LDT: lazily mapped, checked as it is.

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::scratch::{PAGE, Page, address, ext, leaf, update};
use domus_test_kernels::{caught, holds, same, tables, trap, user, user_code};
use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::abi::hypercall::SET_SEGMENT_BASE;
use pv_guest_sdk::abi::mmu::{EXT_NEW_BASEPTR, EXT_SET_LDT, pte};
use pv_guest_sdk::abi::segment::BASE_GS_USER_SEL;
use pv_guest_sdk::{hypercall, time};

use crate::descriptor::{code64, data};

pub const CHECKS: &[Check] = &[
    ("an LDT at a bad address or of a bad size is refused", refused),
    ("segments of the LDT can be loaded", load),
    ("user mode runs in a code segment of the LDT", run),
    ("an LDT that is not mapped faults at its own address", absent),
    ("an LDT in a page that is mapped writable faults", writable),
    ("a page of the LDT in use is no longer writable", stays),
    ("the LDT goes with the address space and comes back", switched),
    ("a selector of the LDT survives a block", block),
    ("a selector of the LDT survives a block after a change of address space", block_after_switch),
    ("user mode's GS can be given a selector of the LDT", user_gs),
    ("a bad descriptor in the LDT is never used", bad),
];

fn set(address: u64, entries: u64) -> Result<(), Errno> {
    ext(EXT_SET_LDT, address, entries)
}

fn off() {
    let _ = caught!("mov ds, eax", in("eax") 0u32);
    let _ = set(0, 0);
}

/// Entry 1: data, entry 2: code.
fn table() -> Page {
    let page = Page::new();
    page.write(1, data(3));
    page.write(2, code64(3));
    let _ = page.protect();
    page
}

fn refused() -> Outcome {
    let page = table();
    same!(set(page.address + 8, 16), Err(Errno::INVAL));
    for (at, entries) in [
        (page.address, 8193u64),
        (page.address, 0xffff_ffff),
        (0xffff_8300_0000_0000, 16),
        (0xffff_8000_0000_0000, 16),
        (0xffff_87ff_ffff_f000, 8192),
        (1 << 60, 16),
    ] {
        same!((at, entries, set(at, entries).is_err()), (at, entries, true));
    }
    Ok(())
}

fn load() -> Outcome {
    let page = table();
    same!(set(page.address, 512), Ok(()));
    let loaded = caught!("mov ds, eax", in("eax") 0x0fu32);
    let bound = trap!("mov ds, eax", in("eax") 0x1007u32);
    off();
    holds!(loaded.is_none());
    same!(bound.kind(), (13, 0x1004));
    same!(page.unprotect(), Ok(()));
    Ok(())
}

user_code! {
    user_ud2: "ud2";
    user_read_gs: "mov eax, gs", "ret";
}

fn run() -> Outcome {
    user::set_up();
    let page = table();
    same!(set(page.address, 512), Ok(()));
    let mut frame = user::frame(user_ud2);
    frame.cs = 0x17;
    frame.ss = 0x0f;
    let trap = user::run(frame);
    let again = user::run(frame);
    off();
    same!((trap.kind(), trap.frame.cs & 0xffff, trap.frame.ss & 0xffff), ((6, 0), 0x17, 0x0f));
    same!((again.kind(), again.frame.cs & 0xffff), ((6, 0), 0x17));
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn absent() -> Outcome {
    let at = address();
    same!(set(at, 512), Ok(()));
    let trap = trap!("mov ds, eax", in("eax") 0x0fu32);
    off();
    same!((trap.frame.vector, trap.cr2), (14, at + 8));
    Ok(())
}

fn writable() -> Outcome {
    let page = Page::new();
    page.write(1, data(3));
    same!(set(page.address, 512), Ok(()));
    let trap = trap!("mov ds, eax", in("eax") 0x0fu32);
    off();
    same!((trap.frame.vector, trap.cr2), (14, page.address + 8));
    page.write(1, 0);
    Ok(())
}

fn stays() -> Outcome {
    let page = table();
    same!(set(page.address, 512), Ok(()));
    holds!(caught!("mov ds, eax", in("eax") 0x0fu32).is_none());
    holds!(page.unprotect().is_err());
    holds!(update(leaf(address()), page.mfn << 12 | PAGE).is_err());
    off();
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn switched() -> Outcome {
    let page = table();
    let second = tables::second_root();
    same!(set(page.address, 512), Ok(()));
    holds!(caught!("mov ds, eax", in("eax") 0x0fu32).is_none());
    same!(ext(EXT_NEW_BASEPTR, second, 0), Ok(()));
    let other = caught!("mov ds, eax", in("eax") 0x0fu32);
    same!(ext(EXT_NEW_BASEPTR, tables::kernel_root_mfn(), 0), Ok(()));
    let back = caught!("mov ds, eax", in("eax") 0x0fu32);
    off();
    holds!(other.is_none() && back.is_none());
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn data_selector() -> u64 {
    let selector: u64;
    // SAFETY: reads a selector.
    unsafe { core::arch::asm!("mov {0:e}, ds", out(reg) selector) };
    selector & 0xffff
}

fn block() -> Outcome {
    let page = table();
    same!(set(page.address, 512), Ok(()));
    let loaded = caught!("mov ds, eax", in("eax") 0x0fu32);
    time::sleep(2_000_000);
    let after = data_selector();
    off();
    holds!(loaded.is_none());
    same!(after, 0x0f);
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn block_after_switch() -> Outcome {
    let page = table();
    let second = tables::second_root();
    same!(set(page.address, 512), Ok(()));
    let loaded = caught!("mov ds, eax", in("eax") 0x0fu32);
    same!(ext(EXT_NEW_BASEPTR, second, 0), Ok(()));
    same!(ext(EXT_NEW_BASEPTR, tables::kernel_root_mfn(), 0), Ok(()));
    time::sleep(2_000_000);
    let after = data_selector();
    off();
    holds!(loaded.is_none());
    same!(after, 0x0f);
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn user_gs() -> Outcome {
    user::set_up();
    let page = table();
    same!(set(page.address, 512), Ok(()));
    let load = |selector: u64| {
        // SAFETY: this kernel does not use GS.
        unsafe { hypercall::call(SET_SEGMENT_BASE, [BASE_GS_USER_SEL.into(), selector, 0, 0, 0]) }
    };
    // One that cannot be loaded is null then, and no error.
    let results = [load(0x0f), load(0xffff), load(0x1234)];
    let (trap, value) = user::call(user_read_gs, |_| {});
    let good = load(0x0f);
    let (_, selector) = user::call(user_read_gs, |_| {});
    let _ = load(0);
    off();
    same!(results, [Ok(0); 3]);
    same!((trap.is_none(), value & 0xffff), (true, 0));
    same!((good, selector & 0xffff), (Ok(0), 0x0f));
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn bad() -> Outcome {
    for descriptor in [code64(0), 0x0000_8c00_e008_0000, 0x0000_8200_0000_ffff, 0x0000_ec00_e008_1000] {
        let page = Page::new();
        page.write(1, descriptor);
        same!(page.protect(), Ok(()));
        same!(set(page.address, 512), Ok(()));
        let jump = trap!("push 15", "push 0", ".byte 0x48, 0xff, 0x2c, 0x24");
        off();
        holds!((10..15).contains(&jump.frame.vector));
        let _ = page.remap(page.mfn << 12 | PAGE & !pte::RW);
    }
    Ok(())
}
