//! `set_gdt`: the frames of the guest's descriptor table, which the hypervisor checks and the guest can then only read.

use abi::errno::Errno;
use abi::segment::FIRST_RESERVED_GDT_ENTRY;

use crate::call::{Call, Outcome};
use crate::frames::PageType;
use crate::hypervisor::Hypervisor;
use crate::ids::{Mfn, VcpuRef};
use crate::machine::Machine;
use crate::mm::Stop;

/// Entries in a frame.
const PER_FRAME: usize = 512;
/// The most frames.
const FRAMES: usize = FIRST_RESERVED_GDT_ENTRY / PER_FRAME;

/// `set_gdt(frame_list, entries)`.
///
/// -EINVAL for more entries than are the guest's or a frame that cannot be a descriptor table, -EFAULT for the list.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, [list, entries, ..]: [u64; 5]) -> Outcome {
    // The argument is an `unsigned int`.
    let entries = entries as u32 as usize;
    if entries > FIRST_RESERVED_GDT_ENTRY {
        return Errno::INVAL.into();
    }
    let mut frames = [0u64; FRAMES];
    for (index, frame) in frames[..entries.div_ceil(PER_FRAME)].iter_mut().enumerate() {
        let read = Call::<M>::element(list, index as u64, 8).and_then(|address| call.read::<u64>(address));
        match read {
            Ok(mfn) => *frame = mfn,
            Err(fault) => return Errno::from(fault).into(),
        }
    }
    match set(call.hv, call.who, &frames[..entries.div_ceil(PER_FRAME)], entries as u32) {
        Ok(()) => {
            if let Some(vcpu) = call.hv.vcpu(call.who) {
                call.hv.machine.reload_descriptors(vcpu);
            }
            Outcome::Done(0)
        }
        Err(Stop::Preempted) => {
            let domain = call.who.domain;
            call.hv.mm().settle(domain);
            Outcome::Again([list, entries as u64, 0, 0, 0])
        }
        Err(Stop::Error(error)) => error.into(),
    }
}

/// Gives a vCPU these GDT frames instead of those it has. The hardware is not told.
///
/// # Errors
/// A frame is not the domain's, or cannot be a descriptor table; nothing changes then.
pub fn set<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef, frames: &[u64], entries: u32) -> Result<(), Stop> {
    for (taken, &frame) in frames.iter().enumerate() {
        let held = hv.mm().get_frame_as(Mfn(frame), who.domain, PageType::Descriptor);
        if let Err(stop) = held {
            frames[..taken].iter().for_each(|&frame| hv.mm().put_frame_as(Mfn(frame)));
            return Err(stop);
        }
    }
    let Some(vcpu) = hv.vcpu_mut(who) else { return Err(Errno::SRCH.into()) };
    let old = vcpu.gdt_frames;
    vcpu.gdt_frames = [0; 16];
    vcpu.gdt_frames[..frames.len()].copy_from_slice(frames);
    vcpu.gdt_entries = entries;
    for frame in old.into_iter().filter(|&frame| frame != 0) {
        hv.mm().put_frame_as(Mfn(frame));
    }
    Ok(())
}
