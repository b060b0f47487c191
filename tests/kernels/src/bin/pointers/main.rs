//! Every hypercall that takes a pointer, with pointers that are not the guest's to use: nothing, misaligned, unmapped, not canonical, in the
//! hypervisor's range, wrapping, read-only. Each must be an error, and the guest must be as well afterwards as before.
#![no_std]
#![no_main]

mod calls;

use calls::{CALLS, Direction};
use domus_test_kernels::report::{self, Check, Outcome};
use domus_test_kernels::{fail, holds, same};
use pv_guest_sdk::{BootInfo, abi::Errno, entry, events, grants, hypercall, memory, println, time};

entry!(main);

const CHECKS: &[Check] = &[
    ("bad pointers are refused", refused),
    ("structures that cross into nothing are refused", crossing),
    ("structures that cannot be written back are refused", read_only),
    ("the guest is well afterwards", well),
];

fn main(_info: &'static BootInfo) {
    report::run(&[CHECKS]);
}

/// Pointers that no guest may use.
fn bad() -> impl Iterator<Item = u64> {
    let unmapped = memory::reserve(1).expect("address space").as_ptr() as u64;
    [
        1,
        8,
        0x1000,
        0x7fff_ffff_f000,
        0x7fff_ffff_fffc,
        0x8000_0000_0000,
        1 << 60,
        0xffff_7fff_ffff_fff8,
        0xffff_7fff_ffff_ffff,
        0xffff_8000_0000_0000,
        0xffff_8000_0000_0008,
        0xffff_803f_ffff_fff8,
        0xffff_8040_0000_0000,
        0xffff_8200_0000_0000,
        0xffff_82d0_4020_0000,
        0xffff_8300_0000_0000,
        0xffff_8700_0000_0000,
        0xffff_87ff_ffff_fffc,
        0xffff_ffff_ffff_fff8,
        u64::MAX,
        unmapped,
        unmapped + 3,
    ]
    .into_iter()
}

fn refused() -> Outcome {
    for call in CALLS {
        for pointer in bad().chain(call.null_is_bad.then_some(0)) {
            // SAFETY: the pointer is no memory of ours, so the call can do nothing to us but fail.
            let result = unsafe { hypercall::call(call.number, call.args(pointer)) };
            if !call.is_refusal(result) {
                fail!("{} with {pointer:#x}: {result:x?}", call.name);
            }
            if report::on_domus() && matches!(result, Err(error) if error != Errno::FAULT) {
                println!("# {} with {pointer:#x}: {result:?}", call.name);
            }
        }
    }
    Ok(())
}

/// Two pages of address space of which only the first is mapped, filled with zeroes.
fn edge() -> u64 {
    let page = memory::alloc_page().expect("a page");
    let window = memory::reserve(2).expect("address space");
    let address = window.as_ptr() as u64;
    core::mem::forget(window);
    let bits = abi_bits();
    let mfn = memory::virt_to_mfn(page.as_ptr()).expect("a frame of ours");
    // SAFETY: the range is ours and free.
    unsafe { memory::map(address, &[mfn], pv_guest_sdk::abi::domid::SELF, bits) }.expect("a mapping");
    address + 4096
}

fn abi_bits() -> u64 {
    use pv_guest_sdk::abi::mmu::pte;
    pte::PRESENT | pte::RW | pte::USER | pte::ACCESSED | pte::DIRTY | pte::NX
}

fn crossing() -> Outcome {
    let edge = edge();
    for call in CALLS {
        // SAFETY: the byte that is there is a zero of ours.
        let result = unsafe { hypercall::call(call.number, call.args(edge - 1)) };
        if !call.is_refusal(result) {
            fail!("{} with one byte of its structure: {result:x?}", call.name);
        }
    }
    Ok(())
}

fn read_only() -> Outcome {
    let page = memory::alloc_page().expect("a page");
    // SAFETY: nothing uses the page.
    unsafe { memory::protect_read_only(page.as_ptr()) }.expect("a page of ours");
    let address = page.as_ptr() as u64;
    for call in CALLS.iter().filter(|call| call.direction == Direction::Out) {
        // SAFETY: the page is read-only, so nothing can be written.
        let result = unsafe { hypercall::call(call.number, call.args(address)) };
        if !call.is_refusal(result) {
            fail!("{} into a read-only page: {result:x?}", call.name);
        }
    }
    for index in 0..512usize {
        // SAFETY: within the page.
        same!((index, unsafe { page.cast::<u64>().add(index).read_volatile() }), (index, 0));
    }
    Ok(())
}

fn well() -> Outcome {
    holds!(hypercall::xen_version().is_ok());
    time::sleep(1_000_000);
    let own = events::own_domid().map_err(|error| report::Complaint::new(format_args!("{error}")))?;
    let page = memory::alloc_page().expect("a page");
    // SAFETY: nothing uses the page.
    let reference = unsafe { grants::grant(own, page, true) }.expect("a grant");
    holds!(grants::map(own, reference, true).is_ok());
    same!(grants::revoke(reference), Ok(()));
    Ok(())
}
