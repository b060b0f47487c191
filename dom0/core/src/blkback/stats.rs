//! What a device has done, for `dom block-list`.

use super::request::Fault;

/// Counters since the device was made. They count what was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Reads.
    pub reads: u64,
    /// Sectors of 512 bytes that were read.
    pub sectors_read: u64,
    /// Writes, those with a barrier among them.
    pub writes: u64,
    /// Sectors of 512 bytes that were written.
    pub sectors_written: u64,
    /// Flushes.
    pub flushes: u64,
    /// Discards.
    pub discards: u64,
    /// Requests that the disk failed.
    pub errors: u64,
    /// Requests that were refused for what they said.
    pub refused: u64,
    /// Requests, of those above, that went the quick way.
    pub quick: u64,
    /// Pages that were mapped for requests.
    pub mapped: u64,
}

/// A request that is done, for counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A read.
    #[default]
    Read,
    /// A write.
    Write,
    /// A flush.
    Flush,
    /// A discard.
    Discard,
}

impl Stats {
    /// Counts a request that was carried out, or failed on the way.
    pub fn count(&mut self, kind: Kind, sectors: u64, okay: bool) {
        if !okay {
            self.errors += 1;
            return;
        }
        match kind {
            Kind::Read => (self.reads, self.sectors_read) = (self.reads + 1, self.sectors_read + sectors),
            Kind::Write => (self.writes, self.sectors_written) = (self.writes + 1, self.sectors_written + sectors),
            Kind::Flush => self.flushes += 1,
            Kind::Discard => self.discards += 1,
        }
    }

    /// Adds what another queue has counted.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.reads, other.reads),
            (&mut self.sectors_read, other.sectors_read),
            (&mut self.writes, other.writes),
            (&mut self.sectors_written, other.sectors_written),
            (&mut self.flushes, other.flushes),
            (&mut self.discards, other.discards),
            (&mut self.errors, other.errors),
            (&mut self.refused, other.refused),
            (&mut self.quick, other.quick),
            (&mut self.mapped, other.mapped),
        ];
        pairs.into_iter().for_each(|(sum, more)| *sum += more);
    }

    /// Counts a request that was refused.
    pub fn refuse(&mut self, _: Fault) {
        self.refused += 1;
    }

    /// All requests that were answered.
    pub fn requests(&self) -> u64 {
        self.reads + self.writes + self.flushes + self.discards + self.errors + self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_once() {
        let mut stats = Stats::default();
        stats.count(Kind::Read, 8, true);
        stats.count(Kind::Read, 8, false);
        stats.count(Kind::Write, 16, true);
        stats.count(Kind::Flush, 0, true);
        stats.count(Kind::Discard, 100, true);
        stats.refuse(Fault::Range);
        assert_eq!((stats.reads, stats.sectors_read, stats.errors, stats.refused), (1, 8, 1, 1));
        assert_eq!((stats.sectors_written, stats.requests()), (16, 6));
        let mut sum = stats;
        sum.add(&stats);
        assert_eq!((sum.requests(), sum.sectors_read, sum.discards), (12, 16, 2));
    }
}
