//! The event channels of one service: which of them have been rung since the service last looked.
//!
//! Handlers only set a bit. The service takes all bits at once and serves each domain once, so that none is served twice before
//! another is served at all.

use core::sync::atomic::{AtomicU64, Ordering};

use abi::event::NR_CHANNELS_2L;
use pv_guest_sdk::events::Port;

use super::bell::Bell;

const WORDS: usize = NR_CHANNELS_2L as usize / 64;

/// A set of ports, and the bell for whoever serves them.
pub struct ReadyPorts {
    words: [AtomicU64; WORDS],
    /// Which words may have bits, so that nobody looks at all of them for the few that ring.
    filled: AtomicU64,
    /// Rung for each port that becomes ready.
    pub bell: Bell,
}

// One bit of `filled` for each word.
const _: () = assert!(WORDS <= 64);

impl ReadyPorts {
    /// No port is ready.
    pub const fn new() -> Self {
        Self { words: [const { AtomicU64::new(0) }; WORDS], filled: AtomicU64::new(0), bell: Bell::new() }
    }

    /// Notes that a port was rung. For event handlers.
    pub fn add(&self, port: Port) {
        let index = port / 64;
        if let Some(word) = self.words.get(index as usize) {
            word.fetch_or(1 << (port % 64), Ordering::AcqRel);
            // Last: whoever takes the mark finds the bit.
            self.filled.fetch_or(1 << index, Ordering::AcqRel);
        }
        self.bell.ring();
    }

    /// Whether a port is ready.
    pub fn any(&self) -> bool {
        self.filled.load(Ordering::Acquire) != 0
    }

    /// Takes the ports that are ready; all of them must be looked at.
    pub fn take(&self) -> impl Iterator<Item = Port> + '_ {
        bits(self.filled.swap(0, Ordering::AcqRel)).flat_map(|index| {
            let word = self.words.get(index as usize).map_or(0, |word| word.swap(0, Ordering::AcqRel));
            bits(word).map(move |bit| index * 64 + bit)
        })
    }
}

/// The numbers of the bits that are set, from the lowest on.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}
