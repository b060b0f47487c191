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
    /// Rung for each port that becomes ready.
    pub bell: Bell,
}

impl ReadyPorts {
    /// No port is ready.
    pub const fn new() -> Self {
        Self { words: [const { AtomicU64::new(0) }; WORDS], bell: Bell::new() }
    }

    /// Notes that a port was rung. For event handlers.
    pub fn add(&self, port: Port) {
        if let Some(word) = self.words.get(port as usize / 64) {
            word.fetch_or(1 << (port % 64), Ordering::AcqRel);
        }
        self.bell.ring();
    }

    /// Whether a port is ready.
    pub fn any(&self) -> bool {
        self.words.iter().any(|word| word.load(Ordering::Acquire) != 0)
    }

    /// Takes the ports that are ready.
    pub fn take(&self) -> impl Iterator<Item = Port> + '_ {
        (0u32..).step_by(64).zip(&self.words).flat_map(|(first, word)| {
            let mut bits = word.swap(0, Ordering::AcqRel);
            core::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros())?;
                bits &= bits - 1;
                Some(first + bit)
            })
        })
    }
}
