//! `physdev_op`: the few device operations that an unprivileged guest issues (`physdev.h`).

/// Interrupt status: two `u32`, interrupt and out flags.
pub const OP_IRQ_STATUS_QUERY: u32 = 5;
/// [`SetIopl`].
pub const OP_SET_IOPL: u32 = 6;
/// [`SetIobitmap`].
pub const OP_SET_IOBITMAP: u32 = 7;
/// Read an I/O APIC register.
pub const OP_APIC_READ: u32 = 8;
/// Write an I/O APIC register.
pub const OP_APIC_WRITE: u32 = 9;
/// End of interrupt: one `u32`.
pub const OP_EOI: u32 = 12;
/// Map a physical interrupt.
pub const OP_MAP_PIRQ: u32 = 13;
/// Unmap it.
pub const OP_UNMAP_PIRQ: u32 = 14;
/// A shared page of interrupts that need an end of interrupt, version 1.
pub const OP_PIRQ_EOI_GMFN_V1: u32 = 17;
/// Set up a global interrupt.
pub const OP_SETUP_GSI: u32 = 21;
/// Get a free physical interrupt.
pub const OP_GET_FREE_PIRQ: u32 = 23;
/// Announce an ECAM range.
pub const OP_PCI_MMCFG_RESERVED: u32 = 24;
/// Announce a device.
pub const OP_PCI_DEVICE_ADD: u32 = 25;
/// Withdraw it.
pub const OP_PCI_DEVICE_REMOVE: u32 = 26;
/// A shared page of interrupts that need an end of interrupt, version 2.
pub const OP_PIRQ_EOI_GMFN_V2: u32 = 28;

layout! {
    /// Argument of [`OP_SET_IOPL`].
    SetIopl [4] {
        /// 0 to 3.
        @0 iopl: u32,
    }

    /// Argument of [`OP_SET_IOBITMAP`].
    SetIobitmap [16] {
        /// Guest address of the bitmap.
        @0 bitmap: u64,
        /// Its bits.
        @8 nr_ports: u32,
        /// Padding.
        @12 _pad: u32,
    }
}
