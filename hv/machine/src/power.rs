//! Ending: power off by ACPI's PM1a register, reset by the FADT's register, then 0xcf9, then the keyboard controller.

use hv_core::firmware::Power;
use spin::Once;

use crate::port::{inb, inw, outb, outw};

static POWER: Once<Power> = Once::new();

/// Remembers what the firmware's tables said.
pub fn init(power: Power) {
    POWER.call_once(|| power);
}

/// Switches the machine off; halts if it cannot.
pub fn off() -> ! {
    match POWER.get().and_then(|power| power.off) {
        Some((port, value)) => outw(port, inw(port) & !(7 << 10) | value),
        None => crate::warn!("no ACPI power-off found: the machine stays on, halted"),
    }
    crate::processor::stop()
}

/// Resets the machine; halts if it cannot.
pub fn reset() -> ! {
    if let Some(register) = POWER.get().and_then(|power| power.reset) {
        outb(register.port, register.value);
        settle();
    }
    outb(0xcf9, 0x02);
    outb(0xcf9, 0x06);
    settle();
    outb(0x64, 0xfe);
    settle();
    crate::warn!("no reset took: the machine is halted");
    crate::processor::stop()
}

/// Gives the chipset the time of some port reads.
fn settle() {
    for _ in 0..1000 {
        inb(0x80);
    }
}
