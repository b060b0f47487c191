//! What the SDK makes of it.

use domus_test_kernels::report::{Check, Complaint, Outcome};
use domus_test_kernels::{holds, same};
use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::memory::{self, Contiguous, MAX_CONTIGUOUS, contiguous};
use pv_guest_sdk::println;

pub const CHECKS: &[Check] = &[
    ("pages in a row lie in adjacent frames, zeroed and writable", adjacent),
    ("what is given back can be had again", given_back),
    ("an owner can be forgotten and found", forgotten),
    ("no pages and too many are refused", refused),
];

const PAGE: usize = 4096;

fn unexpected(error: Errno) -> Complaint {
    Complaint::new(format_args!("{error:?}"))
}

/// Puts the allocator's next pages in disorder, so that they are not adjacent by chance.
fn shuffle() -> Option<()> {
    let mut pages = [core::ptr::NonNull::dangling(); 64];
    for page in &mut pages {
        *page = memory::alloc_page()?;
    }
    for start in 0..7 {
        for &page in pages.iter().skip(start).step_by(7) {
            // SAFETY: just taken, and nobody uses it.
            unsafe { memory::free_page(page) };
        }
    }
    Some(())
}

fn try_out(memory: &Contiguous) -> Outcome {
    holds!(memory.is_contiguous());
    let bytes = memory.pages() * PAGE;
    // SAFETY: the pages are this owner's.
    let words = unsafe { core::slice::from_raw_parts_mut(memory.as_ptr().cast::<u64>(), bytes / 8) };
    holds!(words.iter().all(|&word| word == 0));
    words.iter_mut().zip(0..).for_each(|(word, index)| *word = index);
    holds!(words.iter().zip(0..).all(|(&word, index)| word == index));
    same!(memory.machine_address(), memory.mfn() << 12);
    Ok(())
}

fn adjacent() -> Outcome {
    for pages in [1, 2, 3, 4, 7, 16, 33, 64, MAX_CONTIGUOUS] {
        shuffle();
        let memory = contiguous(pages).map_err(unexpected)?;
        same!(memory.pages(), pages);
        try_out(&memory)?;
    }
    Ok(())
}

fn given_back() -> Outcome {
    // The first time tables are made, which stay.
    drop(contiguous(64).map_err(unexpected)?);
    let before = memory::used_frames();
    for round in 0..100 {
        shuffle();
        let memory = [3, 1, 32].map(|pages| contiguous(pages).map_err(unexpected));
        for piece in memory {
            try_out(&piece?)?;
        }
        same!(memory::used_frames(), before, round);
    }
    // The pages are as good as others.
    let mut sum = 0;
    for _ in 0..64 {
        let page = memory::alloc_page().expect("a page");
        // SAFETY: a page of ours.
        sum += unsafe { page.as_ptr().cast::<u64>().read_volatile() };
    }
    same!(sum, 0);
    println!("# {} frames used, {} free", before.0, before.1);
    Ok(())
}

fn forgotten() -> Outcome {
    let before = memory::used_frames();
    shuffle();
    let (start, machine) = contiguous(5).map_err(unexpected)?.into_raw();
    // SAFETY: as it was told.
    let memory = unsafe { Contiguous::from_raw(start, 5) };
    same!((memory.as_non_null(), memory.machine_address(), memory.pages()), (start, machine, 5));
    try_out(&memory)?;
    drop(memory);
    same!(memory::used_frames(), before);
    Ok(())
}

fn refused() -> Outcome {
    same!(contiguous(0).err(), Some(Errno::INVAL));
    same!(contiguous(MAX_CONTIGUOUS + 1).err(), Some(Errno::INVAL));
    Ok(())
}
