//! A machine as QEMU shows it, and devices that lie.

use super::fake::{FakeFunction, FakeSpace};
use super::*;
use alloc::{string::String, vec::Vec};

const fn at(bus: u8, device: u8, function: u8) -> Address {
    Address { segment: 0, bus, devfn: device << 3 | function }
}

/// A virtio disk, laid out as QEMU 7.2 does.
fn disk() -> FakeFunction {
    FakeFunction::new(0x1af4, 0x1042, 0x01_0000, 1)
        .with(register::COMMAND, u32::from(STATUS_CAPABILITIES) << 16 | u32::from(COMMAND_MEMORY | COMMAND_MASTER))
        .with(register::SUBSYSTEM, 0x1100_1af4)
        .with(register::INTERRUPT, 0x010b)
        .with(register::CAPABILITIES, 0x98)
        .with_bar(1, 0xfebd_1000, 0xffff_f000)
        .with_bar(4, 0xfe00_000c, 0xffff_c000)
        .with_bar(5, 0x0000_0008, 0xffff_ffff)
        .with_words(0x98, &[0x8001_4011, 0x0000_0001, 0x0000_0801])
        .with_words(0x40, &[0x0110_5409, 0x0000_0004, 0x0000_0000, 0x0000_1000])
        .with_words(0x54, &[0x0214_0009, 0x0000_0004, 0x0000_3000, 0x0000_1000, 0x0000_0004])
}

fn machine() -> FakeSpace {
    let mut space = FakeSpace::default();
    space.put(at(0, 0, 0), FakeFunction::new(0x8086, 0x29c0, 0x06_0000, 0));
    let port = FakeFunction::new(0x1b36, 0x000c, 0x06_0400, 0).with(register::HEADER, 0x01_0000).with(register::BUSES, 0x01_0100);
    space.put(at(0, 1, 0), port);
    let isa = FakeFunction::new(0x8086, 0x2918, 0x06_0100, 2).with(register::HEADER, 0x80_0000);
    space.put(at(0, 31, 0), isa);
    let ahci = FakeFunction::new(0x8086, 0x2922, 0x01_0601, 2).with_bar(4, 0xc041, 0xffe0).with_bar(5, 0xfebd_2000, 0xffff_f000);
    space.put(at(0, 31, 2), ahci);
    space.put(at(1, 0, 0), disk());
    // Not to be seen: function 0 of the device does not say that there are others.
    space.put(at(1, 0, 1), disk());
    space
}

fn scan(space: &mut FakeSpace) -> Vec<Function> {
    scan_segment(space, 0, 0, 255, |_, _| true)
}

#[test]
fn a_machine_is_found_behind_its_bridges() {
    let found = scan(&mut machine());
    let places: Vec<_> = found.iter().map(|function| function.at).collect();
    assert_eq!(places, [at(0, 0, 0), at(0, 1, 0), at(0, 31, 0), at(0, 31, 2), at(1, 0, 0)]);
    assert_eq!(found[1].bridge, Some(Bridge { primary: 0, secondary: 1, subordinate: 1 }));
    let ports = Bar { index: 4, kind: BarKind::Io, address: 0xc040, bytes: 32 };
    assert_eq!(found[3].bars[0], ports);
}

#[test]
fn a_disk_tells_all_a_driver_needs() {
    let mut space = machine();
    let found = scan(&mut space);
    let disk = &found[4];
    assert_eq!((disk.virtio_type(), disk.msix_entries()), (Some(2), 2));
    let wide = Bar { index: 4, kind: BarKind::Memory { wide: true, prefetchable: true }, address: 0x8_fe00_0000, bytes: 0x4000 };
    assert_eq!(disk.bars.last(), Some(&wide));
    let notify = disk.virtio(2).unwrap();
    assert_eq!((notify.multiplier, notify.bytes), (4, 0x1000));
    assert_eq!(disk.memory(notify.region, 0x1000), Some(0x8_fe00_3000));
    assert_eq!(disk.memory(notify.region, 0x1001), None);
    assert_eq!(disk.virtio(4), None);
    // What sizing wrote is put back.
    assert_eq!(space.read(at(1, 0, 0), register::BAR0 + 16), 0xfe00_000c);
    assert_eq!(space.read(at(1, 0, 0), register::COMMAND) as u16, COMMAND_MEMORY | COMMAND_MASTER);
}

#[test]
fn liars_are_bounded() {
    let mut space = FakeSpace::default();
    // A list in a circle, a bridge to its own bus, a wide register without room for its upper half.
    let circle = FakeFunction::new(0x1af4, 0x1042, 0x01_0000, 0)
        .with(register::COMMAND, u32::from(STATUS_CAPABILITIES) << 16)
        .with(register::CAPABILITIES, 0x40)
        .with(0x40, 0x0000_4001)
        .with_bar(5, 4, 0xffff_f000);
    space.put(at(0, 0, 0), circle);
    let bridge = FakeFunction::new(0x1b36, 0x0001, 0x06_0400, 0).with(register::HEADER, 0x01_0000).with(register::BUSES, 0xff_0000);
    space.put(at(0, 1, 0), bridge);
    // A structure of virtio at the end of configuration space.
    let late = FakeFunction::new(0x1af4, 0x1042, 0x01_0000, 0)
        .with(register::COMMAND, u32::from(STATUS_CAPABILITIES) << 16)
        .with(register::CAPABILITIES, 0xfc)
        .with(0xfc, 0x0114_0009);
    space.put(at(0, 2, 0), late);
    let found = scan(&mut space);
    assert_eq!(found.len(), 3);
    assert!(found[0].capabilities.len() < 64 && found[0].bars.is_empty());
    assert_eq!(found[2].capabilities, [Capability { offset: 0xfc, kind: Kind::Other(9) }]);
}

#[test]
fn a_chain_of_bridges_ends() {
    let mut space = FakeSpace::default();
    for bus in 0..=255 {
        let buses = u32::from(bus + (bus != 255) as u8) << 8;
        let bridge = FakeFunction::new(0x1b36, 0x0001, 0x06_0400, 0).with(register::HEADER, 0x01_0000).with(register::BUSES, buses);
        space.put(at(bus, 0, 0), bridge);
    }
    assert_eq!(scan(&mut space).len(), MOST_BUSES);
}

#[test]
fn lspci_reads_as_pciutils_does() {
    let found = scan(&mut machine());
    let listed: Vec<_> = found.iter().map(|function| Listed { function, driver: None }).collect();
    let text = list(&listed);
    let expected = "00:00.0 Host bridge: Intel Corporation 82G33/G31/P35/P31 Express DRAM Controller\n\
                    00:01.0 PCI bridge: Red Hat, Inc. QEMU PCIe Root port\n\
                    00:1f.0 ISA bridge: Intel Corporation 82801IB (ICH9) LPC Interface Controller (rev 02)\n\
                    00:1f.2 SATA controller: Intel Corporation 82801IR/IO/IH (ICH9R/DO/DH) 6 port SATA Controller [AHCI mode] (rev 02)\n\
                    01:00.0 SCSI storage controller: Red Hat, Inc. Virtio 1.0 block device (rev 01)\n";
    assert_eq!(text, expected);
    let disk = Listed { function: &found[4], driver: Some("virtio-blk (/dev/vda)") };
    let text = list_verbose(&[disk]);
    let lines: Vec<&str> = text.lines().skip(1).map(str::trim_start).collect();
    let expected = [
        "Subsystem: Red Hat, Inc. Device 1100",
        "Flags: bus master, IRQ 11, pin A",
        "Memory at febd1000 (32-bit, non-prefetchable) [size=4K]",
        "Memory at 8fe000000 (64-bit, prefetchable) [size=16K]",
        "Capabilities: [98] MSI-X: Enable+ Count=2 Masked-",
        "Capabilities: [40] Vendor Specific Information: VirtIO: CommonCfg BAR=4 offset=00000000 size=00001000",
        "Capabilities: [54] Vendor Specific Information: VirtIO: Notify BAR=4 offset=00003000 size=00001000",
        "Kernel driver in use: virtio-blk (/dev/vda)",
    ];
    assert_eq!(lines, expected);
    let parsed: serde_json::Value = serde_json::from_str(&list_json(&[disk])).unwrap();
    assert_eq!(parsed[0]["address"], "01:00.0");
    assert_eq!(parsed[0]["bars"][1]["bytes"], 0x4000);
}

#[test]
fn unknown_things_have_numbers() {
    let mut space = FakeSpace::default();
    space.put(Address { segment: 2, bus: 3, devfn: 0 }, FakeFunction::new(0x1234, 0x1111, 0x12_3400, 2));
    let found = scan_bus(&mut space, 2, 3);
    let text: String = list(&[Listed { function: &found[0], driver: None }]);
    assert_eq!(text, "0002:03:00.0 Class [1234]: Device 1234:1111 (rev 02)\n");
}
