//! Memory and registers that a device shares with us, as the rules see them.

/// Zeroed memory that both a device and we read and write. Every access is one of its width, made once.
pub trait Shared {
    /// The machine address of a byte. Contiguous within each page of 4096 bytes; the memory begins with one.
    fn machine(&self, at: usize) -> u64;
    /// Reads a byte.
    fn get8(&self, at: usize) -> u8;
    /// Reads 16 bits; `at` is a multiple of 2.
    fn get16(&self, at: usize) -> u16;
    /// Reads 32 bits; `at` is a multiple of 4.
    fn get32(&self, at: usize) -> u32;
    /// Writes a byte.
    fn set8(&self, at: usize, value: u8);
    /// Writes 16 bits; `at` is a multiple of 2.
    fn set16(&self, at: usize, value: u16);
    /// Writes 64 bits; `at` is a multiple of 8. The device may see them in two halves.
    fn set64(&self, at: usize, value: u64);
    /// Writes 64 bits several times, one behind the other.
    fn set_words<const N: usize>(&self, at: usize, words: [u64; N]) {
        (at..).step_by(size_of::<u64>()).zip(words).for_each(|(at, word)| self.set64(at, word));
    }
}

/// Registers of a device: one of virtio's structures. What lies beyond its end reads as 0, and writes there do nothing.
pub trait Registers {
    /// Reads 8 bits.
    fn get8(&self, at: usize) -> u8;
    /// Reads 16 bits; `at` is a multiple of 2.
    fn get16(&self, at: usize) -> u16;
    /// Reads 32 bits; `at` is a multiple of 4.
    fn get32(&self, at: usize) -> u32;
    /// Writes 8 bits.
    fn set8(&self, at: usize, value: u8);
    /// Writes 16 bits; `at` is a multiple of 2.
    fn set16(&self, at: usize, value: u16);
    /// Writes 32 bits; `at` is a multiple of 4.
    fn set32(&self, at: usize, value: u32);
}
