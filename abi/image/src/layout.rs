//! Where everything in a new domain goes, as `xen/xen.h` (`startofday`) promises it: kernel, ramdisk, frame list, start-of-day page, rings, page
//! tables and boot stack, each from a page of its own, in this order and in one range of virtual addresses that begins at VIRT_BASE, is
//! mapped onto the PFNs from 0 on and ends on a 4 MiB boundary at least 512 KiB behind the last of them. Two things may lie behind that
//! range instead: a ramdisk (MOD_START_PFN), which is then not mapped, and the frame list (INIT_P2M), which is mapped elsewhere.

use abi::features::DOM0;

use crate::error::ImageError;
use crate::kernel::KernelInfo;
use crate::pages::{PAGE, Pages, pages_for};
use crate::space::{check_list, initial_mapping};
use crate::tables::{ENTRIES, Entry, Table, Tables};

/// What is to be started besides the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Pages of the domain, which get the PFNs from 0 on.
    pub nr_pages: u64,
    /// Size of the ramdisk in bytes, 0 for none.
    pub ramdisk_bytes: u64,
    /// Whether a xenstore ring is wanted.
    pub store: bool,
    /// Whether a console ring is wanted.
    pub console: bool,
    /// Whether the domain is the first one, with SIF_PRIVILEGED and SIF_INITDOMAIN.
    pub first_domain: bool,
}

/// The ramdisk's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramdisk {
    /// Its pages; the last may be partly used.
    pub pages: Pages,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its virtual address, or `None` if it is not mapped and is named by its PFN.
    pub va: Option<u64>,
}

/// The place of the frame list, which gives the MFN of every PFN in 8 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameList {
    /// Its virtual address.
    pub va: u64,
    /// Its pages.
    pub pages: Pages,
    /// With INIT_P2M: its pages and those of its page tables, which follow them (`first_p2m_pfn` and `nr_p2m_frames`).
    pub apart: Option<Pages>,
}

/// The layout of a domain. Page numbers are PFNs; only `apart` lists and unmapped ramdisks lie behind the initial mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// First virtual address of the initial mapping; PFN 0 is mapped there.
    pub v_start: u64,
    /// First virtual address behind it, a multiple of 4 MiB.
    pub v_end: u64,
    /// The pages of the initial mapping.
    pub mapped: Pages,
    /// Pages of the domain.
    pub nr_pages: u64,
    /// Whether the domain is the first one.
    pub first_domain: bool,
    /// The kernel's pages, from the first to the last that it loads into.
    pub kernel: Pages,
    /// The ramdisk, if there is one.
    pub ramdisk: Option<Ramdisk>,
    /// The PFN where a ramdisk begins. It does not depend on the ramdisk's size, so that one can be unpacked there to learn its size.
    pub ramdisk_start: u64,
    /// The frame list.
    pub frame_list: FrameList,
    /// The page of `start_info`.
    pub start_info: u64,
    /// The page of the xenstore ring.
    pub store: Option<u64>,
    /// The page of the console ring.
    pub console: Option<u64>,
    /// The page tables of the initial mapping, the level 4 table first.
    pub page_tables: Pages,
    /// The page of the boot stack.
    pub boot_stack: u64,
    /// The first PFN that nothing in the plan uses.
    pub used: u64,
    tables: Tables,
}

impl Plan {
    /// Lays out a domain for `kernel`.
    pub fn new(kernel: &KernelInfo, request: &Request) -> Result<Self, ImageError> {
        if kernel.features.requires(DOM0) && !request.first_domain {
            return Err(ImageError::NeedsDomain0);
        }
        let v_start = kernel.virt_base;
        let (ramdisk_inside, ramdisk_behind) = split(pages_for(request.ramdisk_bytes), kernel.mod_start_pfn);
        let image = kernel_pages(kernel);
        let beside = ramdisk_inside.saturating_add(1 + u64::from(request.store) + u64::from(request.console));
        let list_va = list_va(kernel, image.end().saturating_add(beside))?;
        let (list_inside, list_behind) = split(pages_for(request.nr_pages.saturating_mul(8)), list_va.is_some());

        let ramdisk_inside = image.followed_by(ramdisk_inside);
        let list_inside = ramdisk_inside.followed_by(list_inside);
        let start_info = list_inside.followed_by(1);
        let store = start_info.followed_by(u64::from(request.store));
        let console = store.followed_by(u64::from(request.console));
        let mapped = initial_mapping(v_start, console.end())?;
        let mut tables = Tables::new(v_start, mapped, console.end());
        let page_tables = tables.initial_tables();
        let ramdisk_behind = mapped.followed_by(ramdisk_behind);
        let list_behind = ramdisk_behind.followed_by(list_behind);

        let frame_list = match list_va {
            Some(at) => list_apart(at, list_behind, v_start, &mut tables)?,
            None => FrameList { va: va(v_start, list_inside), pages: list_inside, apart: None },
        };
        let used = list_behind.end().saturating_add(tables.list_tables());
        if used > request.nr_pages {
            return Err(ImageError::TooLittleMemory { needed: used, available: request.nr_pages });
        }
        let ramdisk_pages = if kernel.mod_start_pfn { ramdisk_behind } else { ramdisk_inside };
        let ramdisk = (request.ramdisk_bytes > 0).then(|| Ramdisk {
            pages: ramdisk_pages,
            bytes: request.ramdisk_bytes,
            va: (!kernel.mod_start_pfn).then(|| va(v_start, ramdisk_pages)),
        });
        Ok(Self {
            v_start,
            v_end: v_start.wrapping_add(mapped.count.wrapping_mul(PAGE)),
            mapped,
            nr_pages: request.nr_pages,
            first_domain: request.first_domain,
            kernel: image,
            ramdisk,
            ramdisk_start: ramdisk_pages.first,
            frame_list,
            start_info: start_info.first,
            store: request.store.then_some(store.first),
            console: request.console.then_some(console.first),
            page_tables,
            boot_stack: page_tables.end(),
            used,
            tables,
        })
    }

    /// The virtual address at which the initial mapping has `pfn`.
    pub fn va_of(&self, pfn: u64) -> Option<u64> {
        self.mapped.contains(pfn).then(|| self.v_start.wrapping_add(pfn.wrapping_mul(PAGE)))
    }

    /// How many page tables there are, those of a list apart included.
    pub fn table_count(&self) -> u64 {
        self.page_tables.count.saturating_add(self.tables.list_tables())
    }

    /// The page table number `position`, counted from the level 4 table (0) down, so that work can be taken up again anywhere.
    pub fn table(&self, position: u64) -> Option<Table> {
        self.tables.get(position)
    }

    /// What the entry number `slot` (0 to 511) of `table` holds.
    pub fn entry(&self, table: &Table, slot: u16) -> Entry {
        self.tables.entry(table, slot)
    }

    /// The entries of `table` that are not absent, with their numbers.
    pub fn entries(&self, table: Table) -> impl Iterator<Item = (u16, Entry)> + '_ {
        (0..ENTRIES).map(move |slot| (slot, self.entry(&table, slot))).filter(|(_, entry)| *entry != Entry::Absent)
    }
}

/// How many of `count` pages lie inside the initial mapping, and how many behind it.
fn split(count: u64, behind: bool) -> (u64, u64) {
    if behind { (0, count) } else { (count, 0) }
}

/// The pages that the kernel loads into, whole.
fn kernel_pages(kernel: &KernelInfo) -> Pages {
    let first = kernel.phys_start / PAGE;
    Pages { first, count: pages_for(kernel.phys_end) - first }
}

/// The address of `pages` in an initial mapping that begins at `v_start`.
fn va(v_start: u64, pages: Pages) -> u64 {
    v_start.wrapping_add(pages.first.wrapping_mul(PAGE))
}

/// Where the kernel wants the frame list, if that is the beginning of a page outside the initial mapping, in which `packed` pages are taken
/// before the page tables when the list is elsewhere. (Xen honours a place above the mapping for its first domain only.)
fn list_va(kernel: &KernelInfo, packed: u64) -> Result<Option<u64>, ImageError> {
    let Some(at) = kernel.init_p2m.filter(|at| at.is_multiple_of(PAGE)) else { return Ok(None) };
    if at < kernel.virt_base {
        return Ok(Some(at));
    }
    let mapped = initial_mapping(kernel.virt_base, packed)?;
    Ok((at - kernel.virt_base >= mapped.count.saturating_mul(PAGE)).then_some(at))
}

/// A frame list in `pages` that is mapped at `at` by tables of its own.
fn list_apart(at: u64, pages: Pages, v_start: u64, tables: &mut Tables) -> Result<FrameList, ImageError> {
    check_list(at, pages.count, v_start)?;
    tables.add_list(at, pages);
    let apart = Pages { first: pages.first, count: pages.count.saturating_add(tables.list_tables()) };
    Ok(FrameList { va: at, pages, apart: Some(apart) })
}
