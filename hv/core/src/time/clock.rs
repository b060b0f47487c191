//! `vcpu_time_info`: the numbers from which a guest computes system time from the TSC, and how they are written while it reads.
//!
//! A guest reads the version, the numbers and the version again, and starts over if the version was odd or has changed. So the version is
//! made odd first and even last, and no store passes another (`xen.h`, `vcpu_time_info`).

use core::mem::offset_of;
use core::sync::atomic::Ordering;

use abi::shared_info::{PVCLOCK_TSC_STABLE, VcpuInfo, VcpuTimeInfo};
use zerocopy::IntoBytes;

use crate::ids::Mfn;
use crate::machine::{ClockParameters, Machine};
use crate::vcpu::Vcpu;

const WORD: usize = offset_of!(VcpuInfo, time) / 8;
const WORDS: usize = size_of::<VcpuTimeInfo>() / 8;

/// What guests are told of a clock, with an even version after `version`.
pub fn time_info(clock: &ClockParameters, version: u32) -> VcpuTimeInfo {
    VcpuTimeInfo {
        version: (version | 1).wrapping_add(1),
        tsc_timestamp: clock.tsc_timestamp,
        system_time: clock.system_time,
        tsc_to_system_mul: clock.tsc_to_system_mul,
        tsc_shift: clock.tsc_shift,
        flags: if clock.stable { PVCLOCK_TSC_STABLE } else { 0 },
        ..VcpuTimeInfo::default()
    }
}

/// True if both tell the same time: one clock, read at two moments. Publishing the later reading would gain nothing, and cost guests a
/// nanosecond of rounding, backwards perhaps.
pub fn same_rate(a: &VcpuTimeInfo, b: &VcpuTimeInfo) -> bool {
    (a.tsc_to_system_mul, a.tsc_shift, a.flags) == (b.tsc_to_system_mul, b.tsc_shift, b.flags)
}

/// The same numbers as a reader must not use yet: with the odd version before.
pub fn unfinished(info: &VcpuTimeInfo) -> VcpuTimeInfo {
    VcpuTimeInfo { version: info.version.wrapping_sub(1), ..*info }
}

/// System time in nanoseconds at a TSC reading, as a guest computes it.
pub fn system_time(info: &VcpuTimeInfo, tsc: u64) -> u64 {
    let passed = tsc.wrapping_sub(info.tsc_timestamp);
    let shift = u32::from(info.tsc_shift.unsigned_abs());
    let passed = if info.tsc_shift < 0 { passed.checked_shr(shift) } else { passed.checked_shl(shift) }.unwrap_or(0);
    let scaled = (u128::from(passed) * u128::from(info.tsc_to_system_mul)) >> 32;
    info.system_time.wrapping_add(scaled as u64)
}

/// Writes the numbers into the vCPU's `vcpu_info`, if it has one.
pub fn write_to_vcpu_info<M: Machine>(machine: &M, vcpu: &Vcpu, info: &VcpuTimeInfo) {
    let mfn = Mfn(vcpu.info_mfn);
    if mfn.is_some() {
        let first = vcpu.info_offset as usize / 8 + WORD;
        store(info, |word, value| {
            // No store passes an earlier one.
            machine.word(mfn, first + word).store(value, Ordering::Release);
        });
    }
}

/// Stores the words of the numbers, by index, in the order that lets a guest read at any moment.
pub fn store(info: &VcpuTimeInfo, mut word: impl FnMut(usize, u64)) {
    let values = words(info);
    word(0, words(&unfinished(info))[0]);
    for (index, &value) in values.iter().enumerate().skip(1) {
        word(index, value);
    }
    word(0, values[0]);
}

fn words(info: &VcpuTimeInfo) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    words.as_mut_bytes().copy_from_slice(info.as_bytes());
    words
}
