//! A record: a head, bytes that follow from its number, and a checksum over all of it.
//!
//! | Bytes | What |
//! |---|---|
//! | 0..8 | `DOMUSJR1` |
//! | 8..16 | the seed, little-endian like all numbers here |
//! | 16..24 | the number |
//! | 24..4092 | filling |
//! | 4092..4096 | CRC-32 of what is before |

use crate::Journal;
use crate::order::mix;

/// Bytes of a record, and of a slot.
pub const RECORD_BYTES: usize = 4096;

const MAGIC: &[u8; 8] = b"DOMUSJR1";
const HEAD: usize = 24;
const SUM: usize = RECORD_BYTES - 4;

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A whole record of this journal.
    Record(u64),
    /// No record of it at all: nothing, or another journal's.
    Other,
    /// The head of a record of this journal, but not all of it.
    Damaged,
}

/// Makes record `number`.
pub fn write(journal: &Journal, number: u64, record: &mut [u8; RECORD_BYTES]) {
    record[..8].copy_from_slice(MAGIC);
    record[8..16].copy_from_slice(&journal.seed.to_le_bytes());
    record[16..HEAD].copy_from_slice(&number.to_le_bytes());
    // One word for all, counted up, is enough: a word in the wrong place is seen, and it costs the guest little.
    let start = mix(journal.seed ^ mix(number));
    for (index, word) in (0..).zip(record[HEAD..SUM].chunks_mut(8)) {
        let bytes = start.wrapping_add(index).to_le_bytes();
        word.copy_from_slice(&bytes[..word.len()]);
    }
    let sum = crc32fast::hash(&record[..SUM]);
    record[SUM..].copy_from_slice(&sum.to_le_bytes());
}

/// Looks at a slot.
pub fn inspect(journal: &Journal, slot: &[u8; RECORD_BYTES]) -> State {
    if slot[..8] != MAGIC[..] || slot[8..16] != journal.seed.to_le_bytes() {
        return State::Other;
    }
    let number = slot[16..HEAD].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
    let mut whole = [0; RECORD_BYTES];
    write(journal, number, &mut whole);
    if whole == *slot { State::Record(number) } else { State::Damaged }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOURNAL: Journal = Journal { seed: 3, slots: 10 };

    #[test]
    fn a_record_is_known_again() {
        let mut slot = [0; RECORD_BYTES];
        assert_eq!(inspect(&JOURNAL, &slot), State::Other);
        write(&JOURNAL, 77, &mut slot);
        assert_eq!(inspect(&JOURNAL, &slot), State::Record(77));
        assert_eq!(inspect(&Journal { seed: 4, ..JOURNAL }, &slot), State::Other);
    }

    #[test]
    fn every_byte_counts() {
        let mut slot = [0; RECORD_BYTES];
        write(&JOURNAL, 77, &mut slot);
        for at in 0..RECORD_BYTES {
            slot[at] ^= 1;
            assert_ne!(inspect(&JOURNAL, &slot), State::Record(77), "byte {at}");
            slot[at] ^= 1;
        }
    }
}
