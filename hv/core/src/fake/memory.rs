//! RAM of the machine on the host: frames of atomic words.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::vec::Vec;

use abi::layout::{ENTRIES, PAGE_SIZE};

use crate::ids::Mfn;

/// RAM from frame 0 on, and the machine-to-physical table.
pub struct Memory {
    words: Vec<AtomicU64>,
    m2p: Vec<AtomicU64>,
}

impl Memory {
    /// RAM of `frames` frames. It is filled with a pattern, not with zeros: what was not scrubbed shows.
    pub fn new(frames: usize) -> Self {
        const GARBAGE: u64 = 0x6b6b_6b6b_6b6b_6b6b;
        Memory {
            words: (0..frames * ENTRIES).map(|_| AtomicU64::new(GARBAGE)).collect(),
            m2p: (0..frames).map(|_| AtomicU64::new(abi::layout::INVALID_M2P_ENTRY)).collect(),
        }
    }

    /// True for a frame that is no RAM but a device's.
    pub fn is_device(&self, mfn: Mfn) -> bool {
        mfn.0 as usize >= self.frames()
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.m2p.len()
    }

    /// One word; a frame that does not exist is a bug of the rules and panics.
    pub fn word(&self, mfn: Mfn, index: usize) -> &AtomicU64 {
        assert!(index < ENTRIES, "word {index} of a frame");
        &self.words[mfn.0 as usize * ENTRIES + index]
    }

    /// Copies bytes out of a frame.
    pub fn read(&self, mfn: Mfn, offset: usize, into: &mut [u8]) {
        assert!(offset + into.len() <= PAGE_SIZE, "reading across the end of a frame");
        for (position, byte) in into.iter_mut().enumerate() {
            let at = offset + position;
            *byte = self.word(mfn, at / 8).load(Relaxed).to_le_bytes()[at % 8];
        }
    }

    /// Copies bytes into a frame.
    pub fn write(&self, mfn: Mfn, offset: usize, from: &[u8]) {
        assert!(offset + from.len() <= PAGE_SIZE, "writing across the end of a frame");
        for (position, &byte) in from.iter().enumerate() {
            let at = offset + position;
            let word = self.word(mfn, at / 8);
            let mut bytes = word.load(Relaxed).to_le_bytes();
            bytes[at % 8] = byte;
            word.store(u64::from_le_bytes(bytes), Relaxed);
        }
    }

    /// An entry of the machine-to-physical table.
    pub fn m2p(&self, mfn: Mfn) -> &AtomicU64 {
        &self.m2p[mfn.0 as usize]
    }
}
