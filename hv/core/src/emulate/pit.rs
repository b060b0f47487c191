//! Channel 2 of the PIT and port 0x61, the speaker gate: the one timer that kernels use before they know of any other.
//!
//! Linux calibrates the TSC by watching this channel, and gives up after 100,000 reads of port 0x42 if nobody answers. Here the output
//! (port 0x61, bit 5) is exact, so whoever waits for it measures right. The count is honest but coarse, 1024 ticks (0.86 ms) and
//! already a step ahead: Linux's quick loop, which wants to see every 256 ticks, gives up at its first look and asks the hypervisor's
//! clock instead. Channels 0 and 1 do not exist. The read-back command latches the count only, and BCD counts as binary.

use zerocopy::FromZeros;

/// Input frequency in Hz.
const FREQUENCY: u128 = 1_193_182;
/// Granularity of the visible count, in ticks.
const GRAIN: u64 = 1024;
/// How often the memory refresh bit of port 0x61 changes, in ns.
const REFRESH_NS: u64 = 15_085;

const GATE: u8 = 1;
const SPEAKER: u8 = 2;
const REFRESH: u8 = 1 << 4;
const OUTPUT: u8 = 1 << 5;

/// The state of the channel; all zero is its state at reset.
#[derive(FromZeros, Clone, Copy, Debug)]
#[repr(C)]
pub struct Pit2 {
    /// When the count began, ns.
    started: u64,
    /// Count to start from; 0 is 65536.
    reload: u16,
    /// Count to be read, if `latched`.
    latch: u16,
    /// Bits 4 and 5 of the control word: 1 low byte, 2 high byte, 3 both.
    access: u8,
    /// Bits 1 to 3 of the control word.
    mode: u8,
    /// GATE and SPEAKER.
    port61: u8,
    /// The low byte of two, once written.
    low: u8,
    /// The next byte to be written is the high one of two.
    write_high: bool,
    /// The next byte to be read is the high one of two.
    read_high: bool,
    latched: bool,
    /// A count was loaded since the last control word.
    loaded: bool,
}

impl Pit2 {
    /// Reads port 0x61.
    pub fn read_61(&self, now: u64) -> u8 {
        let refresh = if now / REFRESH_NS % 2 == 1 { REFRESH } else { 0 };
        let output = if self.output(now) { OUTPUT } else { 0 };
        self.port61 | refresh | output
    }

    /// Writes port 0x61. Raising the gate starts the count from its beginning.
    pub fn write_61(&mut self, value: u8, now: u64) {
        if value & GATE != 0 && self.port61 & GATE == 0 {
            self.started = now;
        }
        self.port61 = value & (GATE | SPEAKER);
    }

    /// Writes port 0x43, the control word.
    pub fn control(&mut self, value: u8, now: u64) {
        match (value >> 6, value >> 4 & 3) {
            (2, 0) => self.latch(now),
            (2, access) => {
                *self = Pit2 { port61: self.port61, access, mode: value >> 1 & 7, ..Pit2::new_zeroed() };
            }
            (3, _) if value & 1 << 5 == 0 && value & 1 << 3 != 0 => self.latch(now),
            _ => {}
        }
    }

    /// Writes port 0x42, a byte of the count.
    pub fn write_42(&mut self, value: u8, now: u64) {
        let [low, high] = match (self.access, self.write_high) {
            (3, false) => {
                self.low = value;
                self.write_high = true;
                return;
            }
            (3, true) => [self.low, value],
            (2, _) => [0, value],
            _ => [value, 0],
        };
        self.write_high = false;
        self.reload = u16::from_le_bytes([low, high]);
        self.loaded = true;
        self.started = now;
    }

    /// Reads port 0x42, a byte of the count.
    pub fn read_42(&mut self, now: u64) -> u8 {
        let count = if self.latched { self.latch } else { self.count(now) };
        let [low, high] = count.to_le_bytes();
        let (byte, more) = match (self.access, self.read_high) {
            (3, false) => (low, true),
            (3, true) | (2, _) => (high, false),
            _ => (low, false),
        };
        self.read_high = more;
        self.latched &= more;
        byte
    }

    fn latch(&mut self, now: u64) {
        if !self.latched {
            self.latch = self.count(now);
            self.latched = true;
        }
    }

    /// Ticks since the count began.
    fn ticks(&self, now: u64) -> u64 {
        if self.port61 & GATE == 0 || !self.loaded {
            return 0;
        }
        let elapsed = u128::from(now.saturating_sub(self.started));
        (elapsed * FREQUENCY / 1_000_000_000) as u64
    }

    fn period(&self) -> u64 {
        if self.reload == 0 { 65536 } else { self.reload.into() }
    }

    /// Modes 2 and 6 divide the rate, 3 and 7 make a square wave; the others count down once and go on round.
    fn count(&self, now: u64) -> u16 {
        let seen = (self.ticks(now) / GRAIN + 1).wrapping_mul(GRAIN);
        let period = self.period();
        let left = match self.mode & 3 {
            2 => period - seen % period,
            3 => period - seen.wrapping_mul(2) % period,
            _ => period.wrapping_sub(seen),
        };
        left as u16
    }

    fn output(&self, now: u64) -> bool {
        let ticks = self.ticks(now);
        let period = self.period();
        match self.mode & 3 {
            2 => ticks % period != period - 1,
            3 => ticks % period < period.div_ceil(2),
            _ => self.loaded && ticks > period,
        }
    }
}
