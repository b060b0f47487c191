//! Numbers that look random and are the same on every run.

use domus_hv_core::emulate::regs::PlainRegisters;

/// Registers with nothing in common, so that a mistaken one shows.
pub fn registers(seed: u64) -> PlainRegisters {
    let mut random = Random(seed | 1);
    PlainRegisters {
        gprs: std::array::from_fn(|_| random.next()),
        rip: random.next(),
        rflags: 2,
        fs_base: random.next(),
        gs_base: random.next(),
    }
}

/// A small generator (xorshift*), the same numbers on every run.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.next() % from.len() as u64) as usize]
    }
}
