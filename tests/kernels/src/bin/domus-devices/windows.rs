//! Mapping: what is permitted and what is not.

use domus_test_kernels::report::{Check, Complaint, Outcome};
use domus_test_kernels::scratch::{PAGE, Page, address, leaf, update, update_for};
use domus_test_kernels::{holds, same, tables};
use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::abi::control::{MmioPermit, OP_MMIO_PERMIT};
use pv_guest_sdk::abi::domid;
use pv_guest_sdk::abi::mmu::{self, pte};
use pv_guest_sdk::{control, memory, println, time};

use crate::pci::{Bus, FUNCTIONS, VENDOR, read16};

pub const CHECKS: &[Check] = &[
    ("configuration space is permitted, mapped uncached and read", configuration),
    ("a device's registers are mapped and answer", registers),
    ("memory, interrupt controllers and MSI-X tables are not permitted", refused),
    ("what is not permitted is not mapped", not_permitted),
    ("no page table lies in device memory", no_table),
    ("permission is not withdrawn while it is used", withdraw),
    ("a request that is malformed is refused", malformed),
];

/// A kernel's complaint about an error that should not be.
pub fn unexpected(error: Errno) -> Complaint {
    Complaint::new(format_args!("{error:?}"))
}

/// A frame in the hole for devices below 4 GiB that no device of this machine has.
const NOBODYS: u64 = 0xd_f000;

fn configuration() -> Outcome {
    let start = time::now();
    let bus = Bus::map().map_err(unexpected)?;
    println!("# permitted and mapped in {} us", (time::now() - start) / 1000);
    let mut count = 0;
    for devfn in bus.functions() {
        println!("# {:02x}.{}: {:08x}", devfn >> 3, devfn & 7, bus.read(devfn, 0));
        count += 1;
    }
    // The host bridge, the ISA bridge with its two companions, the device.
    holds!(count >= 4);
    let window = address();
    same!(update_for(leaf(window), bus.frame << 12 | PAGE, domid::IO), Ok(()));
    same!(memory::lookup(window).map(|entry| entry & (pte::PCD | pte::PWT)), Some(pte::PCD | pte::PWT));
    same!(update(leaf(window), 0), Ok(()));
    Ok(())
}

fn registers() -> Outcome {
    let bus = Bus::map().map_err(unexpected)?;
    let devfn = bus.entropy().map_err(unexpected)?;
    // The first vendor capability of kind 1 says where the common configuration is (virtio 1.1, 4.1.4).
    let common = bus.capabilities(devfn, VENDOR).find(|&at| bus.read(devfn, at) >> 24 == 1);
    let Some(common) = common else { domus_test_kernels::fail!("no common configuration") };
    let frame = (bus.bar(devfn, bus.read(devfn, common + 4) as usize & 7) + u64::from(bus.read(devfn, common + 8))) >> 12;
    same!(control::mmio_permit(frame, 1), Ok(()));
    // SAFETY: registers of a device.
    let window = unsafe { memory::map_device(frame, 1) }.map_err(unexpected)?;
    // config_msix_vector, which is "none" after a reset, and num_queues.
    same!((read16(&window, 0x10), read16(&window, 0x12)), (0xffff, 1));
    drop(window);
    same!(control::mmio_withdraw(frame, 1), Ok(()));
    Ok(())
}

fn refused() -> Outcome {
    let bus = Bus::map().map_err(unexpected)?;
    let table = bus.entropy().and_then(|devfn| bus.table(devfn)).map_err(unexpected)?;
    let page = Page::new();
    for (what, first, frames) in [
        ("a frame of ours", page.mfn, 1),
        ("low memory", 0, 1),
        ("where the image is", 0x200, 16),
        ("from memory to devices", page.mfn, 0xe_0000 - page.mfn),
        ("the local APIC", 0xf_ee00, 1),
        ("the interrupt window", 0xf_eeff, 1),
        ("the I/O APIC", 0xf_ec00, 1),
        ("the HPET", 0xf_ed00, 1),
        ("all of it", 0, 1 << 24),
        ("an MSI-X table", table, 1),
        ("an MSI-X table in the middle", table - 1, 3),
    ] {
        same!(control::mmio_permit(first, frames), Err(Errno::PERM), what);
        holds!(update_for(leaf(address()), first << 12 | PAGE, domid::IO) == Err(Errno::PERM) || what == "an MSI-X table in the middle");
    }
    Ok(())
}

fn not_permitted() -> Outcome {
    let slot = leaf(address());
    for mfn in [NOBODYS, 0xfffff, 0x1_0000_0000, (1 << 40) - 1] {
        same!(update_for(slot, mfn << 12 | PAGE, domid::IO), Err(Errno::PERM));
    }
    same!(control::mmio_permit(NOBODYS, 2), Ok(()));
    same!(update_for(slot, (NOBODYS + 1) << 12 | PAGE, domid::IO), Ok(()));
    same!(update_for(slot, (NOBODYS + 2) << 12 | PAGE, domid::IO), Err(Errno::PERM));
    // As nobody's but ours it is no memory, and attributes are not ours to give.
    let other = leaf(address());
    same!(update(other, NOBODYS << 12 | PAGE), Err(Errno::PERM));
    same!(update(other, NOBODYS << 12 | PAGE | pte::PCD | pte::PWT), Err(Errno::INVAL));
    same!(update(slot, 0), Ok(()));
    same!(control::mmio_withdraw(NOBODYS, 2), Ok(()));
    Ok(())
}

fn no_table() -> Outcome {
    same!(control::mmio_permit(NOBODYS, 1), Ok(()));
    for command in [mmu::EXT_PIN_L1_TABLE, mmu::EXT_PIN_L4_TABLE, mmu::EXT_NEW_BASEPTR, mmu::EXT_CLEAR_PAGE] {
        // SAFETY: refused.
        holds!(unsafe { tables::ext(command, NOBODYS, 0) }.is_err());
    }
    // An entry of an upper table: of the window's L2 table, where nothing is.
    let root = tables::kernel_root_mfn() << 12;
    for slot in [root | 300 << 3, NOBODYS << 12] {
        same!(update_for(slot, NOBODYS << 12 | PAGE, domid::IO), Err(Errno::INVAL));
    }
    same!(control::mmio_withdraw(NOBODYS, 1), Ok(()));
    Ok(())
}

fn withdraw() -> Outcome {
    let bus = Bus::map().map_err(unexpected)?;
    same!(control::mmio_withdraw(bus.frame, FUNCTIONS), Err(Errno::BUSY));
    same!(control::mmio_withdraw(bus.frame + 7, 1), Err(Errno::BUSY));
    let frame = bus.frame;
    drop(bus);
    same!(control::mmio_withdraw(frame + 7, 1), Ok(()));
    // SAFETY: nothing is accessed.
    same!(unsafe { memory::map_device(frame, 8) }.err(), Some(Errno::PERM));
    same!(control::mmio_withdraw(frame, FUNCTIONS), Ok(()));
    // SAFETY: nothing is accessed.
    same!(unsafe { memory::map_device(frame, 1) }.err(), Some(Errno::PERM));
    Ok(())
}

fn malformed() -> Outcome {
    let good = MmioPermit { first_frame: NOBODYS, frames: 1, allow: 1, _pad: 0 };
    for mut request in [
        MmioPermit { frames: 0, ..good },
        MmioPermit { frames: u64::MAX, ..good },
        MmioPermit { first_frame: u64::MAX, ..good },
        MmioPermit { first_frame: 1 << 40, ..good },
        MmioPermit { allow: 2, ..good },
        MmioPermit { _pad: 1, ..good },
    ] {
        // SAFETY: the structure of the operation.
        same!(unsafe { control::op(OP_MMIO_PERMIT, &mut request) }, Err(Errno::INVAL));
    }
    Ok(())
}
