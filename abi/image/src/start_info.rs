//! The page that tells a kernel, at its start, what it was given (`start_info` in `xen/xen.h`).

use abi::start_info::{MAGIC, MAX_CMDLINE, SIF_INITDOMAIN, SIF_MOD_START_PFN, SIF_PRIVILEGED, StartInfo};

use crate::error::ImageError;
use crate::layout::Plan;

/// A ring shared with the domain: the frame that its page became, and the domain's event channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    /// The frame.
    pub mfn: u64,
    /// The domain's port.
    pub port: u32,
}

/// What the plan cannot know. A ring that the domain has not is all zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given<'a> {
    /// Machine address of the shared info page.
    pub shared_info: u64,
    /// The xenstore ring.
    pub store: Ring,
    /// The console ring.
    pub console: Ring,
    /// The command line, without a NUL.
    pub command_line: &'a [u8],
}

/// The contents of the start-of-day page, which begin at its first byte; the rest of the page is zero.
pub fn start_info(plan: &Plan, given: &Given<'_>) -> Result<StartInfo, ImageError> {
    let mut info = StartInfo {
        nr_pages: plan.nr_pages,
        shared_info: given.shared_info,
        flags: flags(plan),
        store_mfn: given.store.mfn,
        store_evtchn: given.store.port,
        console_mfn: given.console.mfn,
        console_evtchn: given.console.port,
        pt_base: plan.va_of(plan.page_tables.first).unwrap_or(0),
        nr_pt_frames: plan.page_tables.count,
        mfn_list: plan.frame_list.va,
        ..StartInfo::default()
    };
    if let Some(ramdisk) = plan.ramdisk {
        info.mod_start = ramdisk.va.unwrap_or(ramdisk.pages.first);
        info.mod_len = ramdisk.bytes;
    }
    if let Some(apart) = plan.frame_list.apart {
        info.first_p2m_pfn = apart.first;
        info.nr_p2m_frames = apart.count;
    }
    copy(&mut info.magic, MAGIC);
    // The last byte stays NUL.
    if given.command_line.len() >= MAX_CMDLINE {
        return Err(ImageError::CommandLineTooLong(given.command_line.len()));
    }
    copy(&mut info.cmd_line, given.command_line);
    Ok(info)
}

fn flags(plan: &Plan) -> u32 {
    let first = if plan.first_domain { SIF_PRIVILEGED | SIF_INITDOMAIN } else { 0 };
    let by_pfn = plan.ramdisk.is_some_and(|ramdisk| ramdisk.va.is_none());
    first | if by_pfn { SIF_MOD_START_PFN } else { 0 }
}

fn copy(room: &mut [u8], text: &[u8]) {
    for (to, from) in room.iter_mut().zip(text) {
        *to = *from;
    }
}
