//! Whether all that was acknowledged is there.

use crate::{Journal, RECORD_BYTES, State, inspect};

/// What a check has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Records that must be there, and are.
    pub there: u64,
    /// Records in whose place there is a later one that was not acknowledged: overwritten, as they may be.
    pub overwritten: u64,
    /// Places where the power was cut while a later record was being written over an acknowledged one.
    pub torn: u64,
    /// Records that were acknowledged and are not there.
    pub lost: u64,
    /// The first of these, and what is in its place.
    pub first_lost: Option<(u64, Found)>,
}

/// What is in a lost record's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No record of this journal.
    Nothing,
    /// A part of one.
    Damaged,
    /// One that does not belong there, or an older one.
    Record(u64),
}

/// Records that may be under way beyond the last one that was acknowledged.
pub const UNDER_WAY: u64 = 64;

/// Looks for the records 1 to `acked`. `read` reads a slot.
///
/// # Errors
/// Those of `read`.
pub fn check<E>(journal: &Journal, acked: u64, mut read: impl FnMut(u64, &mut [u8; RECORD_BYTES]) -> Result<(), E>) -> Result<Check, E> {
    let mut result = Check::default();
    let mut slot = [0; RECORD_BYTES];
    // Those before are overwritten by acknowledged ones, which are looked for: two passes reach back over every slot.
    let first = acked.saturating_sub(2 * journal.slots) + 1;
    for number in first..=acked {
        let place = journal.slot(number);
        if is_replaced(journal, number, acked) {
            continue;
        }
        read(place, &mut slot)?;
        let later = |found: u64| found > acked && journal.slot(found) == place;
        let found = match inspect(journal, &slot) {
            State::Record(found) if found == number => {
                result.there += 1;
                continue;
            }
            State::Record(found) if later(found) => {
                result.overwritten += 1;
                continue;
            }
            State::Record(found) => Found::Record(found),
            State::Damaged if (acked + 1..=acked + UNDER_WAY).any(later) => {
                result.torn += 1;
                continue;
            }
            State::Damaged => Found::Damaged,
            State::Other => Found::Nothing,
        };
        result.lost += 1;
        result.first_lost = result.first_lost.or(Some((number, found)));
    }
    Ok(result)
}

/// Whether an acknowledged record lies where `number` lay: the one of the next pass, if that has got so far.
fn is_replaced(journal: &Journal, number: u64, acked: u64) -> bool {
    let pass = (number - 1) / journal.slots + 1;
    journal.number(pass, journal.slot(number)).is_some_and(|later| later <= acked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::{vec, vec::Vec};

    type Disk = Vec<[u8; RECORD_BYTES]>;

    const JOURNAL: Journal = Journal { seed: 5, slots: 200 };

    fn written(numbers: impl IntoIterator<Item = u64>) -> Disk {
        let mut disk = vec![[0; RECORD_BYTES]; JOURNAL.slots as usize];
        for number in numbers {
            write(&JOURNAL, number, &mut disk[JOURNAL.slot(number) as usize]);
        }
        disk
    }

    fn checked(disk: &Disk, acked: u64) -> Check {
        let read = |slot: u64, record: &mut [u8; RECORD_BYTES]| -> Result<(), ()> {
            *record = disk[slot as usize];
            Ok(())
        };
        check(&JOURNAL, acked, read).unwrap()
    }

    #[test]
    fn what_was_written_is_there() {
        assert_eq!(checked(&written(1..=30), 30), Check { there: 30, ..Check::default() });
        assert_eq!(checked(&written(1..=200), 200), Check { there: 200, ..Check::default() });
        assert_eq!(checked(&written(1..=475), 475), Check { there: 200, ..Check::default() });
        assert_eq!(checked(&written(1..=475), 0), Check::default());
        let more = checked(&written(1..=475), 470);
        assert_eq!((more.there + more.overwritten, more.lost), (200, 0));
        assert_eq!(more.overwritten, 5);
    }

    #[test]
    fn what_is_missing_is_named() {
        let lost = checked(&written(1..=30), 31);
        assert_eq!((lost.there, lost.lost, lost.first_lost), (30, 1, Some((31, Found::Nothing))));
        let mut disk = written(1..=30);
        disk[JOURNAL.slot(7) as usize][100] ^= 1;
        assert_eq!(checked(&disk, 30).first_lost, Some((7, Found::Damaged)));
        let old = checked(&written((1..=475).filter(|&number| number != 450)), 475);
        assert_eq!(old.lost, 1);
        assert!(matches!(old.first_lost, Some((450, Found::Record(older))) if older <= 400));
    }

    #[test]
    fn a_write_that_was_cut_is_no_loss() {
        let mut disk = written(1..=400);
        disk[JOURNAL.slot(401) as usize][512..].fill(1);
        let mut half = [0; RECORD_BYTES];
        write(&JOURNAL, 401, &mut half);
        disk[JOURNAL.slot(401) as usize][..512].copy_from_slice(&half[..512]);
        let torn = checked(&disk, 400);
        assert_eq!((torn.there, torn.torn, torn.lost), (199, 1, 0));
    }

    proptest! {
        /// Any record that is missing is seen, and none that is there is called lost.
        #[test]
        fn exactly_what_is_lost_is_lost(acked in 1u64..900, beyond in 0u64..60, holes in prop::collection::btree_set(1u64..900, 0..20)) {
            let disk = written((1..=acked + beyond).filter(|number| !holes.contains(number)));
            let result = checked(&disk, acked);
            // The acknowledged record that should be in each slot, unless a later one is there.
            let mut last: Vec<u64> = vec![0; JOURNAL.slots as usize];
            (1..=acked).for_each(|number| last[JOURNAL.slot(number) as usize] = number);
            let over: BTreeSet<u64> = (acked + 1..=acked + beyond).filter(|number| !holes.contains(number)).map(|number| JOURNAL.slot(number)).collect();
            let lost = last.iter().zip(0..).filter(|(number, slot)| holes.contains(number) && !over.contains(slot)).count() as u64;
            prop_assert_eq!(result.lost, lost);
            prop_assert_eq!(result.torn, 0);
            prop_assert_eq!(result.there + result.overwritten + result.lost, last.iter().filter(|&&number| number != 0).count() as u64);
        }
    }
}
