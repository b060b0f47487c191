//! Bytes for people: sixteen a line, and the checksum that `crc32` and zip files use.

use pv_guest_sdk::{print, println};

/// Prints bytes as `hexdump -C` does.
pub fn hex(data: &[u8]) {
    for (index, line) in data.chunks(16).enumerate() {
        print!("{:08x}  ", index * 16);
        line.iter().for_each(|byte| print!("{byte:02x} "));
        (line.len()..16).for_each(|_| print!("   "));
        print!(" |");
        line.iter().for_each(|&byte| print!("{}", if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '.' }));
        println!("|");
    }
}

/// CRC-32 (ISO-HDLC): the polynomial 0x04c11db7, reflected.
pub struct Crc32 {
    table: [u32; 256],
    value: u32,
}

impl Crc32 {
    /// Of nothing.
    pub fn new() -> Crc32 {
        let entry = |index: usize| (0..8).fold(index as u32, |value, _| value >> 1 ^ if value & 1 != 0 { 0xedb8_8320 } else { 0 });
        Crc32 { table: core::array::from_fn(entry), value: !0 }
    }

    /// Goes on with more bytes.
    pub fn add(&mut self, data: &[u8]) {
        let step = |value: u32, &byte: &u8| value >> 8 ^ self.table[usize::from(value as u8 ^ byte)];
        self.value = data.iter().fold(self.value, step);
    }

    /// Of all so far.
    pub fn value(&self) -> u32 {
        !self.value
    }
}
