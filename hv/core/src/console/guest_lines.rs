//! Lines that a guest writes for the log: gathered from pieces, made harmless, and limited in number.

use zerocopy::FromZeros;

/// The longest line; a longer one is broken.
pub const LINE: usize = 120;

/// How many lines a domain may write at once after a silence.
pub const BURST: u64 = 200;

/// How long it takes until a domain may write one more line, in nanoseconds (50 lines a second).
pub const REFILL: u64 = 20_000_000;

/// A domain's unfinished line and its allowance. All zero is a domain that never wrote.
#[derive(FromZeros)]
#[repr(C)]
pub struct DomainConsole {
    line: [u8; LINE],
    used: usize,
    /// At this time (ns since boot) the allowance is full again.
    full_at: u64,
    dropped: u64,
}

/// A finished line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// Printable ASCII.
    pub text: &'a str,
    /// How many lines before it were dropped.
    pub dropped: u64,
}

impl DomainConsole {
    /// Takes bytes that the guest wrote at `now` (ns since boot) and hands every finished line that the allowance permits to `log`.
    pub fn write(&mut self, bytes: &[u8], now: u64, mut log: impl FnMut(Line<'_>)) {
        for &byte in bytes {
            if byte == b'\n' {
                self.finish(now, &mut log);
                continue;
            }
            if self.used == LINE {
                self.finish(now, &mut log);
            }
            match byte {
                b'\t' | b' '..=b'~' => self.add(byte),
                0x80.. => self.add(b'?'),
                _ => {}
            }
        }
    }

    fn add(&mut self, byte: u8) {
        self.line[self.used] = byte;
        self.used += 1;
    }

    fn finish(&mut self, now: u64, log: &mut impl FnMut(Line<'_>)) {
        let used = core::mem::take(&mut self.used);
        if !self.permit(now) {
            self.dropped += 1;
            return;
        }
        let dropped = core::mem::take(&mut self.dropped);
        let text = core::str::from_utf8(&self.line[..used]).expect("only ASCII is added");
        log(Line { text, dropped });
    }

    /// Takes one line from the allowance, if there is one.
    fn permit(&mut self, now: u64) -> bool {
        let full_at = self.full_at.max(now).saturating_add(REFILL);
        let permitted = full_at - now <= BURST * REFILL;
        if permitted {
            self.full_at = full_at;
        }
        permitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn written(console: &mut DomainConsole, bytes: &[u8], now: u64) -> Vec<(String, u64)> {
        let mut lines = Vec::new();
        console.write(bytes, now, |line| lines.push((line.text.to_string(), line.dropped)));
        lines
    }

    #[test]
    fn lines_are_gathered_broken_and_made_harmless() {
        let mut console = DomainConsole::new_zeroed();
        assert_eq!(written(&mut console, b"ab", 0), []);
        assert_eq!(written(&mut console, b"c\x1b[2Jd\r\n\xff\t.\n", 0), [("abc[2Jd".into(), 0), ("?\t.".into(), 0)]);
        let long = [b'x'; 3 * LINE];
        let lines = written(&mut console, &long, 0);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|(text, _)| text.len() == LINE));
    }

    #[test]
    fn a_flood_is_dropped_and_counted_and_the_allowance_comes_back() {
        let mut console = DomainConsole::new_zeroed();
        let flood = [b'\n'; 1000];
        assert_eq!(written(&mut console, &flood, 5).len() as u64, BURST);
        assert_eq!(written(&mut console, b"\n", 5 + REFILL - 1), []);
        assert_eq!(written(&mut console, b"late\n", 5 + REFILL), [("late".into(), 1000 - BURST + 1)]);
        assert_eq!(written(&mut console, &flood, 5 + REFILL).len(), 0);
        assert_eq!(written(&mut console, &flood, u64::MAX / 2).len() as u64, BURST);
    }
}
