//! Numbers that look random and are the same on every run, so that failures repeat.

/// A small generator (xorshift). It must not begin with 0.
pub struct Random(pub u64);

impl Random {
    /// The next number below a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
