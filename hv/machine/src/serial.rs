//! The two 16550 UARTs: COM1 is the first domain's console, COM2 the hypervisor's log; with one UART they share it.

use core::sync::atomic::{AtomicU16, Ordering};

use crate::port::{inb, outb};

/// A UART by its I/O port base.
pub struct Serial(AtomicU16);

/// The first domain's console.
pub static CONSOLE: Serial = Serial(AtomicU16::new(0));
/// The hypervisor's log.
pub static LOG: Serial = Serial(AtomicU16::new(0));

const COM1: u16 = 0x3f8;
const COM2: u16 = 0x2f8;

const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const FIFO: u16 = 2;
const LINE: u16 = 3;
const MODEM: u16 = 4;
const STATUS: u16 = 5;
const SCRATCH: u16 = 7;
const STATUS_RECEIVED: u8 = 1;
const STATUS_SENDER_EMPTY: u8 = 0x20;
/// How often a full sender is asked before a byte is given up: a UART without a line must not hang the machine.
const PATIENCE: u32 = 100_000;

/// Finds and sets up the UARTs: 115200 8n1, FIFOs on, interrupts off.
pub fn init() {
    let first = probe(COM1).then_some(COM1);
    let second = probe(COM2).then_some(COM2);
    CONSOLE.0.store(first.or(second).unwrap_or(0), Ordering::Relaxed);
    LOG.0.store(second.or(first).unwrap_or(0), Ordering::Relaxed);
}

fn probe(base: u16) -> bool {
    outb(base + SCRATCH, 0x5a);
    if inb(base + SCRATCH) != 0x5a {
        return false;
    }
    outb(base + INTERRUPT_ENABLE, 0);
    outb(base + LINE, 0x80);
    outb(base + DATA, 1);
    outb(base + INTERRUPT_ENABLE, 0);
    outb(base + LINE, 3);
    // Switching the FIFO on empties it: if something was typed already, it stays off.
    let typed = inb(base + STATUS) & STATUS_RECEIVED != 0;
    outb(base + FIFO, if typed { 0 } else { 0xc7 });
    outb(base + MODEM, 0x0b);
    true
}

impl Serial {
    /// True if there is such a UART.
    pub fn present(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Sends bytes, waiting for the line.
    pub fn write(&self, bytes: &[u8]) {
        let base = self.0.load(Ordering::Relaxed);
        if base == 0 {
            return;
        }
        for &byte in bytes {
            let mut patience = PATIENCE;
            while inb(base + STATUS) & STATUS_SENDER_EMPTY == 0 && patience > 0 {
                patience -= 1;
                core::hint::spin_loop();
            }
            outb(base + DATA, byte);
        }
    }

    /// Takes one received byte, if there is one.
    pub fn read(&self) -> Option<u8> {
        let base = self.0.load(Ordering::Relaxed);
        (base != 0 && inb(base + STATUS) & STATUS_RECEIVED != 0).then(|| inb(base + DATA))
    }

    /// Lets received bytes interrupt.
    pub fn enable_receive_interrupt(&self) {
        let base = self.0.load(Ordering::Relaxed);
        if base != 0 {
            outb(base + INTERRUPT_ENABLE, 1);
        }
    }

    /// The ISA interrupt line of this UART: 4 for COM1, 3 for COM2.
    pub fn irq(&self) -> Option<u8> {
        match self.0.load(Ordering::Relaxed) {
            COM1 => Some(4),
            COM2 => Some(3),
            _ => None,
        }
    }
}
