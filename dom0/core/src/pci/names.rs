//! Names, as the public list of PCI identifiers has them: the classes, and the devices of the machines that Domus is run in. Others are
//! shown by number.

/// The name of a class and subclass (bits 15-8 and 7-0).
pub fn class_name(class: u16) -> Option<&'static str> {
    Some(match class {
        0x0000 => "Non-VGA unclassified device",
        0x00ff => "Unclassified device",
        0x0100 => "SCSI storage controller",
        0x0101 => "IDE interface",
        0x0104 => "RAID bus controller",
        0x0106 => "SATA controller",
        0x0107 => "Serial Attached SCSI controller",
        0x0108 => "Non-Volatile memory controller",
        0x0180 => "Mass storage controller",
        0x0200 => "Ethernet controller",
        0x0280 => "Network controller",
        0x0300 => "VGA compatible controller",
        0x0302 => "3D controller",
        0x0380 => "Display controller",
        0x0401 => "Multimedia audio controller",
        0x0403 => "Audio device",
        0x0500 => "RAM memory",
        0x0580 => "Memory controller",
        0x0600 => "Host bridge",
        0x0601 => "ISA bridge",
        0x0604 => "PCI bridge",
        0x0680 => "Bridge",
        0x0700 => "Serial controller",
        0x0780 => "Communication controller",
        0x0805 => "SD Host controller",
        0x0880 => "System peripheral",
        0x0900 => "Keyboard controller",
        0x0980 => "Input device controller",
        0x0c03 => "USB controller",
        0x0c05 => "SMBus",
        0x1000 => "Network and computing encryption device",
        0x1180 => "Signal processing controller",
        0xff00 => "Unassigned class",
        _ => return None,
    })
}

/// The name of a vendor.
pub fn vendor_name(vendor: u16) -> Option<&'static str> {
    Some(match vendor {
        0x1013 => "Cirrus Logic",
        0x1022 => "Advanced Micro Devices, Inc. [AMD]",
        0x10de => "NVIDIA Corporation",
        0x10ec => "Realtek Semiconductor Co., Ltd.",
        0x144d => "Samsung Electronics Co Ltd",
        0x1af4 | 0x1b36 => "Red Hat, Inc.",
        0x8086 => "Intel Corporation",
        _ => return None,
    })
}

/// The name of a device.
pub fn device_name(vendor: u16, device: u16) -> Option<&'static str> {
    match vendor {
        0x1af4 => virtio(device),
        0x1b36 => qemu(device),
        0x8086 => intel(device),
        _ => None,
    }
}

fn virtio(device: u16) -> Option<&'static str> {
    Some(match device {
        0x1000 => "Virtio network device",
        0x1001 => "Virtio block device",
        0x1002 => "Virtio memory balloon",
        0x1003 => "Virtio console",
        0x1004 => "Virtio SCSI",
        0x1005 => "Virtio RNG",
        0x1009 => "Virtio filesystem",
        0x1041 => "Virtio 1.0 network device",
        0x1042 => "Virtio 1.0 block device",
        0x1043 => "Virtio 1.0 console",
        0x1044 => "Virtio 1.0 RNG",
        0x1045 => "Virtio 1.0 memory balloon",
        0x1048 => "Virtio 1.0 SCSI",
        0x1049 => "Virtio 1.0 filesystem",
        0x1050 => "Virtio 1.0 GPU",
        0x1052 => "Virtio 1.0 input",
        0x1053 => "Virtio 1.0 socket",
        0x1110 => "Inter-VM shared memory",
        _ => return None,
    })
}

fn qemu(device: u16) -> Option<&'static str> {
    Some(match device {
        0x0001 => "QEMU PCI-PCI bridge",
        0x0002 => "QEMU PCI 16550A Adapter",
        0x0008 => "QEMU PCIe Host bridge",
        0x000b => "QEMU PCIe Expander bridge",
        0x000c => "QEMU PCIe Root port",
        0x000d => "QEMU XHCI Host Controller",
        0x000e => "QEMU PCIe-to-PCI bridge",
        0x0010 => "QEMU NVM Express Controller",
        0x0100 => "QXL paravirtual graphic card",
        _ => return None,
    })
}

fn intel(device: u16) -> Option<&'static str> {
    Some(match device {
        0x100e => "82540EM Gigabit Ethernet Controller",
        0x10d3 => "82574L Gigabit Network Connection",
        0x1237 => "440FX - 82441FX PMC [Natoma]",
        0x2918 => "82801IB (ICH9) LPC Interface Controller",
        0x2922 => "82801IR/IO/IH (ICH9R/DO/DH) 6 port SATA Controller [AHCI mode]",
        0x2930 => "82801I (ICH9 Family) SMBus Controller",
        0x2934 => "82801I (ICH9 Family) USB UHCI Controller #1",
        0x293a => "82801I (ICH9 Family) USB2 EHCI Controller #1",
        0x29c0 => "82G33/G31/P35/P31 Express DRAM Controller",
        0x7000 => "82371SB PIIX3 ISA [Natoma/Triton II]",
        0x7010 => "82371SB PIIX3 IDE [Natoma/Triton II]",
        0x7113 => "82371AB/EB/MB PIIX4 ACPI",
        _ => return None,
    })
}
