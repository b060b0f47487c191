//! MADT: which CPUs there are and how ISA interrupt lines reach the I/O APIC (ACPI 6.5, 5.2.12).

use super::{Physical, Tables, number};

/// I/O APICs that are remembered.
pub const MAX_IO_APICS: usize = 14;
/// More records than any machine has.
const MAX_RECORDS: usize = 4096;

/// Where an ISA line arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterruptLine {
    /// Physical address of the I/O APIC.
    pub io_apic: u64,
    /// Its input.
    pub pin: u32,
    /// Active low.
    pub low_active: bool,
    /// Level-triggered.
    pub level: bool,
}

/// What the MADT says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Interrupts {
    /// CPUs that are enabled.
    pub cpus: u32,
    io_apic: u64,
    io_apic_base: u32,
    io_apics: [u64; MAX_IO_APICS],
    overrides: [Option<(u8, u32, u16)>; 16],
}

impl Interrupts {
    /// Reads the MADT.
    pub fn read<P: Physical>(tables: &Tables<'_, P>) -> Option<Interrupts> {
        let table = tables.table(b"APIC")?;
        let mut result = Interrupts::default();
        let end = table.address.saturating_add(table.length);
        let mut at = table.address + 44;
        for _ in 0..MAX_RECORDS {
            let length = number::<1>(tables.memory, at + 1);
            if length < 2 || at + length > end {
                break;
            }
            result.record(tables.memory, at);
            at += length;
        }
        Some(result)
    }

    fn record(&mut self, memory: &impl Physical, at: u64) {
        match number::<1>(memory, at) {
            0 => self.cpus += (number::<4>(memory, at + 4) & 1) as u32,
            9 => self.cpus += (number::<4>(memory, at + 8) & 1) as u32,
            1 => {
                let address = number::<4>(memory, at + 4);
                if self.io_apic == 0 {
                    self.io_apic = address;
                    self.io_apic_base = number::<4>(memory, at + 8) as u32;
                }
                if let Some(slot) = self.io_apics.iter_mut().find(|slot| **slot == 0) {
                    *slot = address;
                }
            }
            2 => {
                let (irq, line, flags) =
                    (number::<1>(memory, at + 3) as u8, number::<4>(memory, at + 4) as u32, number::<2>(memory, at + 8) as u16);
                if let Some(slot) = self.overrides.iter_mut().find(|slot| slot.is_none()) {
                    *slot = Some((irq, line, flags));
                }
            }
            _ => {}
        }
    }

    /// Physical addresses of the I/O APICs, the first [`MAX_IO_APICS`].
    pub fn io_apics(&self) -> impl Iterator<Item = u64> {
        self.io_apics.into_iter().filter(|&address| address != 0)
    }

    /// Where ISA line `irq` arrives; `None` without an I/O APIC.
    pub fn isa_line(&self, irq: u8) -> Option<InterruptLine> {
        if self.io_apic == 0 {
            return None;
        }
        let (line, flags) = self
            .overrides
            .iter()
            .flatten()
            .find(|(source, ..)| *source == irq)
            .map_or((u32::from(irq), 0), |&(_, line, flags)| (line, flags));
        let pin = line.checked_sub(self.io_apic_base)?;
        Some(InterruptLine { io_apic: self.io_apic, pin, low_active: flags & 3 == 3, level: flags >> 2 & 3 == 3 })
    }
}
