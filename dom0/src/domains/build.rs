//! Filling the memory of a new domain: kernel, ramdisk, frame list, page tables, start-of-day page. What goes where is computed by
//! [`image`] and [`dom0_core::image`]; here it is carried there, in steps between which other tasks run.

use abi::DomId;
use abi::layout::{ENTRIES, PAGE_SIZE};
use abi::zerocopy::IntoBytes;
use dom0_core::config::DomainConfig;
use dom0_core::image::{DomainMemory, KernelLoad, RamdiskLoad, Step};
use embassy_futures::yield_now;
use image::start_info::{Given, Ring, start_info};
use image::{KernelInfo, Plan, Request};

use super::error::{Error, Result};
use crate::hal::guest_memory::GuestMemory;

/// The files of a domain, whole.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// The kernel.
    pub kernel: &'a [u8],
    /// The ramdisk, if there is one.
    pub ramdisk: Option<&'a [u8]>,
}

/// What the domain was given by the hypervisor.
#[derive(Clone, Copy)]
pub struct Ground {
    /// Its number.
    pub domid: DomId,
    /// The frame of its shared info page.
    pub shared_info: u64,
    /// Its port for xenstore.
    pub store_port: u32,
    /// Its port for the console.
    pub console_port: u32,
}

/// What is needed to let it run.
pub struct Built {
    /// The kernel.
    pub kernel: KernelInfo,
    /// The layout.
    pub plan: Plan,
    /// The frame of the top-level table.
    pub root: u64,
    /// The frame of the xenstore ring.
    pub store: u64,
    /// The frame of the console ring.
    pub console: u64,
}

/// Fills the memory that consists of `frames`.
pub async fn fill(config: &DomainConfig, files: Files<'_>, ground: &Ground, frames: &[u64]) -> Result<Built> {
    let mut memory = GuestMemory::new(ground.domid, frames).map_err(Error::refused("map the domain's memory"))?;
    let nr_pages = frames.len() as u64;
    let kernel = load_kernel(config, files.kernel, nr_pages, &mut memory).await?;
    let about_kernel = |error| Error::about(&config.kernel, error);
    let mut request = Request { nr_pages, store: true, console: true, ..Request::default() };
    let mut plan = Plan::new(&kernel, &request).map_err(about_kernel)?;
    if let Some(file) = files.ramdisk {
        request.ramdisk_bytes = load_ramdisk(config, file, &plan, &mut memory).await?;
        plan = Plan::new(&kernel, &request).map_err(about_kernel)?;
    }
    let built = finish(kernel, plan, &memory)?;
    write_start(config, &built, ground, frames, &mut memory).map_err(Error::refused("map the domain's memory"))?;
    Ok(built)
}

async fn load_kernel(config: &DomainConfig, file: &[u8], nr_pages: u64, memory: &mut GuestMemory<'_>) -> Result<KernelInfo> {
    let about = |error| Error::about(&config.kernel, error);
    let mut load = KernelLoad::new(file, nr_pages * PAGE_SIZE as u64).map_err(about)?;
    loop {
        if let Step::Done(kernel) = load.step(memory).map_err(about)? {
            return Ok(kernel);
        }
        yield_now().await;
    }
}

/// Loads the ramdisk to where the plan of a domain without one has room for it; its size in bytes.
async fn load_ramdisk(config: &DomainConfig, file: &[u8], plan: &Plan, memory: &mut GuestMemory<'_>) -> Result<u64> {
    let about = |error| Error::about(config.ramdisk.as_deref().unwrap_or("ramdisk"), error);
    let page = PAGE_SIZE as u64;
    let mut load = RamdiskLoad::new(file, plan.ramdisk_start * page, plan.nr_pages * page).map_err(about)?;
    loop {
        if let Step::Done(bytes) = load.step(memory).map_err(about)? {
            return Ok(bytes);
        }
        yield_now().await;
    }
}

fn finish(kernel: KernelInfo, plan: Plan, memory: &GuestMemory<'_>) -> Result<Built> {
    let frame = |pfn: Option<u64>| {
        let frame = pfn.and_then(|pfn| memory.frame(pfn));
        frame.ok_or_else(|| Error::new("the domain's layout lies outside its memory: a bug in Domus"))
    };
    let root = frame(Some(plan.page_tables.first))?;
    let (store, console) = (frame(plan.store)?, frame(plan.console)?);
    Ok(Built { kernel, plan, root, store, console })
}

/// Everything that is not in a file.
fn write_start(
    config: &DomainConfig,
    built: &Built,
    ground: &Ground,
    frames: &[u64],
    memory: &mut GuestMemory<'_>,
) -> core::result::Result<(), abi::Errno> {
    let page = PAGE_SIZE as u64;
    let plan = &built.plan;
    if let Some(at) = built.kernel.hypercall_page {
        let mut stubs = [0; PAGE_SIZE];
        image::hypercall_page::fill(&mut stubs);
        memory.write(at.wrapping_sub(built.kernel.virt_base), &stubs)?;
    }
    memory.write(plan.frame_list.pages.first * page, frames.as_bytes())?;
    let given = Given {
        shared_info: ground.shared_info * page,
        store: Ring { mfn: built.store, port: ground.store_port },
        console: Ring { mfn: built.console, port: ground.console_port },
        command_line: config.cmdline.as_bytes(),
    };
    // The configuration has bounded the command line.
    let info = start_info(plan, &given).map_err(|_| abi::Errno::TOOBIG)?;
    memory.write(plan.start_info * page, info.as_bytes())?;
    write_tables(plan, memory)
}

fn write_tables(plan: &Plan, memory: &mut GuestMemory<'_>) -> core::result::Result<(), abi::Errno> {
    let mut words = [0u64; ENTRIES];
    for table in (0..plan.table_count()).filter_map(|position| plan.table(position)) {
        words.fill(0);
        for (slot, entry) in plan.entries(table) {
            let frame = entry.pfn().and_then(|pfn| memory.frame(pfn)).ok_or(abi::Errno::INVAL)?;
            words[usize::from(slot)] = frame << 12 | entry.flags();
        }
        memory.write(table.pfn * PAGE_SIZE as u64, words.as_bytes())?;
    }
    Ok(())
}
