//! The records that the guest writes, made anew from their numbers: `load.pl` makes the same.

use anyhow::Result;
use regex::bytes::Regex;

/// Bytes of a record. Blocks of a file system are no multiple of it.
pub const BYTES: usize = 1000;
/// Words in a record, of 16 digits and a line end.
const WORDS: usize = 57;
/// Knuth's generator of 64 bits, with the multiplier and the increment of PCG.
const MULTIPLIER: u64 = 0x5851_f42d_4c95_7f2d;
const INCREMENT: u64 = 0x1405_7b7e_f767_814f;

/// All records of one seed.
#[derive(Clone, Copy, Debug)]
pub struct Records {
    /// The seed, as the guest is told it.
    pub seed: u32,
}

impl Records {
    /// The record of this number.
    pub fn make(self, number: u32) -> Vec<u8> {
        let mut word = u64::from(self.seed).wrapping_mul(MULTIPLIER).wrapping_add(number.into());
        let mut text = format!("domus-record {:08x} {number:08x}\n", self.seed);
        for _ in 0..WORDS {
            word = word.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
            text += &format!("{word:016x}\n");
        }
        text.into_bytes()
    }

    /// How many records, from the first on, `bytes` begins with.
    pub fn whole(self, bytes: &[u8]) -> u32 {
        let (records, _) = bytes.as_chunks::<BYTES>();
        (1..).zip(records).take_while(|&(number, record)| self.make(number) == record).count() as u32
    }

    /// Finds the numbers of records in what was written to a disk.
    ///
    /// # Errors
    /// None: the expression is one.
    pub fn finder(self) -> Result<Finder> {
        Ok(Finder(Regex::new(&format!("domus-record {:08x} ([0-9a-f]{{8}})\n", self.seed))?))
    }
}

/// Finds records.
#[derive(Debug)]
pub struct Finder(Regex);

impl Finder {
    /// The highest number among the records in `bytes`.
    pub fn highest(&self, bytes: &[u8]) -> Option<u64> {
        let digits = |found: &[u8]| u64::from_str_radix(str::from_utf8(found).ok()?, 16).ok();
        self.0.captures_iter(bytes).filter_map(|found| digits(found.get(1)?.as_bytes())).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS: Records = Records { seed: 7 };

    #[test]
    fn records_are_the_guests() {
        let record = RECORDS.make(0x29);
        assert_eq!(record.len(), BYTES);
        assert!(record.starts_with(b"domus-record 00000007 00000029\n13c2c32e4646a0e3\n1e77424463c16636\n"), "what load.pl prints");
    }

    #[test]
    fn whole_ones_are_counted_and_any_are_found() {
        let three = [RECORDS.make(1), RECORDS.make(2), RECORDS.make(3)].concat();
        assert_eq!((RECORDS.whole(&three), RECORDS.whole(&three[..2999]), RECORDS.whole(&three[1..])), (3, 2, 0));
        let finder = RECORDS.finder().unwrap();
        assert_eq!(finder.highest(&three[500..]), Some(3));
        assert_eq!(finder.highest(&Records { seed: 8 }.make(9)), None);
    }
}
