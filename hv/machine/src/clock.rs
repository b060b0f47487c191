//! Time: the TSC, calibrated against the PIT at boot; the wall clock from the RTC; the LAPIC's timer as alarm.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use hv_core::machine::ClockParameters;

use crate::port::{inb, outb};
use crate::processor::{cpuid, tsc};

/// The PIT's frequency in Hz.
const PIT_HZ: u64 = 1_193_182;
/// How long the calibration takes at least, in PIT ticks (10 ms).
const PIT_TICKS: u16 = 11_932;
/// How often the clocks are read for one moment.
const READINGS: usize = 16;

static TSC_AT_BOOT: AtomicU64 = AtomicU64::new(0);
static TSC_KHZ: AtomicU32 = AtomicU32::new(0);
/// ns = (ticks << SHIFT) * MUL >> 32, in the form of `vcpu_time_info`.
static MUL: AtomicU32 = AtomicU32::new(0);
static SHIFT: AtomicU32 = AtomicU32::new(0);
static STABLE: AtomicU32 = AtomicU32::new(0);
static WALLCLOCK: AtomicU64 = AtomicU64::new(0);

/// Measures the TSC (returned in kHz) and, in the same window, whatever `ticks` counts (returned per second).
pub fn init(ticks: impl Fn() -> u64) -> u64 {
    let (pit_elapsed, tsc_elapsed, ticks_elapsed) = measure(ticks);
    let khz = tsc_elapsed * PIT_HZ / pit_elapsed / 1000;
    let (mul, shift) = scale(khz.max(1) * 1000);
    TSC_KHZ.store(khz as u32, Ordering::Relaxed);
    MUL.store(mul, Ordering::Relaxed);
    SHIFT.store(shift as i32 as u32, Ordering::Relaxed);
    STABLE.store(u32::from(invariant_tsc()), Ordering::Relaxed);
    TSC_AT_BOOT.store(tsc(), Ordering::Relaxed);
    WALLCLOCK.store(crate::rtc::seconds() * 1_000_000_000, Ordering::Relaxed);
    ticks_elapsed * PIT_HZ / pit_elapsed
}

/// What all clocks showed at one moment.
struct Moment {
    pit: u16,
    tsc: u64,
    other: u64,
    /// TSC ticks that reading took: how sharp the moment is.
    blur: u64,
}

/// PIT, TSC and other ticks between two moments. What disturbs us between them (an SMI, a host that was busy) does not matter, since all clocks go
/// on; only if it lasts until the PIT's counter has run out is there nothing to measure.
fn measure(ticks: impl Fn() -> u64) -> (u64, u64, u64) {
    loop {
        outb(0x61, inb(0x61) & !2 | 1); // gate on, speaker off
        outb(0x43, 0xb0); // channel 2, both bytes, mode 0: output rises at zero
        outb(0x42, 0xff);
        outb(0x42, 0xff); // this starts it
        let first = moment(&ticks);
        while first.pit.saturating_sub(latch()) < PIT_TICKS && !ran_out() {
            core::hint::spin_loop();
        }
        let last = moment(&ticks);
        if !ran_out() && first.pit > last.pit {
            return (u64::from(first.pit - last.pit), last.tsc - first.tsc, last.other.wrapping_sub(first.other));
        }
    }
}

/// The sharpest of several readings.
fn moment(ticks: &impl Fn() -> u64) -> Moment {
    let read = |_| {
        let before = tsc();
        let (pit, other) = (latch(), ticks());
        let after = tsc();
        Moment { pit, tsc: before.midpoint(after), other, blur: after - before }
    };
    let first = read(0);
    (1..READINGS).map(read).fold(first, |best, next| if next.blur < best.blur { next } else { best })
}

/// The counter of PIT channel 2, which counts down.
fn latch() -> u16 {
    outb(0x43, 0x80);
    let low = inb(0x42);
    u16::from_le_bytes([low, inb(0x42)])
}

/// Whether it has passed zero.
fn ran_out() -> bool {
    inb(0x61) & 0x20 != 0
}

/// CPUID 0x80000007 EDX bit 8. QEMU's emulated TSC ticks with the virtual clock whatever the processor does, so a processor that
/// calls itself emulated by TCG counts as stable too.
fn invariant_tsc() -> bool {
    let advertised = cpuid(0x8000_0000, 0)[0] >= 0x8000_0007 && cpuid(0x8000_0007, 0)[3] & (1 << 8) != 0;
    let tcg = cpuid(0x4000_0000, 0)[1..] == [0x5447_4354, 0x4354_4743, 0x4743_5447];
    advertised || tcg
}

/// Nanoseconds since boot.
#[inline]
pub fn now() -> u64 {
    at(tsc())
}

#[inline]
fn at(tsc: u64) -> u64 {
    let ticks = tsc.wrapping_sub(TSC_AT_BOOT.load(Ordering::Relaxed));
    let shift = SHIFT.load(Ordering::Relaxed) as i32;
    let shifted = if shift >= 0 { ticks << shift } else { ticks >> -shift };
    ((u128::from(shifted) * u128::from(MUL.load(Ordering::Relaxed))) >> 32) as u64
}

/// A consistent reading, for guests.
pub fn parameters() -> ClockParameters {
    let tsc_timestamp = tsc();
    ClockParameters {
        tsc_timestamp,
        system_time: at(tsc_timestamp),
        tsc_to_system_mul: MUL.load(Ordering::Relaxed),
        tsc_shift: SHIFT.load(Ordering::Relaxed) as i8,
        stable: STABLE.load(Ordering::Relaxed) != 0,
        tsc_khz: TSC_KHZ.load(Ordering::Relaxed),
    }
}

/// What the TSC showed when the clock was 0: the ticks that had passed since the processor's reset, for firmware and for us.
pub fn began_at() -> u64 {
    TSC_AT_BOOT.load(Ordering::Relaxed)
}

/// Nanoseconds since 1970 when the clock was 0.
pub fn boot_wallclock() -> u64 {
    WALLCLOCK.load(Ordering::Relaxed)
}

/// The multiplier and shift that turn ticks of a clock of `hz` into nanoseconds (`vcpu_time_info`): the largest multiplier that fits.
fn scale(hz: u64) -> (u32, i8) {
    const SECOND: u128 = 1_000_000_000;
    let mut shift = 0i8;
    // ns = (ticks << shift) * mul >> 32, so mul = (10^9 << 32) / (hz << shift).
    let mul = |shift: i8| {
        let ratio = SECOND << 32;
        if shift >= 0 { ratio / (u128::from(hz) << shift) } else { (ratio << -shift) / u128::from(hz) }
    };
    while mul(shift) > u128::from(u32::MAX) {
        shift += 1;
    }
    while shift > -32 && mul(shift - 1) <= u128::from(u32::MAX) {
        shift -= 1;
    }
    (mul(shift) as u32, shift)
}
