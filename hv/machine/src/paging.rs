//! The hypervisor's own translations: built once at boot, shared by every address space, never changed afterwards but for the
//! per-CPU windows. Guests' tables are `hv-core`'s business; this module gives them slots 256-271 and nothing else.

use core::sync::atomic::{AtomicU64, Ordering};

use hv_core::ids::{MAX_CPUS, Mfn};

use crate::layout::{DEVICES, DIRECT_MAP, IMAGE_OFFSET, M2P, WINDOWS, direct};
use crate::pvh::{BootInfo, Region};

const PRESENT: u64 = 1;
const WRITABLE: u64 = 2;
const USER: u64 = 4;
const UNCACHED: u64 = 0x18;
const LARGE: u64 = 0x80;
const GLOBAL: u64 = 0x100;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const LARGE_SIZE: u64 = 2 << 20;

/// Physical address of the table that is loaded while no guest runs.
static IDLE_TABLE: AtomicU64 = AtomicU64::new(0);
/// Physical addresses of the last-level tables of the CPU windows, 16 CPUs each.
static WINDOW_TABLES: [AtomicU64; MAX_CPUS / 16] = [const { AtomicU64::new(0) }; MAX_CPUS / 16];

/// Physical address of the last-level table of the device registers.
static DEVICE_TABLE: AtomicU64 = AtomicU64::new(0);
/// The page of the device registers that is CPU 0's own; those of the others follow.
const FIRST_OWN_PAGE: u64 = 2;

const _: () = assert!(FIRST_OWN_PAGE + MAX_CPUS as u64 <= 512, "one table holds them all");

/// The top table that holds nothing but the hypervisor.
pub fn idle_table() -> Mfn {
    Mfn::containing(IDLE_TABLE.load(Ordering::Relaxed))
}

/// Memory taken from one region at boot, never given back: the hypervisor's tables.
pub struct BootMemory {
    next: u64,
    end: u64,
}

impl BootMemory {
    /// The largest gap of RAM above the image that the loader left free, below 4 GiB (what the boot tables map).
    pub fn choose(info: &BootInfo, image_end: u64) -> BootMemory {
        let mut best = Region::default();
        for region in info.regions() {
            let mut start = region.start.max(image_end);
            let mut end = region.end.min(1 << 32);
            if let Some(module) = info.module
                && module.start < end
                && module.end > start
            {
                if module.start.saturating_sub(start) >= end.saturating_sub(module.end) {
                    end = module.start;
                } else {
                    start = module.end;
                }
            }
            start = start.next_multiple_of(4096);
            if end > start && end - start > best.end - best.start {
                best = Region { start, end };
            }
        }
        BootMemory { next: best.start, end: best.end & !4095 }
    }

    /// Zeroed frames, adjacent, the first at a multiple of `align` bytes. Returns the physical address.
    ///
    /// # Panics
    /// If the machine has too little memory to run the hypervisor at all.
    pub fn take(&mut self, bytes: u64, align: u64) -> u64 {
        let start = self.next.next_multiple_of(align);
        let end = start + bytes.next_multiple_of(4096);
        assert!(end <= self.end, "too little memory for the hypervisor's tables: give the machine more");
        self.next = end;
        // SAFETY: [start, end) is RAM that the map calls usable, behind the image, apart from the module, and taken only once; the
        // boot tables map the first 4 GiB.
        unsafe { core::ptr::write_bytes(direct(start) as *mut u64, 0, ((end - start) / 8) as usize) };
        start
    }

    /// The first byte not taken.
    pub fn next(&self) -> u64 {
        self.next
    }
}

/// The entry `index` of the table at physical address `table`.
fn entry(table: u64, index: u64) -> &'static AtomicU64 {
    // SAFETY: tables come from `BootMemory` (or are guests' frames of RAM): page-aligned and inside the direct map; the index is
    // masked; entries are only accessed atomically.
    unsafe { &*((direct(table) + (index & 511) * 8) as *const AtomicU64) }
}

fn next_table(table: u64, index: u64, flags: u64, memory: &mut BootMemory) -> u64 {
    let slot = entry(table, index);
    let value = slot.load(Ordering::Relaxed);
    if value & PRESENT != 0 {
        return value & ADDRESS;
    }
    let new = memory.take(4096, 4096);
    slot.store(new | flags | PRESENT | WRITABLE, Ordering::Relaxed);
    new
}

/// The table of `level` (1: last) that translates `address`, made if missing.
fn table_for(root: u64, address: u64, level: u32, flags: u64, memory: &mut BootMemory) -> u64 {
    let mut table = root;
    for above in (level..4).rev() {
        table = next_table(table, address >> (12 + 9 * above), flags, memory);
    }
    table
}

fn map_large(root: u64, address: u64, physical: u64, flags: u64, memory: &mut BootMemory) {
    let table = table_for(root, address, 2, flags & USER, memory);
    entry(table, address >> 21).store(physical | flags | PRESENT | LARGE | GLOBAL, Ordering::Relaxed);
}

fn map_page(root: u64, address: u64, physical: u64, flags: u64, memory: &mut BootMemory) {
    let table = table_for(root, address, 1, flags & USER, memory);
    entry(table, address >> 12).store(physical | flags | PRESENT | GLOBAL, Ordering::Relaxed);
}

/// The image's sections, by the linker script.
pub struct Image {
    /// Code.
    pub text: Region,
    /// Constants.
    pub rodata: Region,
    /// Everything that is written.
    pub data: Region,
}

unsafe extern "C" {
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_start: u8;
    static __rodata_end: u8;
    static __data_start: u8;
    static __image_end: u8;
}

/// Where the image lies, in linear addresses.
pub fn image() -> Image {
    let at = |symbol: *const u8| symbol as u64;
    Image {
        text: Region { start: at(&raw const __text_start), end: at(&raw const __text_end) },
        rodata: Region { start: at(&raw const __rodata_start), end: at(&raw const __rodata_end) },
        data: Region { start: at(&raw const __data_start), end: at(&raw const __image_end) },
    }
}

/// Physical address of the first byte behind the image.
pub fn image_end() -> u64 {
    image().data.end - IMAGE_OFFSET
}

/// Builds the final tables and loads them. `ram_end` is the first physical address behind all RAM. Returns the physical address of
/// the machine-to-physical table, `8 * ram_end / 4096` bytes.
pub fn init(info: &BootInfo, ram_end: u64, memory: &mut BootMemory) -> u64 {
    let root = memory.take(4096, 4096);
    for region in info.regions() {
        let mut at = region.start & !(LARGE_SIZE - 1);
        while at < region.end {
            map_large(root, DIRECT_MAP + at, at, WRITABLE | NO_EXECUTE, memory);
            at += LARGE_SIZE;
        }
    }
    map_image(root, memory);
    let m2p_bytes = (ram_end / 4096 * 8).next_multiple_of(LARGE_SIZE);
    let m2p = memory.take(m2p_bytes, LARGE_SIZE);
    for offset in (0..m2p_bytes).step_by(LARGE_SIZE as usize) {
        map_large(root, M2P + offset, m2p + offset, USER | NO_EXECUTE, memory);
    }
    for (index, table) in WINDOW_TABLES.iter().enumerate() {
        let address = WINDOWS + index as u64 * LARGE_SIZE;
        table.store(table_for(root, address, 1, 0, memory), Ordering::Relaxed);
    }
    // Its upper tables must exist before the first guest copies the slot.
    DEVICE_TABLE.store(table_for(root, DEVICES, 1, 0, memory), Ordering::Relaxed);
    IDLE_TABLE.store(root, Ordering::Relaxed);
    load(Mfn::containing(root));
    m2p
}

fn map_image(root: u64, memory: &mut BootMemory) {
    let image = image();
    for (section, flags) in [(image.text, 0), (image.rodata, NO_EXECUTE), (image.data, WRITABLE | NO_EXECUTE)] {
        for address in (section.start..section.end).step_by(4096).filter(|&address| !crate::percpu::is_guard_page(address)) {
            map_page(root, address, address - IMAGE_OFFSET, flags, memory);
        }
    }
}

/// Maps one page of device registers at `DEVICES + 4096 * index`.
pub fn map_device(index: u64, physical: u64, memory: &mut BootMemory) -> u64 {
    let address = DEVICES + 4096 * index;
    map_page(idle_table().address(), address, physical & !4095, WRITABLE | NO_EXECUTE | UNCACHED, memory);
    address + physical % 4096
}

/// Points a CPU's own page of device registers at the page of a physical address, uncached; tells the linear address. It is for that CPU
/// alone, until its next call.
pub fn device_page(cpu: usize, physical: u64) -> u64 {
    let index = FIRST_OWN_PAGE + cpu as u64;
    let address = DEVICES + 4096 * index;
    let slot = entry(DEVICE_TABLE.load(Ordering::Relaxed), index);
    let wanted = physical & ADDRESS | WRITABLE | NO_EXECUTE | UNCACHED | PRESENT | GLOBAL;
    if slot.load(Ordering::Relaxed) != wanted {
        slot.store(wanted, Ordering::Relaxed);
        crate::tlb::local(hv_core::machine::Flush::Page(address));
    }
    address + physical % 4096
}

/// Maps firmware's tables, wherever they lie, read-only into the direct map (firmware memory is not in the map's usable RAM).
pub fn map_firmware(physical: u64, length: u64, memory: &mut BootMemory) {
    let mut at = physical & !(LARGE_SIZE - 1);
    while at < physical.saturating_add(length) {
        let table = table_for(idle_table().address(), DIRECT_MAP + at, 2, 0, memory);
        let slot = entry(table, (DIRECT_MAP + at) >> 21);
        if slot.load(Ordering::Relaxed) & PRESENT == 0 {
            slot.store(at | NO_EXECUTE | PRESENT | LARGE | GLOBAL, Ordering::Relaxed);
        }
        at += LARGE_SIZE;
    }
}

/// The first of the hypervisor's slots: what guests read of it, in kernel mode.
const M2P_SLOT: u64 = 256;

/// Loads a top-level table.
#[inline(always)]
pub fn load(root: Mfn) {
    // SAFETY: every table that reaches this has the hypervisor's slots (`fill_slots` at validation, or the idle table), so the code
    // that runs, its stack and its data stay where they are.
    unsafe { core::arch::asm!("mov cr3, {}", in(reg) root.address(), options(nostack, preserves_flags)) };
}

/// Writes the hypervisor's entries into a guest's top table, but for the one that guests may read.
pub fn fill_slots(root: Mfn) {
    show_m2p(root, false);
    for slot in M2P_SLOT + 1..272 {
        let ours = entry(IDLE_TABLE.load(Ordering::Relaxed), slot).load(Ordering::Relaxed);
        entry(root.address(), slot).store(ours, Ordering::Relaxed);
    }
}

/// Writes the entry of the machine-to-physical table into a guest's top table, or none.
#[inline]
pub fn show_m2p(root: Mfn, shown: bool) {
    let ours = if shown { entry(IDLE_TABLE.load(Ordering::Relaxed), M2P_SLOT).load(Ordering::Relaxed) } else { 0 };
    entry(root.address(), M2P_SLOT).store(ours, Ordering::Relaxed);
}

/// Points page `page` (0-15: GDT, 16-31: LDT) of a CPU's window at a frame, or at nothing. The caller drops the old translation.
pub fn set_window(cpu: usize, page: usize, frame: Option<Mfn>) {
    let value = frame.map_or(0, |mfn| mfn.address() | PRESENT | WRITABLE | NO_EXECUTE);
    let table = WINDOW_TABLES[cpu / 16].load(Ordering::Relaxed);
    entry(table, ((cpu % 16) * 32 + page) as u64).store(value, Ordering::Relaxed);
}
