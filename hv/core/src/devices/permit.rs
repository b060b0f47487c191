//! Permission to map device memory ([`abi::control::OP_MMIO_PERMIT`]).

use abi::errno::Errno;

use super::msix;
use crate::hypervisor::Hypervisor;
use crate::ids::DomId;
use crate::machine::{Flush, Machine};

/// Frames of device memory, at least one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    first: u64,
    end: u64,
}

/// Frames that an entry of a page table can name: addresses have 52 bits at most.
const FRAMES: u64 = 1 << 40;

impl Range {
    /// `count` frames from `first` on.
    ///
    /// # Errors
    /// -EINVAL if there are none, or if they end beyond what a page table can name.
    pub fn new(first: u64, count: u64) -> Result<Range, Errno> {
        let end = first.checked_add(count).filter(|&end| end <= FRAMES && count != 0).ok_or(Errno::INVAL)?;
        Ok(Range { first, end })
    }
}

/// Lets a domain map frames.
///
/// # Errors
/// -EINVAL if they end beyond the processor's addresses; -EPERM if any is RAM, of the hypervisor's own devices, or holds an MSI-X table;
/// -ENOSPC if there are too many ranges.
pub fn permit<M: Machine>(hv: &mut Hypervisor<M>, domain: DomId, range: Range) -> Result<(), Errno> {
    let Range { first, end } = range;
    if end > processor_frames(&hv.machine) {
        return Err(Errno::INVAL);
    }
    if hv.frames.has_ram(first, end) || is_own(hv, first, end) || msix::table_in(hv, first, end) {
        return Err(Errno::PERM);
    }
    hv.frames.devices.permit(domain, first, end)
}

/// Withdraws that.
///
/// # Errors
/// -EBUSY if frames of a range that has some of these are mapped; -ENOSPC if a range would fall in two and there are too many.
pub fn withdraw<M: Machine>(hv: &mut Hypervisor<M>, domain: DomId, range: Range) -> Result<(), Errno> {
    hv.frames.devices.withdraw(domain, range.first, range.end)?;
    // What the domain unmapped without a flush, processors may remember.
    let cpus = hv.cpus_of(domain);
    hv.flush(cpus, Flush::All);
    Ok(())
}

/// How many frames the processor can address (CPUID 0x80000008, EAX bits 7-0): an entry that names one beyond faults.
pub(super) fn processor_frames<M: Machine>(machine: &M) -> u64 {
    const DEFAULT: u32 = 36;
    let [highest, ..] = machine.cpuid(0x8000_0000, 0);
    let bits = if highest >= 0x8000_0008 { machine.cpuid(0x8000_0008, 0)[0] & 0xff } else { DEFAULT };
    1 << (bits.clamp(32, 52) - 12)
}

/// True if any of the frames holds registers of a device that the hypervisor drives.
pub(super) fn is_own<M: Machine>(hv: &Hypervisor<M>, first: u64, end: u64) -> bool {
    hv.platform.own_devices.iter().flatten().any(|&(start, stop)| start >> 12 < end && first < stop.div_ceil(4096))
}
