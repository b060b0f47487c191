//! A made-up machine's tables, and what hostile ones must not do.

use std::vec::Vec;

use super::*;

struct Memory(Vec<u8>);

impl Physical for Memory {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let Some(from) = usize::try_from(address).ok().and_then(|start| self.0.get(start..start.checked_add(into.len())?)) else {
            return false;
        };
        into.copy_from_slice(from);
        true
    }
}

impl Memory {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn table(&mut self, at: usize, signature: &[u8; 4], body: &[u8]) {
        self.put(at, signature);
        self.put(at + 4, &(36 + body.len() as u32).to_le_bytes());
        self.put(at + 36, body);
    }
}

fn machine() -> Memory {
    let mut memory = Memory(std::vec![0; 0x2000]);
    memory.put(0x100, b"RSD PTR ");
    memory.put(0x10f, &[2]);
    memory.put(0x118, &0x200u64.to_le_bytes());
    let mut list = Vec::new();
    for table in [0x300u64, 0x500, 0x900] {
        list.extend(table.to_le_bytes());
    }
    memory.table(0x200, b"XSDT", &list);
    let mut madt = std::vec![0; 8];
    madt.extend([0, 8, 0, 0, 1, 0, 0, 0]); // a CPU
    madt.extend([0, 8, 1, 1, 0, 0, 0, 0]); // one that is off
    madt.extend([1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
    madt.extend([2, 10, 0, 3, 9, 0, 0, 0, 0x0f, 0]); // IRQ 3 at input 9, low, level
    memory.table(0x300, b"APIC", &madt);
    let mut fadt = std::vec![0; 200];
    fadt[40 - 36..44 - 36].copy_from_slice(&0xa00u32.to_le_bytes());
    fadt[64 - 36..68 - 36].copy_from_slice(&0x604u32.to_le_bytes());
    fadt[112 - 36..116 - 36].copy_from_slice(&(1u32 << 10).to_le_bytes());
    fadt[116 - 36] = 1;
    fadt[120 - 36..128 - 36].copy_from_slice(&0xcf9u64.to_le_bytes());
    fadt[128 - 36] = 0x0f;
    memory.table(0x500, b"FACP", &fadt);
    let mut mcfg = std::vec![0; 8];
    mcfg.extend(0xb000_0000u64.to_le_bytes());
    mcfg.extend([0, 0, 0, 255, 0, 0, 0, 0]);
    memory.table(0x900, b"MCFG", &mcfg);
    let mut dsdt = std::vec![0x10; 59]; // so that the name crosses a chunk's end
    dsdt.extend(b"\x08_S5_\x12\x07\x04\x0a\x05\x00\x00\x00");
    memory.table(0xa00, b"DSDT", &dsdt);
    memory
}

#[test]
fn reads_a_machine() {
    let memory = machine();
    let tables = Tables::find(&memory, 0x100).expect("an RSDP");
    let interrupts = Interrupts::read(&tables).expect("a MADT");
    assert_eq!(interrupts.cpus, 1);
    assert_eq!(interrupts.isa_line(4), Some(InterruptLine { io_apic: 0xfec0_0000, pin: 4, low_active: false, level: false }));
    assert_eq!(interrupts.isa_line(3), Some(InterruptLine { io_apic: 0xfec0_0000, pin: 9, low_active: true, level: true }));
    let power = Power::read(&tables).expect("an FADT");
    assert_eq!(power.off, Some((0x604, 5 << 10 | 1 << 13)));
    assert_eq!(power.reset, Some(ResetRegister { port: 0xcf9, value: 0x0f }));
    assert_eq!(Ecam::read(&tables, 0), Some(Ecam { base: 0xb000_0000, segment: 0, first_bus: 0, last_bus: 255 }));
    assert_eq!(Ecam::read(&tables, 1), None);
}

#[test]
fn a_missing_rsdp_is_none() {
    let memory = machine();
    assert!(Tables::find(&memory, 0x108).is_none());
    assert!(Tables::find(&memory, u64::MAX - 3).is_none());
}

#[test]
fn records_of_length_zero_end_the_list() {
    let mut memory = machine();
    memory.put(0x300 + 44 + 1, &[0]);
    let tables = Tables::find(&memory, 0x100).expect("an RSDP");
    assert_eq!(Interrupts::read(&tables).expect("a MADT").cpus, 0);
}

#[test]
fn a_machine_without_s5_says_so() {
    let mut memory = machine();
    memory.put(0xa00 + 36 + 59, b"\x14"); // a method, not a name
    let tables = Tables::find(&memory, 0x100).expect("an RSDP");
    assert_eq!(Power::read(&tables).expect("an FADT").off, None);
}
