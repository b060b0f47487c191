//! Counting instructions with the TSC.

use core::arch::asm;
use core::arch::x86_64::_rdtsc;
use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering};

use pv_guest_sdk::println;

/// Repetitions of an operation in one run.
pub const REPEAT: u64 = 64;
/// Runs, of which the median counts.
const RUNS: usize = 15;

/// Instructions of the loop of known length.
const KNOWN: u64 = 200_000;
/// Ticks of the TSC that [`KNOWN`] instructions take.
static TICKS: AtomicU64 = AtomicU64::new(0);

/// Learns how many ticks an instruction takes.
pub fn calibrate() {
    let ticks = median(|| {
        let start = now();
        // SAFETY: changes one register.
        unsafe { asm!("2:", "dec {0}", "jnz 2b", inout(reg) KNOWN / 2 => _, options(nomem, nostack)) };
        now() - start
    });
    TICKS.store(ticks, Ordering::Relaxed);
    println!("# {KNOWN} instructions take {ticks} ticks");
}

/// The TSC.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: reads a counter; the guest has not asked for it to fault.
    unsafe { _rdtsc() }
}

/// Instructions for so many ticks over `operations` operations, rounded.
pub fn instructions(ticks: u64, operations: u64) -> u64 {
    let unit = TICKS.load(Ordering::Relaxed) * operations;
    (ticks * KNOWN + unit / 2) / unit
}

/// The median of several runs: an interrupt in one of them does not count.
pub fn median(mut run: impl FnMut() -> u64) -> u64 {
    let mut ticks: [u64; RUNS] = core::array::from_fn(|_| run());
    ticks.sort_unstable();
    ticks[RUNS / 2]
}

/// Instructions of one `operation`, which is told which repetition it is; without those of the loop.
#[inline(always)]
pub fn count(mut operation: impl FnMut(u64)) -> u64 {
    let whole = median(|| run(&mut operation));
    let empty = median(|| run(&mut |_| ()));
    instructions(whole.saturating_sub(empty), REPEAT)
}

#[inline(always)]
fn run(operation: &mut impl FnMut(u64)) -> u64 {
    let start = now();
    for turn in 0..REPEAT {
        operation(black_box(turn));
    }
    now() - start
}
