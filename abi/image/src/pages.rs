//! A run of pages of a domain's pseudo-physical memory, in which every part of the plan is measured.

/// Page size in bytes.
pub const PAGE: u64 = 4096;

/// Consecutive PFNs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// The first PFN.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Pages {
    /// The run that follows this one.
    pub(crate) fn followed_by(self, count: u64) -> Self {
        Self { first: self.end(), count }
    }

    /// The first PFN behind the run.
    pub fn end(self) -> u64 {
        self.first.saturating_add(self.count)
    }

    /// Whether `pfn` is one of them.
    pub fn contains(self, pfn: u64) -> bool {
        pfn.wrapping_sub(self.first) < self.count
    }
}

/// Pages that `bytes` take.
pub(crate) fn pages_for(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE)
}
