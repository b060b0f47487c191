//! What the loader tells: memory, the module, the command line, the ACPI tables (`arch-x86/hvm/start_info.h`).
//!
//! It is copied out before any memory is handed out, since it lies in memory that the map calls free.

use hv_core::ids::Mfn;

use crate::layout::direct;

/// How many memory regions are kept; more are ignored with a warning by the caller.
pub const MAX_REGIONS: usize = 64;
const MAGIC: u32 = 0x336e_c578;
const USABLE: u32 = 1;

/// A range of physical memory.
#[derive(Clone, Copy, Default, Debug)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// First byte behind it.
    pub end: u64,
}

impl Region {
    /// The whole frames in it.
    pub fn frames(&self) -> (Mfn, Mfn) {
        (Mfn(self.start.div_ceil(4096)), Mfn(self.end / 4096))
    }
}

/// What the loader told.
pub struct BootInfo {
    /// Usable RAM, in the order of the map.
    pub ram: [Region; MAX_REGIONS],
    /// How many of them.
    pub ram_count: usize,
    /// The module: an archive or the first domain's ELF.
    pub module: Option<Region>,
    /// Physical address of ACPI's RSDP, or 0.
    pub rsdp: u64,
    /// The command line.
    pub command_line: [u8; 1024],
    /// Its length.
    pub command_line_length: usize,
}

impl BootInfo {
    /// Usable RAM.
    pub fn regions(&self) -> &[Region] {
        &self.ram[..self.ram_count]
    }
}

fn read32(physical: u64) -> u32 {
    // SAFETY: called only before memory is handed out, for addresses that the loader named, below 4 GiB: the boot tables map them.
    unsafe { (direct(physical) as *const u32).read_unaligned() }
}

fn read64(physical: u64) -> u64 {
    u64::from(read32(physical)) | u64::from(read32(physical + 4)) << 32
}

/// Reads the loader's structure at `physical`.
///
/// # Panics
/// If its magic number is missing: the image was not entered by PVH.
pub fn read(physical: u64) -> BootInfo {
    assert!(
        read32(physical) == MAGIC,
        "Domus is entered by PVH (QEMU -kernel, Firecracker, Cloud Hypervisor): no start info at {physical:#x}"
    );
    let mut info = BootInfo {
        ram: [Region::default(); MAX_REGIONS],
        ram_count: 0,
        module: None,
        rsdp: read64(physical + 32),
        command_line: [0; 1024],
        command_line_length: 0,
    };
    read_memory_map(physical, &mut info);
    if read32(physical + 12) > 0 {
        let entry = read64(physical + 16);
        let start = read64(entry);
        info.module = Some(Region { start, end: start + read64(entry + 8) });
    }
    read_command_line(read64(physical + 24), &mut info);
    info
}

fn read_memory_map(physical: u64, info: &mut BootInfo) {
    let (table, entries) = (read64(physical + 40), read32(physical + 48));
    for index in 0..u64::from(entries) {
        let entry = table + index * 24;
        let (start, size, kind) = (read64(entry), read64(entry + 8), read32(entry + 16));
        if kind == USABLE && info.ram_count < MAX_REGIONS {
            info.ram[info.ram_count] = Region { start, end: start.saturating_add(size) };
            info.ram_count += 1;
        }
    }
}

fn read_command_line(physical: u64, info: &mut BootInfo) {
    if physical == 0 {
        return;
    }
    while info.command_line_length < info.command_line.len() {
        let at = physical + info.command_line_length as u64;
        let byte = (read32(at & !3) >> (8 * (at & 3))) as u8;
        if byte == 0 {
            break;
        }
        info.command_line[info.command_line_length] = byte;
        info.command_line_length += 1;
    }
}
