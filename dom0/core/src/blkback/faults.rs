//! Faults on purpose: every so many requests fail or are cut short, and all can be slowed down, so that one can see what a guest makes of it.
//!
//! A fault is always told: a request that was cut short is answered with an error, however much of it was done.

/// What the operator has asked for; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// One in so many requests fails, without anything being done; 0 for none.
    pub errors: u32,
    /// One in so many reads and writes is done by half and fails; 0 for none.
    pub short: u32,
    /// So many milliseconds pass, at least, until a request is answered.
    pub delay_ms: u32,
}

/// Longest delay, in milliseconds: more than what makes Linux complain of a hung disk (120 s) is of no use.
pub const DELAY_MAX: u32 = 300_000;

impl Faults {
    /// Everything fails, and at once.
    pub const ALL: Self = Self { errors: 1, short: 0, delay_ms: 0 };

    /// Whether nothing is asked for.
    pub fn none(&self) -> bool {
        *self == Self::default()
    }
}

/// What befalls one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Good,
    /// It fails at once.
    Error,
    /// The first half is done and it fails.
    Short,
}

/// Decides by counting, so that the same load meets the same faults.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dice {
    faults: Faults,
    requests: u64,
    transfers: u64,
}

impl Dice {
    /// Begins to count anew.
    pub fn new(faults: Faults) -> Self {
        Self { faults, ..Self::default() }
    }

    /// What is asked for.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The fate of the next request; `transfer` if it is a read or a write.
    pub fn next(&mut self, transfer: bool) -> Fate {
        if self.faults.none() {
            return Fate::Good;
        }
        self.requests += 1;
        self.transfers += u64::from(transfer);
        let due = |every: u32, count: u64| every != 0 && count.is_multiple_of(every.into());
        match () {
            () if due(self.faults.errors, self.requests) => Fate::Error,
            () if transfer && due(self.faults.short, self.transfers) => Fate::Short,
            () => Fate::Good,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn one_in_so_many() {
        let mut dice = Dice::new(Faults { errors: 3, ..Faults::default() });
        let fates: Vec<Fate> = (0..6).map(|_| dice.next(true)).collect();
        assert_eq!(fates, [Fate::Good, Fate::Good, Fate::Error, Fate::Good, Fate::Good, Fate::Error]);
        let mut dice = Dice::new(Faults { short: 2, ..Faults::default() });
        assert_eq!([true, false, true, true].map(|transfer| dice.next(transfer)), [Fate::Good, Fate::Good, Fate::Short, Fate::Good]);
        let mut dice = Dice::new(Faults { errors: 1, short: 1, delay_ms: 5 });
        assert_eq!(dice.next(true), Fate::Error);
        let mut dice = Dice::new(Faults::ALL);
        assert_eq!([true, false, true].map(|transfer| dice.next(transfer)), [Fate::Error; 3]);
    }

    proptest! {
        #[test]
        fn exactly_as_many_as_asked_for(errors in 0u32..9, short in 0u32..9, count in 0usize..300) {
            let mut dice = Dice::new(Faults { errors, short, delay_ms: 1 });
            let failed = (0..count).filter(|_| dice.next(false) != Fate::Good).count();
            prop_assert_eq!(failed, count.checked_div(errors as usize).unwrap_or(0));
        }
    }
}
