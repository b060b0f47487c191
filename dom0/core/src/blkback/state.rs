//! The back end's side of the handshake through xenstore: from what both ends say to what is to be done next.
//!
//! The front end may jump between states as it likes. Whatever it says, its rings are let go before others are taken, and a device that the
//! operator takes away ends, at the latest when he stops asking.

use abi::xenbus::{CLOSED, CLOSING, CONNECTED, INIT_WAIT, INITIALISED, INITIALISING, UNKNOWN};

/// Where our end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ours {
    /// The device has just been made.
    New,
    /// We have said what we offer.
    Waiting,
    /// The rings are served.
    Connected,
    /// We want to stop, and serve until the front end agrees.
    Closing,
    /// The rings are not served any more because of what the front end did; it has not agreed yet.
    Failed,
    /// The rings are gone.
    Closed,
}

impl Ours {
    /// As the front end sees it.
    pub const fn number(self) -> u32 {
        match self {
            Self::New => INITIALISING,
            Self::Waiting => INIT_WAIT,
            Self::Connected => CONNECTED,
            Self::Closing | Self::Failed => CLOSING,
            Self::Closed => CLOSED,
        }
    }

    /// In a word, for tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Waiting => "waiting",
            Self::Connected => "connected",
            Self::Closing => "closing",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }
}

/// What is wanted with the device; what is further below overrules what was said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// The device is to be there.
    Present,
    /// It is to go when the front end has let go of it.
    Away,
    /// It is to go now, but the front end may still ask for something: that fails.
    Taken,
    /// It is to go now, and nobody is there any more who asks.
    Gone,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing until something changes.
    Wait,
    /// Let go of the rings if there are any, say what is offered, be [`Ours::Waiting`].
    Offer,
    /// Read what the front end says of its rings and serve them: [`Ours::Connected`], or [`Ours::Failed`] if they are unusable.
    Connect,
    /// Say that we want to stop, and go on serving: [`Ours::Closing`].
    Close,
    /// Let go of the rings: [`Ours::Closed`].
    Release,
    /// Let go of the rings and remove the device.
    Remove,
}

/// The next step, given the front end's state node (0 if there is none).
pub fn step(ours: Ours, theirs: u32, wanted: Wanted) -> Step {
    match wanted {
        Wanted::Present => present(ours, theirs),
        Wanted::Away => away(ours, theirs),
        Wanted::Taken | Wanted::Gone => Step::Remove,
    }
}

fn present(ours: Ours, theirs: u32) -> Step {
    match (ours, theirs) {
        (Ours::New, _) => Step::Offer,
        (Ours::Waiting, INITIALISED | CONNECTED) => Step::Connect,
        (Ours::Waiting | Ours::Connected, CLOSING) => Step::Close,
        (Ours::Waiting, CLOSED) => Step::Release,
        // It may have gone without a word, as after a crash of its kernel that another was started from.
        (Ours::Connected | Ours::Closing | Ours::Failed | Ours::Closed, INITIALISING) => Step::Offer,
        (Ours::Connected | Ours::Closing | Ours::Failed, CLOSED | UNKNOWN) => Step::Release,
        _ => Step::Wait,
    }
}

fn away(ours: Ours, theirs: u32) -> Step {
    match (ours, theirs) {
        // Nobody has ever used it, or not since.
        (Ours::New | Ours::Closed, _) | (Ours::Waiting, INITIALISING | CLOSED | UNKNOWN) => Step::Remove,
        (Ours::Waiting | Ours::Connected, _) => Step::Close,
        (Ours::Closing | Ours::Failed, CLOSED | UNKNOWN | INITIALISING) => Step::Remove,
        (Ours::Closing | Ours::Failed, _) => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ours::{Closed, Closing, Connected, Failed, New, Waiting};
    use std::collections::BTreeSet;
    use std::vec;
    use std::vec::Vec;

    /// What the kernel makes of a step; none if the device is gone.
    fn after(ours: Ours, step: Step) -> Option<Ours> {
        Some(match step {
            Step::Wait => ours,
            Step::Offer => Waiting,
            Step::Connect => Connected,
            Step::Close => Closing,
            Step::Release => Closed,
            Step::Remove => return None,
        })
    }

    #[test]
    fn a_life() {
        let steps = [
            (New, INITIALISING, Step::Offer),
            (Waiting, INITIALISING, Step::Wait),
            (Waiting, INITIALISED, Step::Connect),
            (Connected, INITIALISED, Step::Wait),
            (Connected, CONNECTED, Step::Wait),
            (Connected, CLOSING, Step::Close),
            (Closing, CLOSED, Step::Release),
            (Closed, CLOSED, Step::Wait),
            (Closed, INITIALISING, Step::Offer),
        ];
        for (ours, theirs, expected) in steps {
            assert_eq!(step(ours, theirs, Wanted::Present), expected, "{ours:?} {theirs}");
        }
    }

    #[test]
    fn a_front_end_that_died_can_come_back() {
        assert_eq!(step(Connected, INITIALISING, Wanted::Present), Step::Offer);
        assert_eq!(step(Failed, INITIALISING, Wanted::Present), Step::Offer);
        assert_eq!(step(Connected, UNKNOWN, Wanted::Present), Step::Release);
        assert_eq!(step(Failed, CONNECTED, Wanted::Present), Step::Wait, "it must let go first");
    }

    #[test]
    fn a_device_is_taken_away_when_the_front_end_lets_go() {
        assert_eq!(step(Connected, CONNECTED, Wanted::Away), Step::Close);
        assert_eq!(step(Closing, CONNECTED, Wanted::Away), Step::Wait);
        assert_eq!(step(Closing, CLOSED, Wanted::Away), Step::Remove);
        assert_eq!(step(Waiting, INITIALISING, Wanted::Away), Step::Remove);
        assert_eq!(step(Connected, CONNECTED, Wanted::Taken), Step::Remove);
        assert_eq!(step(Connected, CONNECTED, Wanted::Gone), Step::Remove);
    }

    #[test]
    fn what_is_taken_does_not_come_back() {
        let order = [Wanted::Present, Wanted::Away, Wanted::Taken, Wanted::Gone];
        assert!(order.is_sorted());
    }

    /// All that can follow from every state, whatever the front end says: it settles, and a front end that closes loses the device.
    #[test]
    fn every_state_settles() {
        let all = [New, Waiting, Connected, Closing, Failed, Closed];
        for (start, theirs, wanted) in all.iter().flat_map(|ours| {
            (0..=12u32)
                .flat_map(move |theirs| [Wanted::Present, Wanted::Away, Wanted::Taken, Wanted::Gone].map(|wanted| (*ours, theirs, wanted)))
        }) {
            let mut seen: Vec<Ours> = vec![start];
            let mut ours = Some(start);
            while let Some(now) = ours {
                let next = step(now, theirs, wanted);
                if next == Step::Wait {
                    break;
                }
                ours = after(now, next);
                if let Some(now) = ours {
                    assert!(!seen.contains(&now), "{start:?} {theirs} {wanted:?} goes round");
                    seen.push(now);
                }
            }
            if wanted != Wanted::Present && matches!(theirs, CLOSED | UNKNOWN) {
                assert_eq!(ours, None, "{start:?} {theirs} {wanted:?}");
            }
            if wanted == Wanted::Present && matches!(theirs, CLOSED) {
                assert!(matches!(ours, Some(Closed)), "{start:?}");
            }
        }
    }

    #[test]
    fn states_are_those_of_xenbus() {
        let numbers: BTreeSet<u32> = [New, Waiting, Connected, Closing, Closed].iter().map(|ours| ours.number()).collect();
        assert_eq!(numbers, BTreeSet::from([1, 2, 4, 5, 6]));
    }
}
