//! What one domain has printed lately, and what it has still to read.

use alloc::{collections::VecDeque, vec::Vec};
use core::fmt;

/// Bytes of output that are kept.
pub const SCROLLBACK: usize = 128 * 1024;

/// Bytes of input that wait for the guest.
pub const INPUT_MAX: usize = 16 * 1024;

/// The guest does not read; nothing of the line was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputFull;

impl fmt::Display for InputFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{INPUT_MAX} bytes of input wait already and the guest reads none; is it running? `dom list` shows")
    }
}

impl core::error::Error for InputFull {}

/// One console.
#[derive(Debug, Default)]
pub struct Console {
    pub(super) output: VecDeque<u8>,
    written: u64,
    pub(super) input: VecDeque<u8>,
}

impl Console {
    /// Adds what the guest has printed.
    pub fn print(&mut self, bytes: &[u8]) {
        self.written = self.written.saturating_add(bytes.len() as u64);
        let kept = bytes.get(bytes.len().saturating_sub(SCROLLBACK)..).unwrap_or(bytes);
        let excess = (self.output.len() + kept.len()).saturating_sub(SCROLLBACK);
        self.output.drain(..excess);
        self.output.extend(kept);
    }

    /// Number of bytes ever printed; the position of the next one.
    pub fn end(&self) -> u64 {
        self.written
    }

    /// The position of the oldest byte that is kept.
    pub fn start(&self) -> u64 {
        self.written.saturating_sub(self.output.len() as u64)
    }

    /// Bytes from a position on, as far as they are kept, at most `max` of them.
    pub fn read(&self, from: u64, max: usize) -> Vec<u8> {
        let skip = usize::try_from(from.saturating_sub(self.start())).unwrap_or(usize::MAX).min(self.output.len());
        self.output.range(skip..).take(max).copied().collect()
    }

    /// Queues input behind what waits already.
    pub fn queue_input(&mut self, bytes: &[u8]) -> Result<(), InputFull> {
        if self.input.len().saturating_add(bytes.len()) > INPUT_MAX {
            return Err(InputFull);
        }
        self.input.extend(bytes);
        Ok(())
    }

    /// The input that waits, in at most two pieces; the first comes first.
    pub fn input(&self) -> (&[u8], &[u8]) {
        self.input.as_slices()
    }

    /// Tells that the guest's ring has taken bytes of the input.
    pub fn input_taken(&mut self, bytes: usize) {
        self.input.drain(..bytes.min(self.input.len()));
    }
}
