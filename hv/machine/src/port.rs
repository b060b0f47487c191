//! I/O ports of the platform's own devices. Guests have none: their port instructions are emulated by rules in `hv-core`.

use core::arch::asm;

/// Reads a byte.
#[inline]
pub fn inb(port: u16) -> u8 {
    let value: u8;
    // SAFETY: the platform's ports that this crate names (UART, PIT, RTC, ACPI) do not change memory.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes a byte.
#[inline]
pub fn outb(port: u16, value: u8) {
    // SAFETY: as in `inb`; none of these devices is told to use DMA.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) };
}

/// Reads a 16-bit word.
#[inline]
pub fn inw(port: u16) -> u16 {
    let value: u16;
    // SAFETY: as in `inb`.
    unsafe { asm!("in ax, dx", in("dx") port, out("ax") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes a 16-bit word.
#[inline]
pub fn outw(port: u16, value: u16) {
    // SAFETY: as in `outb`.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags)) };
}

/// Reads a 32-bit word.
#[inline]
pub fn inl(port: u16) -> u32 {
    let value: u32;
    // SAFETY: as in `inb`.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags)) };
    value
}
