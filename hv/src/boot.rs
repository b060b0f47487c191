//! From the first Rust code to the first domain, as a list.

use core::cell::RefCell;

use hv_core::build::{self, FirstDomain};
use hv_core::firmware::{Ecam, Interrupts, Power, Tables};
use hv_core::ids::Mfn;
use hv_core::platform::Platform;
use hv_machine::firmware::BootView;
use hv_machine::paging::BootMemory;
use hv_machine::pvh::BootInfo;
use hv_machine::{apic, clock, descriptors, entry, info, machine, paging, percpu, power, processor, serial, warn};

use crate::shell;

/// Pages of the first domain if the command line does not say: 64 MiB.
const FIRST_DOMAIN_PAGES: u64 = 16384;
/// Memory below this is left to firmware and to the start of other CPUs.
const LOW_MEMORY: u64 = 1 << 20;
/// Where PCs have interrupt controllers and timers, and where writes of devices are interrupts: I/O APICs, HPET, the interrupt window.
const CHIPSET: (u64, u64) = (0xfec0_0000, 0xff00_0000);
/// The CPU that boots.
const BOOT_CPU: usize = 0;

/// Brings the machine up and enters the first domain.
pub fn boot(boot_info: &'static BootInfo) -> ! {
    info!("Domus {} starting", env!("CARGO_PKG_VERSION"));
    processor::init();
    let mut memory = BootMemory::choose(boot_info, paging::image_end());
    let boot_memory_start = memory.next();
    let ram_end = boot_info.regions().iter().map(|region| region.end).max().unwrap_or(0);
    let m2p = paging::init(boot_info, ram_end, &mut memory);
    machine::set_m2p_table(m2p, ram_end / 4096);
    percpu::init(BOOT_CPU);
    descriptors::init(BOOT_CPU);
    entry::init(BOOT_CPU);
    let platform = firmware(boot_info, &mut memory);
    apic::init(&mut memory);
    apic::start_timer(clock::init(apic::timer_ticks));
    console_interrupt(boot_info, &mut memory);
    frames(boot_info, ram_end, boot_memory_start, memory);
    report(&platform);
    shell::with(|hv| hv.platform = platform);
    first_domain(boot_info);
    shell::start(BOOT_CPU)
}

/// ACPI: power, CPUs, PCI configuration.
fn firmware(boot_info: &BootInfo, memory: &mut BootMemory) -> Platform {
    let view = BootView(RefCell::new(memory));
    let Some(tables) = Tables::find(&view, boot_info.rsdp) else {
        warn!("no ACPI tables: the machine cannot be switched off by software");
        let mut unknown = Platform::UNKNOWN;
        (unknown.own_devices[0], unknown.own_devices[1]) = (Some(CHIPSET), Some(apic::registers()));
        return unknown;
    };
    power::init(Power::read(&tables).unwrap_or_default());
    let mut platform = Platform::UNKNOWN;
    let interrupts = Interrupts::read(&tables).unwrap_or_default();
    platform.cpus_present = interrupts.cpus.max(1);
    let io_apics = interrupts.io_apics().map(|address| (address, address + 4096));
    for (slot, range) in platform.own_devices.iter_mut().zip([CHIPSET].into_iter().chain([apic::registers()]).chain(io_apics)) {
        *slot = Some(range);
    }
    for (index, slot) in platform.ecam.iter_mut().enumerate() {
        *slot = Ecam::read(&tables, index as u64);
    }
    platform
}

/// Lets what is typed at COM1 interrupt.
fn console_interrupt(boot_info: &BootInfo, memory: &mut BootMemory) {
    let line = {
        let view = BootView(RefCell::new(&mut *memory));
        let interrupts = Tables::find(&view, boot_info.rsdp).and_then(|tables| Interrupts::read(&tables));
        serial::CONSOLE.irq().and_then(|irq| interrupts?.isa_line(irq))
    };
    match line {
        Some(line) => {
            apic::route(line.io_apic, line.pin, line.low_active, line.level, apic::CONSOLE_VECTOR, memory);
            serial::CONSOLE.enable_receive_interrupt();
        }
        None => warn!("no interrupt for the console: what is typed is not read"),
    }
}

/// The frame table: what is RAM, what of it is in use.
fn frames(boot_info: &BootInfo, ram_end: u64, boot_memory_start: u64, mut memory: BootMemory) {
    let table = machine::frame_table(ram_end / 4096, &mut memory);
    let used = [(0, LOW_MEMORY), (0x20_0000, paging::image_end()), (boot_memory_start, memory.next())];
    shell::with(|hv| {
        hv.frames.install(table);
        for (start, end) in used {
            hv.frames.reserve(Mfn(start / 4096), Mfn(end.div_ceil(4096)));
        }
        if let Some(module) = boot_info.module {
            hv.frames.reserve(Mfn(module.start / 4096), Mfn(module.end.div_ceil(4096)));
        }
        for region in boot_info.regions() {
            let (start, end) = region.frames();
            hv.frames.add_region(start, end);
        }
    });
}

fn report(platform: &Platform) {
    shell::with(|hv| {
        let stats = hv.frames.stats();
        info!("memory: {} MiB, {} MiB free", stats.total >> 8, stats.free >> 8);
        info!("clock: TSC {} kHz, began at tick {}", clock::parameters().tsc_khz, clock::began_at());
    });
    if platform.cpus_present > 1 {
        info!("{} CPUs present: CPU 0 runs domains, {} left parked", platform.cpus_present, platform.cpus_present - 1);
    }
}

fn first_domain(boot_info: &BootInfo) {
    let command_line = &boot_info.command_line[..boot_info.command_line_length];
    let Some(module) = boot_info.module else {
        shell::fail(format_args!("no module was loaded: give QEMU -initrd with an archive (cargo xtask image) or a PV64 ELF"))
    };
    let built = machine::with_module(module, |bytes| {
        shell::with(|hv| {
            let first = FirstDomain { module: bytes, module_frame: Mfn(module.start / 4096), pages: FIRST_DOMAIN_PAGES, command_line };
            build::build(hv, &first)
        })
    });
    if let Err(error) = built {
        shell::fail(format_args!("{error}"))
    }
}
