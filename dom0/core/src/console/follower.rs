//! Waiting for a text: `dom console --until`.

use alloc::vec::Vec;

use super::Console;

/// Bytes that one look at a console copies at most.
const LOOK_MAX: usize = 4096;

/// Follows a console until a text appears.
#[derive(Clone, Debug)]
pub struct Follower {
    next: u64,
    until: Vec<u8>,
    recent: Vec<u8>,
}

/// What a [`Follower`] has come upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What to print; ends with the text if it was found.
    pub bytes: Vec<u8>,
    /// Whether the text was found.
    pub found: bool,
    /// Bytes that were lost because the guest printed faster than it was followed.
    pub lost: u64,
}

impl Follower {
    /// Follows from the domain's first byte, as far as it is kept.
    pub fn from_first(until: &str) -> Self {
        Self { next: 0, until: until.into(), recent: Vec::new() }
    }

    /// Follows what is printed from now on. To be made before the line is sent that is to be answered.
    pub fn from_now(console: &Console, until: &str) -> Self {
        Self { next: console.end(), ..Self::from_first(until) }
    }

    /// Looks at what is new, in bounded pieces: call it again until it sees nothing. A text that stretches over pieces is found.
    pub fn look(&mut self, console: &Console) -> Seen {
        let lost = console.start().saturating_sub(self.next);
        if lost > 0 {
            self.next = console.start();
            self.recent.clear();
        }
        let bytes = console.read(self.next, LOOK_MAX);
        let before = self.recent.len();
        self.recent.extend_from_slice(&bytes);
        let end = memchr::memmem::find(&self.recent, &self.until).map(|at| (at + self.until.len()).saturating_sub(before));
        let shown = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(&bytes);
        self.next = self.next.saturating_add(shown.len() as u64);
        let keep = self.until.len().saturating_sub(1);
        self.recent.drain(..self.recent.len().saturating_sub(keep));
        Seen { bytes: shown.to_vec(), found: end.is_some(), lost }
    }
}
