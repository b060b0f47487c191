//! The wall clock in `shared_info`: what time of day it was when system time was 0.

use core::mem::offset_of;
use core::sync::atomic::{Ordering, fence};

use abi::shared_info::SharedInfo;

use crate::hypervisor::Hypervisor;
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;

/// `wc_version` and `wc_sec`.
const VERSION_AND_SECONDS: usize = offset_of!(SharedInfo, wc_version) / 8;
/// `wc_nsec` and `wc_sec_hi`.
const NANOS_AND_HIGH: usize = offset_of!(SharedInfo, wc_nsec) / 8;

/// The two words of `shared_info` that tell the time `boot` (ns since 1970), with this version.
pub fn words(boot: u64, version: u32) -> [u64; 2] {
    let (seconds, nanos) = (boot / 1_000_000_000, boot % 1_000_000_000);
    [u64::from(version) | (seconds & 0xffff_ffff) << 32, nanos | (seconds >> 32) << 32]
}

impl<M: Machine> Hypervisor<M> {
    /// Writes the wall clock to a domain's `shared_info`, when the domain gets one and when it resumes.
    pub fn publish_wallclock(&mut self, domain: DomId) {
        let boot = self.machine.boot_wallclock();
        let Some(domain) = self.domains.get(domain) else { return };
        let mfn = Mfn(domain.shared_info);
        if !mfn.is_some() {
            return;
        }
        let first = self.machine.word(mfn, VERSION_AND_SECONDS);
        // The version is odd while the rest is written; a guest that scribbles on it harms itself.
        let odd = first.load(Ordering::Relaxed) as u32 | 1;
        let [_, second] = words(boot, odd);
        first.store(words(boot, odd)[0], Ordering::Relaxed);
        fence(Ordering::Release);
        self.machine.word(mfn, NANOS_AND_HIGH).store(second, Ordering::Relaxed);
        first.store(words(boot, odd.wrapping_add(1))[0], Ordering::Release);
    }
}
