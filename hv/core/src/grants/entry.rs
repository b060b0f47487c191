//! One shared entry: eight bytes that the granting guest may change at any moment, and how the hypervisor marks it in use.
//!
//! The whole entry is compared and exchanged at once, so flags, domain and frame are of one moment. The guest takes a grant back by
//! exchanging its flags for 0 if neither `GTF_reading` nor `GTF_writing` is set; so either it sees our mark, or we see that it is gone. The steps are
//! generic over the word so that a test can run this very code against every interleaving with a guest.

use core::sync::atomic::{AtomicU64, Ordering};

use abi::grant::{GTF_PERMIT_ACCESS, GTF_READING, GTF_READONLY, GTF_SUB_PAGE, GTF_TYPE_MASK, GTF_WRITING};

use super::Refused;
use crate::ids::DomId;

/// How often a guest may get in between before its entry is called unstable.
pub const TRIES: usize = 5;

/// One entry in shared memory. Every operation is atomic and a full barrier.
pub trait EntryWord {
    /// The entry now.
    fn load(&self) -> u64;
    /// Stores `new` if the entry is `old`.
    ///
    /// # Errors
    /// What it is instead.
    fn replace(&self, old: u64, new: u64) -> Result<(), u64>;
    /// Clears bits.
    fn clear(&self, bits: u64);
}

impl EntryWord for AtomicU64 {
    #[inline]
    fn load(&self) -> u64 {
        self.load(Ordering::SeqCst)
    }

    #[inline]
    fn replace(&self, old: u64, new: u64) -> Result<(), u64> {
        self.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).map(|_| ())
    }

    #[inline]
    fn clear(&self, bits: u64) {
        self.fetch_and(!bits, Ordering::SeqCst);
    }
}

/// An entry as it was at one moment: flags in bits 0-15, domain in 16-31, frame in 32-63 (`grant_entry_v1`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry(pub u64);

impl Entry {
    /// `GTF_*`.
    #[inline]
    pub const fn flags(self) -> u16 {
        self.0 as u16
    }

    /// Whom it grants to.
    #[inline]
    pub const fn domain(self) -> DomId {
        (self.0 >> 16) as u16
    }

    /// What it grants.
    #[inline]
    pub const fn frame(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline]
    fn permits(self, claim: &Claim) -> bool {
        let relevant = if claim.map { GTF_TYPE_MASK | GTF_SUB_PAGE } else { GTF_TYPE_MASK };
        self.flags() & relevant == GTF_PERMIT_ACCESS && self.domain() == claim.who
    }
}

/// What someone wants of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Who.
    pub who: DomId,
    /// To write, not only to read.
    pub write: bool,
    /// To map the frame, not only to copy: the whole frame must be granted.
    pub map: bool,
    /// It uses the entry already: type and domain were checked then.
    pub again: bool,
}

#[inline]
const fn marks(reading: bool, writing: bool) -> u64 {
    (if reading { GTF_READING as u64 } else { 0 }) | (if writing { GTF_WRITING as u64 } else { 0 })
}

/// Marks an entry as in use and tells the frame that it grants.
///
/// # Errors
/// It does not grant this, or it changed [`TRIES`] times meanwhile. Then it has no new mark.
#[inline]
pub fn mark<W: EntryWord>(word: &W, claim: &Claim) -> Result<u32, Refused> {
    let mut seen = Entry(word.load());
    for _ in 0..TRIES {
        if !claim.again && !seen.permits(claim) {
            return Err(Refused::GENERAL);
        }
        if claim.write && seen.flags() & GTF_READONLY != 0 {
            return Err(Refused::GENERAL);
        }
        match word.replace(seen.0, seen.0 | marks(true, claim.write)) {
            Ok(()) => return Ok(seen.frame()),
            Err(now) => seen = Entry(now),
        }
    }
    Err(Refused::GENERAL)
}

/// Takes marks off an entry: of writing, of reading.
#[inline]
pub fn unmark<W: EntryWord>(word: &W, reading: bool, writing: bool) {
    let bits = marks(reading, writing);
    if bits != 0 {
        word.clear(bits);
    }
}
