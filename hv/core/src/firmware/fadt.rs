//! FADT: how the machine is switched off and reset (ACPI 6.5, 5.2.9).

use super::{Physical, Tables, aml, number};

/// A register that resets the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResetRegister {
    /// Its I/O port.
    pub port: u16,
    /// What to write.
    pub value: u8,
}

/// The ways out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Power {
    /// I/O port of PM1a control and the word that powers off (`SLP_TYPa` of `\_S5`, with `SLP_EN`).
    pub off: Option<(u16, u16)>,
    /// Reset, if it is an I/O port.
    pub reset: Option<ResetRegister>,
}

const SLEEP_ENABLE: u16 = 1 << 13;
const RESET_SUPPORTED: u64 = 1 << 10;
const IO_SPACE: u64 = 1;

impl Power {
    /// Reads the FADT and `\_S5` of the DSDT.
    pub fn read<P: Physical>(tables: &Tables<'_, P>) -> Option<Power> {
        let fadt = tables.table(b"FACP")?;
        let field4 = |offset| number::<4>(tables.memory, fadt.address + offset);
        let long = fadt.length >= 148;
        let dsdt = Some(()).filter(|()| long).map(|()| number::<8>(tables.memory, fadt.address + 140)).filter(|&at| at != 0);
        let dsdt = dsdt.unwrap_or_else(|| field4(40));
        let port = field4(64) as u16;
        let off =
            aml::sleep_type_s5(tables.memory, dsdt).filter(|_| port != 0).map(|kind| (port, u16::from(kind & 7) << 10 | SLEEP_ENABLE));
        let space = number::<1>(tables.memory, fadt.address + 116);
        let reset = (fadt.length >= 129 && field4(112) & RESET_SUPPORTED != 0 && space == IO_SPACE).then(|| ResetRegister {
            port: number::<8>(tables.memory, fadt.address + 120) as u16,
            value: number::<1>(tables.memory, fadt.address + 128) as u8,
        });
        Some(Power { off, reset })
    }
}
