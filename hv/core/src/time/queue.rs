//! The deadlines of all vCPUs, in fixed memory: a heap of domains by their earliest deadline, and in each domain a row of its vCPUs'.
//!
//! Setting a timer scans one row (32 words) and moves one domain in a heap of at most 512: a bounded number of steps, no allocation, and
//! no failure. Any CPU may serve the queue; each that runs domains arms its timer for the earliest deadline in it.

use crate::ids::{DomId, MAX_DOMAINS};
use crate::keyed_heap::KeyedHeap;

/// No guest's deadline lies later than this (ns since boot): 146 years, and far from where the heap's keys wrap.
pub const NEVER: u64 = u64::MAX >> 2;

/// The domains that have armed timers, by their earliest deadline. All zero is an empty one.
pub struct TimerQueue {
    domains: KeyedHeap<MAX_DOMAINS>,
}

impl TimerQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        TimerQueue { domains: KeyedHeap::new() }
    }

    /// The earliest deadline of all (ns since boot).
    #[inline]
    pub fn earliest(&self) -> Option<u64> {
        self.domains.first().map(|domain| self.domains.key(domain))
    }

    /// A domain that has a deadline at or before `now`.
    #[inline]
    pub fn due(&self, now: u64) -> Option<DomId> {
        self.domains.first().filter(|&domain| self.domains.key(domain) <= now)
    }

    /// Notes a domain's earliest deadline, or that it has none.
    #[inline]
    pub fn set(&mut self, domain: DomId, deadline: Option<u64>) {
        match deadline {
            Some(deadline) => {
                self.domains.set_key(domain, deadline.min(NEVER));
                self.domains.insert(domain);
            }
            None => self.domains.remove(domain),
        }
    }
}

impl Default for TimerQueue {
    fn default() -> Self {
        Self::new()
    }
}
