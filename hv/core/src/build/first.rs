//! Domain 0, from the module: an archive with `boot/dom0`, which becomes its ramdisk, or a bare ELF.
//!
//! Its context is set as the control domain sets others': pages first, then the page tables are validated like any guest's.

use abi::errno::Errno;
use core::sync::atomic::Ordering;
use image::pages::Pages;
use image::start_info::Given;
use image::{Elf, ImageError, KernelInfo, Plan, Request};
use zerocopy::IntoBytes;

use super::archive;
use super::memory::Memory;
use crate::frames::PageType;
use crate::hypervisor::Hypervisor;
use crate::ids::{DOM0, Mfn, VcpuRef};
use crate::lifecycle::{self, Limits};
use crate::machine::Machine;
use crate::mm::Stop;

/// What the loader brought.
pub struct FirstDomain<'a> {
    /// The module's bytes, in whole reserved frames.
    pub module: &'a [u8],
    /// The module's first frame.
    pub module_frame: Mfn,
    /// Pages of memory that it shall have at least.
    pub pages: u64,
    /// Its command line.
    pub command_line: &'a [u8],
}

/// Why there is no first domain.
#[derive(Debug)]
pub enum NotBuilt {
    /// The archive has no `boot/dom0`.
    NoKernel,
    /// The kernel is unusable.
    Image(ImageError),
    /// Not enough memory.
    Memory,
    /// A rule of the hypervisor's own refuses what was built.
    Refused(Errno),
}

impl core::fmt::Display for NotBuilt {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            NotBuilt::NoKernel => f.write_str("the module is an archive without boot/dom0: build it with `cargo xtask image`"),
            NotBuilt::Image(error) => write!(f, "the first domain's kernel cannot be started: {error}"),
            NotBuilt::Memory => f.write_str("too little memory for the first domain: give the machine more"),
            NotBuilt::Refused(error) => write!(f, "the first domain's page tables were refused ({error:?}): a bug in Domus"),
        }
    }
}

impl From<ImageError> for NotBuilt {
    fn from(error: ImageError) -> Self {
        NotBuilt::Image(error)
    }
}

impl From<Errno> for NotBuilt {
    fn from(error: Errno) -> Self {
        NotBuilt::Refused(error)
    }
}

/// Pages that the control domain has beside its archive, at least: 40 MiB.
const BESIDE_ARCHIVE: u64 = 10240;

/// Builds domain 0 and lets it run.
///
/// # Errors
/// See [`NotBuilt`]; the machine cannot go on.
pub fn build<M: Machine>(hv: &mut Hypervisor<M>, first: &FirstDomain<'_>) -> Result<(), NotBuilt> {
    let is_archive = archive::is_archive(first.module);
    let file = if is_archive {
        let (at, length) = archive::find(first.module, archive::DOM0).ok_or(NotBuilt::NoKernel)?;
        &first.module[at..at + length]
    } else {
        first.module
    };
    let elf = Elf::parse(file)?;
    elf.check_length(file.len() as u64)?;
    let kernel = image::notes::read(&elf, &mut { file })?;
    let ramdisk = if is_archive { first.module.len() as u64 } else { 0 };
    let needed = kernel.phys_end.div_ceil(4096) + BESIDE_ARCHIVE / 2;
    let nr_pages = first.pages.max(ramdisk.div_ceil(4096) + BESIDE_ARCHIVE).max(needed);
    let request = Request { nr_pages, ramdisk_bytes: ramdisk, store: false, console: false, first_domain: true };
    let plan = Plan::new(&kernel, &request)?;
    create(hv)?;
    let ramdisk_pages = plan.ramdisk.map_or(Pages::default(), |ramdisk| ramdisk.pages);
    let memory = Memory::take(&hv.machine, &mut hv.frames, nr_pages, ramdisk_pages, first.module_frame)?;
    fill(hv, &kernel, &elf, file, &plan, &memory);
    start_info(hv, &plan, &memory, first.command_line)?;
    start(hv, &kernel, &plan, memory.frame(plan.page_tables.first))
}

/// The control domain may take all memory there is: it borrows for big work and gives back.
fn create<M: Machine>(hv: &mut Hypervisor<M>) -> Result<(), NotBuilt> {
    let frames = hv.frames.stats().total;
    let limits = Limits { vcpus: 1, frames, event_channels: 4095, grant_frames: 64, maptrack_frames: 1024 };
    lifecycle::create(hv, Some(DOM0), &limits, *b"first domain\0\0\0\0")?;
    let domain = hv.domains.get_mut(DOM0).expect("just made");
    domain.privileged = true;
    domain.paused = false;
    Ok(())
}

/// Kernel, frame list, page tables, M2P.
fn fill<M: Machine>(hv: &Hypervisor<M>, kernel: &KernelInfo, elf: &Elf<'_>, file: &[u8], plan: &Plan, memory: &Memory) {
    let machine = &hv.machine;
    for load in elf.loads() {
        let bytes = &file[load.offset as usize..load.file_end() as usize];
        memory.write(machine, load.paddr - kernel.paddr_offset, bytes);
    }
    if let Some(page) = kernel.hypercall_page {
        super::write_hypercall_page(machine, memory.frame(page.wrapping_sub(kernel.virt_base) / 4096));
    }
    for pfn in 0..plan.nr_pages {
        let mfn = memory.frame(pfn);
        machine.set_m2p(mfn, pfn);
        let list = memory.frame(plan.frame_list.pages.first + pfn / 512);
        machine.word(list, (pfn % 512) as usize).store(mfn.0, Ordering::Relaxed);
    }
    for table in (0..plan.table_count()).filter_map(|position| plan.table(position)) {
        let frame = memory.frame(table.pfn);
        for (slot, entry) in plan.entries(table) {
            if let Some(pfn) = entry.pfn() {
                let value = memory.frame(pfn).address() | entry.flags();
                machine.word(frame, slot.into()).store(value, Ordering::Relaxed);
            }
        }
    }
}

fn start_info<M: Machine>(hv: &Hypervisor<M>, plan: &Plan, memory: &Memory, command_line: &[u8]) -> Result<(), NotBuilt> {
    let shared_info = hv.domains.get(DOM0).map_or(0, |domain| domain.shared_info << 12);
    let info = image::start_info::start_info(plan, &Given { shared_info, command_line, ..Given::default() })?;
    memory.write(&hv.machine, plan.start_info * 4096, info.as_bytes());
    Ok(())
}

fn start<M: Machine>(hv: &mut Hypervisor<M>, kernel: &KernelInfo, plan: &Plan, root: Mfn) -> Result<(), NotBuilt> {
    // Kernels unpin the table that they start with.
    pin(hv, root)?;
    hv.mm().get_frame_as(root, DOM0, PageType::L4).map_err(Stop::errno)?;
    hv.machine.show_m2p(root, true);
    let who = VcpuRef { domain: DOM0, vcpu: 0 };
    let context = image::context::vcpu_context(kernel, plan, root.0);
    let vcpu = hv.vcpu_mut(who).expect("just made");
    vcpu.regs = context.user_regs;
    vcpu.kernel_table = root.0;
    vcpu.kernel_sp = context.kernel_sp;
    vcpu.kernel_ss = context.kernel_ss;
    vcpu.debug = context.debugreg;
    vcpu.fpu = crate::vcpu::RESET_FPU;
    vcpu.initialised = true;
    vcpu.in_kernel = true;
    Ok(hv.vcpu_up(who)?)
}

fn pin<M: Machine>(hv: &mut Hypervisor<M>, root: Mfn) -> Result<(), NotBuilt> {
    loop {
        match hv.mm().pin(DOM0, root, 4) {
            Ok(()) => return Ok(()),
            Err(Stop::Preempted) => {
                hv.mm().settle(DOM0);
            }
            Err(Stop::Error(error)) => return Err(error.into()),
        }
    }
}
