//! The call itself, by hand.

use domus_test_kernels::report::{Check, Outcome};
use domus_test_kernels::scratch::{PAGE, Page, address, leaf, update};
use domus_test_kernels::{holds, same, tables};
use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::abi::domid;
use pv_guest_sdk::abi::memory::{Exchange, OP_EXCHANGE, Reservation};
use pv_guest_sdk::abi::mmu::pte;
use pv_guest_sdk::{hypercall, memory};

pub const CHECKS: &[Check] = &[
    ("single frames become adjacent ones, and single ones again", there_and_back),
    ("the frames that were given are gone", gone),
    ("a frame that is used is not given, and nothing is done", used),
    ("what is no frame of ours is not given", not_ours),
    ("a request that is malformed is refused", malformed),
    ("what was done before is not done again", from_the_middle),
];

/// Frames given at a time.
const COUNT: usize = 8;

fn list(extent_start: u64, nr_extents: usize, extent_order: u32) -> Reservation {
    Reservation { extent_start, nr_extents: nr_extents as u64, extent_order, domid: domid::SELF, ..Default::default() }
}

/// Asks for it; tells what came of it, and how many of the given extents are done.
fn exchange(input: &[u64], output: &mut [u64], orders: (u32, u32)) -> (Result<(), Errno>, u64) {
    let input = list(input.as_ptr() as u64, input.len(), orders.0);
    let output = list(output.as_mut_ptr() as u64, output.len(), orders.1);
    raw(&mut Exchange { input, output, nr_exchanged: 0 })
}

fn raw(request: &mut Exchange) -> (Result<(), Errno>, u64) {
    // SAFETY: the frames that checks give are mapped nowhere, or the call is refused.
    let result = unsafe { hypercall::memory_op(OP_EXCHANGE, request) };
    (result.map(|_| ()), request.nr_exchanged)
}

/// Pages with their frames unmapped from the linear area, and the numbers of the frames in the domain.
fn unmapped() -> ([Page; COUNT], [u64; COUNT], [u64; COUNT]) {
    let pages = core::array::from_fn(|_| Page::new());
    for page in pages {
        page.write(3, 0x5ec2e7);
        page.remap(0).expect("a page of ours");
    }
    (pages, pages.map(|page| page.mfn), pages.map(|page| memory::mfn_to_pfn(page.mfn).expect("a frame of ours")))
}

/// Maps frames in place of those that were exchanged, so that the domain's memory is whole again.
fn settle(pages: [Page; COUNT], pfns: [u64; COUNT], mfns: [u64; COUNT]) -> Outcome {
    for ((page, pfn), mfn) in pages.into_iter().zip(pfns).zip(mfns) {
        // SAFETY: the frame is this one now.
        unsafe { memory::set_mfn(pfn, mfn) };
        same!(page.remap(mfn << 12 | PAGE), Ok(()));
        page.write(0, mfn);
        same!(page.read(0), mfn);
    }
    Ok(())
}

fn there_and_back() -> Outcome {
    let (pages, given, pfns) = unmapped();
    let mut block = [pfns[0]];
    same!(exchange(&given, &mut block, (0, 3)), (Ok(()), COUNT as u64));
    let first = block[0];
    same!(first % 8, 0, "the alignment of the extent");
    for offset in 0..COUNT as u64 {
        let mfn = first + offset;
        // SAFETY: as the call said.
        unsafe { memory::set_mfn(pfns[0] + offset, mfn) };
        same!(memory::mfn_to_pfn(mfn), Some(pfns[0] + offset), "the hypervisor's table");
        let at = address();
        same!(update(leaf(at), mfn << 12 | PAGE), Ok(()));
        same!(update(leaf(at), 0), Ok(()));
    }
    let mut single = pfns;
    same!(exchange(&block, &mut single, (3, 0)), (Ok(()), 1));
    settle(pages, pfns, single)?;
    for (&mfn, &pfn) in single.iter().zip(&pfns) {
        same!(memory::mfn_to_pfn(mfn), Some(pfn), "the hypervisor's table");
    }
    Ok(())
}

fn gone() -> Outcome {
    let (pages, given, pfns) = unmapped();
    let mut new = pfns;
    same!(exchange(&given, &mut new, (0, 0)), (Ok(()), COUNT as u64));
    let window = address();
    for mfn in given.into_iter().filter(|mfn| !new.contains(mfn)) {
        holds!(update(leaf(window), mfn << 12 | PAGE).is_err());
    }
    settle(pages, pfns, new)
}

fn used() -> Outcome {
    let (pages, given, pfns) = unmapped();
    let refused = |bad: u64| {
        let mut list = given;
        list[5] = bad;
        let mut block = [pfns[0]];
        same!(exchange(&list, &mut block, (0, 3)), (Err(Errno::INVAL), 0));
        same!(block[0], pfns[0]);
        Ok(())
    };
    let mapped = Page::new();
    refused(mapped.mfn)?;
    mapped.protect().expect("a page of ours");
    refused(mapped.mfn)?;
    refused(tables::kernel_root_mfn())?;
    refused(given[0])?;
    let table = Page::read_only();
    // SAFETY: an empty table.
    same!(unsafe { tables::ext(pv_guest_sdk::abi::mmu::EXT_PIN_L1_TABLE, table.mfn, 0) }, Ok(()));
    same!(table.remap(0), Ok(()));
    refused(table.mfn)?;
    // All are ours still, with what was in them.
    for page in pages {
        same!(page.remap(page.mfn << 12 | PAGE & !pte::RW), Ok(()));
        same!(page.read(3), 0x5ec2e7);
    }
    Ok(())
}

fn not_ours() -> Outcome {
    let (pages, given, pfns) = unmapped();
    for bad in [0, 0xf_ee00, 0x1_0000_0000, (1 << 40) - 1, u64::MAX] {
        let mut list = given;
        list[0] = bad;
        let mut block = [pfns[0]];
        same!(exchange(&list, &mut block, (0, 3)), (Err(Errno::INVAL), 0), "a frame of nobody's");
    }
    settle(pages, pfns, given)
}

fn malformed() -> Outcome {
    let (pages, given, pfns) = unmapped();
    let mut block = [pfns[0]];
    let good = Exchange { input: list(given.as_ptr() as u64, COUNT, 0), output: list(block.as_mut_ptr() as u64, 1, 3), nr_exchanged: 0 };
    type Change = fn(&mut Exchange);
    let cases: [(&str, Errno, Change); 7] = [
        ("more than was given", Errno::INVAL, |r| r.output.extent_order = 4),
        ("less than was given", Errno::INVAL, |r| r.output.extent_order = 2),
        ("no end", Errno::INVAL, |r| r.input.nr_extents = u64::MAX),
        ("more is done than there is", Errno::INVAL, |r| r.nr_exchanged = COUNT as u64 + 1),
        ("for another domain", Errno::INVAL, |r| r.output.domid = 1),
        ("a list in the hypervisor", Errno::FAULT, |r| r.input.extent_start = 0xffff_8300_0000_0000),
        ("too large an extent", Errno::PERM, |r| (r.output.extent_order, r.output.nr_extents) = (30, 1)),
    ];
    for (what, error, change) in cases {
        let mut bad = good;
        change(&mut bad);
        same!(raw(&mut bad).0, Err(error), what);
    }
    // SAFETY: refused.
    same!(unsafe { hypercall::call(pv_guest_sdk::abi::hypercall::MEMORY_OP, [OP_EXCHANGE.into(), 8, 0, 0, 0]) }, Err(Errno::FAULT));
    same!(block[0], pfns[0]);
    settle(pages, pfns, given)
}

fn from_the_middle() -> Outcome {
    let (pages, given, pfns) = unmapped();
    let mut new = pfns;
    let input = list(given.as_ptr() as u64, COUNT, 0);
    let output = list(new.as_mut_ptr() as u64, COUNT, 0);
    same!(raw(&mut Exchange { input, output, nr_exchanged: 6 }), (Ok(()), COUNT as u64));
    holds!(new[..6] == pfns[..6]);
    new[..6].copy_from_slice(&given[..6]);
    settle(pages, pfns, new)
}
