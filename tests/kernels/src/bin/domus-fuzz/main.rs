//! Hypercalls with random arguments: many thousands, over all numbers, always the same ones. None may hurt the hypervisor, and afterwards this
//! kernel must be as well as before. Only what would end the domain, or take away what the kernel itself stands on, is left out.
//!
//! The subject is Domus's robustness, so this is not for Xen, whose first domain may do much to the machine.
#![no_std]
#![no_main]

mod arguments;
mod calls;
mod random;

use domus_test_kernels::report::{self, Check, Outcome};
use domus_test_kernels::scratch::Page;
use domus_test_kernels::{holds, probe, same};
use pv_guest_sdk::abi::hypercall as number;
use pv_guest_sdk::{BootInfo, entry, events, grants, hypercall, memory, println, time, traps};

use arguments::Arguments;
use random::Random;

entry!(main);

/// Calls in all.
const CALLS: usize = 60_000;
/// Where the sequence starts, unless the command line says `seed=N`.
const SEED: u64 = 0x00d0_5eed;

const CHECKS: &[Check] = &[("random hypercalls do no harm", fuzz), ("the kernel is well afterwards", well)];

fn main(_info: &'static BootInfo) {
    probe::install();
    // Random breakpoints may hit.
    traps::set_handler(1, |_| ());
    report::run(&[CHECKS]);
}

fn fuzz() -> Outcome {
    let seed = BootInfo::get().and_then(|info| info.argument("seed")).and_then(|text| text.parse().ok()).unwrap_or(SEED);
    println!("# seed {seed}");
    let mut random = Random::new(seed);
    let mut arguments = Arguments::new();
    let (mut accepted, mut refused) = (0u32, 0u32);
    for _ in 0..CALLS {
        arguments.refill(&mut random);
        let (number, args) = calls::random(&mut random, &arguments);
        // SAFETY: the generator names no memory but its own, and no call that this kernel cannot stand.
        match unsafe { hypercall::call(number, args) } {
            Ok(_) => accepted += 1,
            Err(_) => refused += 1,
        }
        calls::restore(number);
    }
    println!("# {accepted} calls were accepted, {refused} refused");
    // A generator that is always refused tests nothing.
    holds!(accepted > CALLS as u32 / 50 && refused > CALLS as u32 / 50);
    Ok(())
}

fn well() -> Outcome {
    holds!(hypercall::xen_version().is_ok());
    let start = time::now();
    time::sleep(2_000_000);
    holds!(time::now() >= start + 2_000_000);
    for _ in 0..1000 {
        let page = Page::new();
        page.write(5, 7);
        same!(page.protect(), Ok(()));
        same!(page.unprotect(), Ok(()));
        same!(page.read(5), 7);
    }
    let own = match events::own_domid() {
        Ok(own) => own,
        Err(error) => domus_test_kernels::fail!("{error}"),
    };
    let page = memory::alloc_page().expect("a page");
    // SAFETY: nothing uses the page.
    let reference = unsafe { grants::grant(own, page, true) }.expect("a grant");
    holds!(grants::map(own, reference, true).is_ok());
    same!(grants::revoke(reference), Ok(()));
    same!(
        probe::catch(|| {
            // SAFETY: a probe.
            unsafe { core::arch::asm!("ud2") }
        })
        .map(|trap| trap.kind()),
        Some((6, 0))
    );
    let _ = number::XEN_VERSION;
    Ok(())
}
