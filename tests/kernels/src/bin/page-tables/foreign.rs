//! Frames that are not the guest's: the hypervisor's, other domains', nobody's; and the machine-to-physical table.

use domus_test_kernels::report::{Check, Outcome, on_domus};
use domus_test_kernels::scratch::{PAGE, Page, address, leaf, update, update_for, word};
use domus_test_kernels::{fail, holds, same, trap};
use pv_guest_sdk::abi::domid;
use pv_guest_sdk::abi::grant::{OP_SETUP_TABLE, SetupTable};
use pv_guest_sdk::abi::layout::{MACH2PHYS_VIRT_START, PAGE_SIZE};
use pv_guest_sdk::abi::mmu::{MACHPHYS_UPDATE, pte};
use pv_guest_sdk::{BootInfo, hypercall, memory};

pub const CHECKS: &[Check] = &[
    ("of the first GiB, only frames of our own can be mapped", all_frames),
    ("frames of a domain that does not exist cannot be mapped", no_domain),
    ("the machine-to-physical table can be read and not written", m2p_mapping),
    ("the M2P entry of our own frame can be set, others' not", m2p_update),
    ("the M2P table's own frames cannot be mapped", m2p_frames),
];

/// Tries to map every frame writable. What is accepted must be ours.
fn all_frames() -> Outcome {
    let slot = leaf(address());
    let shared = shared();
    let (mut ours, mut refused) = (0, 0);
    for mfn in 0x100..0x4_0000u64 {
        match update_for(slot, mfn << 12 | PAGE & !pte::RW, domid::SELF) {
            Ok(()) => {
                ours += 1;
                // The first domain of Xen may map what is no memory.
                if memory::mfn_to_pfn(mfn).is_none() && !shared.contains(&mfn) && on_domus() {
                    fail!("frame {mfn:#x} is not ours");
                }
            }
            Err(_) => refused += 1,
        }
    }
    same!(update(slot, 0), Ok(()));
    // Only the first domain's frames are sure to be there.
    holds!(refused > 1000 && (ours > 1000 || !BootInfo::get().is_some_and(BootInfo::is_initial_domain)));
    Ok(())
}

/// Frames that the hypervisor shares with us: the shared info page, and the first of the grant table.
fn shared() -> [u64; 2] {
    let info = BootInfo::get().map_or(0, |info| info.start_info().shared_info >> 12);
    let mut grants = 0u64;
    let mut setup = [SetupTable { dom: domid::SELF, nr_frames: 1, frame_list: &raw mut grants as u64, ..SetupTable::default() }];
    // SAFETY: the structure of the operation, with room for one frame.
    let _ = unsafe { hypercall::grant_table_op(OP_SETUP_TABLE, &mut setup) };
    [info, grants]
}

fn no_domain() -> Outcome {
    let slot = leaf(address());
    let page = Page::new();
    for domid in [1u16, 77, domid::FIRST_RESERVED - 1] {
        holds!(update_for(slot, page.mfn << 12 | PAGE, domid).is_err());
    }
    same!(word(slot), 0);
    Ok(())
}

fn m2p_mapping() -> Outcome {
    let page = Page::new();
    let entry = MACH2PHYS_VIRT_START + page.mfn * 8;
    // SAFETY: the table is mapped for us to read.
    let pfn = unsafe { (entry as *const u64).read_volatile() };
    same!(memory::pfn_to_virt(pfn) as u64, page.address);
    let trap = trap!("mov qword ptr [rdi], 0", in("rdi") entry);
    same!((trap.frame.vector, trap.cr2), (14, entry));
    Ok(())
}

fn m2p_update() -> Outcome {
    let page = Page::new();
    let machine = page.mfn << 12 | MACHPHYS_UPDATE;
    let entry = (MACH2PHYS_VIRT_START + page.mfn * 8) as *const u64;
    // SAFETY: the table is mapped for us to read.
    let before = unsafe { entry.read_volatile() };
    same!(update(machine, 0x12345), Ok(()));
    // SAFETY: as above.
    same!(unsafe { entry.read_volatile() }, 0x12345);
    same!(update(machine, before), Ok(()));
    for mfn in [0x1_0000_0000u64, 1 << 39] {
        holds!(update(mfn << 12 | MACHPHYS_UPDATE, 1).is_err());
    }
    Ok(())
}

fn m2p_frames() -> Outcome {
    // Where it lies is not told; that nothing but our own frames can be mapped, `all_frames` shows. The addresses are no slots of ours.
    let slot = MACH2PHYS_VIRT_START;
    let page = Page::new();
    // SAFETY: refused.
    let result = unsafe { hypercall::update_va_mapping(slot + PAGE_SIZE as u64, page.mfn << 12 | PAGE, 0) };
    holds!(result.is_err());
    Ok(())
}
