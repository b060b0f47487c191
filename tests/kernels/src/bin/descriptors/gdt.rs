//! `set_gdt` and `update_descriptor`.

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::scratch::{Page, address, ext, leaf, update};
use domus_test_kernels::{caught, holds, same, trap, user, user_code};
use pv_guest_sdk::abi::hypercall::{SET_GDT, UPDATE_DESCRIPTOR};
use pv_guest_sdk::abi::mmu::EXT_PIN_L1_TABLE;
use pv_guest_sdk::hypercall;

use crate::descriptor::{code64, data, system};

pub const CHECKS: &[Check] = &[
    ("a GDT of our own can be set, and its segments used", own_table),
    ("a frame that is mapped writable cannot be a GDT", writable),
    ("a GDT cannot be mapped writable, nor become a page table", stays),
    ("more entries than are the guest's are refused", too_many),
    ("frames that are not ours are refused", foreign),
    ("descriptors of ring 0 are refused, or give ring 3", ring0),
    ("gates and task segments are refused, or harmless", gates),
    ("update_descriptor checks as set_gdt does", updates),
    ("update_descriptor elsewhere is refused, or a plain write", elsewhere),
    ("far jumps through what is left stay in ring 3", far_jumps),
];

fn set(frames: &[u64], entries: u64) -> hypercall::Result {
    // SAFETY: no segment register of this kernel holds a selector of its own GDT.
    unsafe { hypercall::call(SET_GDT, [frames.as_ptr() as u64, entries, 0, 0, 0]) }
}

fn update_descriptor(machine: u64, descriptor: u64) -> hypercall::Result {
    // SAFETY: the checks own the frames that they name.
    unsafe { hypercall::call(UPDATE_DESCRIPTOR, [machine, descriptor, 0, 0, 0]) }
}

/// A GDT with these descriptors from entry 1 on, set.
fn installed(descriptors: &[u64]) -> hypercall::Result<Page> {
    let page = Page::new();
    for (index, &descriptor) in descriptors.iter().enumerate() {
        page.write(index + 1, descriptor);
    }
    page.protect()?;
    set(&[page.mfn], 512)?;
    Ok(page)
}

user_code! {
    user_ud2: "ud2";
}

fn own_table() -> Outcome {
    let page = match installed(&[code64(3), data(3)]) {
        Ok(page) => page,
        Err(error) => domus_test_kernels::fail!("{error}"),
    };
    user::set_up();
    let mut frame = user::frame(user_ud2);
    (frame.cs, frame.ss) = (0x0b, 0x13);
    let trap = user::run(frame);
    same!((trap.kind(), trap.frame.cs & 0xffff, trap.frame.ss & 0xffff), ((6, 0), 0x0b, 0x13));
    holds!(caught!("mov ds, eax", "xor eax, eax", "mov ds, eax", inout("eax") 0x13u32 => _).is_none());
    same!(set(&[], 0), Ok(0));
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn writable() -> Outcome {
    let page = Page::new();
    holds!(set(&[page.mfn], 512).is_err());
    page.write(1, 5);
    Ok(())
}

fn stays() -> Outcome {
    let page = match installed(&[data(3)]) {
        Ok(page) => page,
        Err(error) => domus_test_kernels::fail!("{error}"),
    };
    holds!(page.unprotect().is_err());
    holds!(update(leaf(address()), page.mfn << 12 | 0x63).is_err());
    holds!(ext(EXT_PIN_L1_TABLE, page.mfn, 0).is_err());
    let trap = trap!("mov qword ptr [rdi], 0", in("rdi") page.address + 8);
    same!(trap.kind(), (14, 3));
    same!(set(&[], 0), Ok(0));
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn too_many() -> Outcome {
    let page = Page::read_only();
    let frames = [page.mfn; 16];
    for entries in [7169u64, 8192, 0xffff_ffff] {
        holds!(set(&frames, entries).is_err());
    }
    same!(set(&frames[..14], 7168), Ok(0));
    same!(set(&[], 0), Ok(0));
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn foreign() -> Outcome {
    let page = Page::read_only();
    for mfn in [0u64, 0x1_0000_0000, u64::MAX] {
        holds!(set(&[page.mfn, mfn], 1024).is_err());
    }
    // What was taken before the bad one is let go.
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn ring0() -> Outcome {
    for dpl in 0..3 {
        for descriptor in [code64(dpl), data(dpl)] {
            if let Ok(page) = installed(&[descriptor]) {
                // Fixed up: no longer of that level.
                same!((page.read(1) >> 45) & 3, 3);
                same!(set(&[], 0), Ok(0));
                same!(page.unprotect(), Ok(()));
            }
        }
    }
    Ok(())
}

fn gates() -> Outcome {
    for kind in 0..16u64 {
        for dpl in [0u64, 3] {
            for selector in [0xe008u64, 0xe033, 0] {
                let accepted = installed(&[system(kind, dpl, selector)]);
                let accepted = accepted.map(|page| {
                    // Using it must be a fault.
                    let jump = caught!("push 8", "push 0", ".byte 0x48, 0xff, 0x2c, 0x24");
                    let load = caught!("mov ds, eax", in("eax") 0x0bu32);
                    let _ = set(&[], 0);
                    let _ = page.unprotect();
                    jump.is_some_and(|trap| matches!(trap.frame.vector, 10..=14)) && load.is_some()
                });
                same!((kind, dpl, selector, accepted.unwrap_or(true)), (kind, dpl, selector, true));
            }
        }
    }
    Ok(())
}

fn updates() -> Outcome {
    let page = match installed(&[]) {
        Ok(page) => page,
        Err(error) => domus_test_kernels::fail!("{error}"),
    };
    same!(update_descriptor(page.slot(3), data(3)), Ok(0));
    same!(page.read(3) | 1 << 40, data(3));
    for bad in [code64(0), data(0), system(0xc, 3, 0xe008), system(0xe, 0, 0xe008), system(0xb, 0, 0), system(2, 0, 0)] {
        if update_descriptor(page.slot(4), bad).is_ok() {
            same!((bad, page.read(4) >> 45 & 3), (bad, 3));
        }
    }
    holds!(update_descriptor(page.slot(4) | 4, 0).is_err());
    same!(update_descriptor(page.slot(4), 0), Ok(0));
    same!(set(&[], 0), Ok(0));
    same!(page.unprotect(), Ok(()));
    Ok(())
}

fn elsewhere() -> Outcome {
    let table = leaf(address());
    holds!(update_descriptor(table, data(3)).is_err());
    for machine in [0x1_0000_0000u64 << 12, !7u64] {
        holds!(update_descriptor(machine, data(3)).is_err());
    }
    let page = Page::new();
    if update_descriptor(page.slot(2), data(3)).is_ok() {
        same!(page.read(2), data(3));
    }
    Ok(())
}

fn far_jumps() -> Outcome {
    for selector in [0xe008u32, 0xe010, 0xe040, 0xe048, 0xe003, 8, 0xfff8, 0xe000] {
        let trap = trap!("push rax", "push 0", ".byte 0x48, 0xff, 0x2c, 0x24", in("rax") u64::from(selector));
        holds!((10..15).contains(&trap.frame.vector));
        let trap = trap!("push rax", "lea rcx, [rip + 2f]", "push rcx", "retfq", "2:", "ud2", in("rax") u64::from(selector), out("rcx") _);
        holds!((10..15).contains(&trap.frame.vector));
    }
    Ok(())
}
