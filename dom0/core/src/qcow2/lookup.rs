//! From a byte of the guest's disk to where it lies, without waiting: what the tables in memory tell.

use super::entry::{COPIED, Entry, Packed};
use super::inner::Inner;
use crate::block::{DiskError, Place};

/// What a run of the guest's disk is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Bytes below, from this one on.
    Below {
        /// Offset.
        at: u64,
        /// They may be written in place.
        own: bool,
    },
    /// Zeroes.
    Zeroes,
    /// What the backing disk shows there.
    Backing,
    /// A part of a packed cluster.
    Packed(Packed),
}

/// What is known about a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is made of this, so many bytes.
    Run(Source, u64),
    /// The slice with this byte has to be loaded first.
    Missing(u64),
}

impl Inner {
    /// Finds out about the run that begins at `offset`; `bytes` are of interest, one at least.
    pub fn look(&self, offset: u64, bytes: u64) -> Result<Found, DiskError> {
        let geometry = self.geometry;
        let raw = self.l1.borrow().get(self.l1_index(offset)).copied().ok_or(DiskError::OutOfRange)?;
        let Some(table) = self.table_at(raw)? else {
            let reach = geometry.reach();
            return Ok(Found::Run(Source::Backing, bytes.min(reach - (offset & (reach - 1)))));
        };
        let at = self.entry_at(table, offset);
        let slices = self.slices.borrow();
        let start = slices.start(at);
        let Some(slice) = slices.get(start) else {
            return Ok(Found::Missing(at));
        };
        // Not by skipping: a mapped iterator would walk there.
        let entries = slice.as_chunks::<8>().0.get((at - start) as usize / 8..).unwrap_or(&[]);
        let within = geometry.within(offset);
        let mut run: Option<(Source, u64)> = None;
        for entry in entries {
            let entry = match self.entry(u64::from_be_bytes(*entry)) {
                Ok(entry) => entry,
                // What comes before it can be had.
                Err(_) if run.is_some() => break,
                Err(error) => return Err(error),
            };
            let next = source(entry, raw & COPIED != 0);
            match &mut run {
                None => run = Some((begin(next, within), geometry.cluster() - within)),
                Some((source, length)) if continues(*source, *length, next) => *length += geometry.cluster(),
                Some(_) => break,
            }
            if run.is_some_and(|(_, length)| length >= bytes) {
                break;
            }
        }
        let (source, length) = run.ok_or(DiskError::OutOfRange)?;
        Ok(Found::Run(source, length.min(bytes)))
    }

    /// [`crate::block::Disk::place`].
    pub fn place(&self, offset: u64, bytes: u64, write: bool) -> Place {
        let bytes = bytes.min(self.bytes().saturating_sub(offset));
        if bytes == 0 || self.closed.get() || (write && self.access == super::Access::ReadOnly) {
            return Place::Unknown;
        }
        let Ok(Found::Run(source, bytes)) = self.look(offset, bytes) else {
            return Place::Unknown;
        };
        match source {
            Source::Below { at, own } if own || !write => {
                // Its last cluster may be cut short.
                let there = self.below_bytes.get().saturating_sub(at).min(bytes);
                if there == 0 { Place::Unknown } else { self.store.below.place(at, there, write) }
            }
            Source::Zeroes if !write => Place::Zeroes { bytes },
            Source::Backing if !write => match &self.backing {
                None => Place::Zeroes { bytes },
                Some(backing) => match backing.info().bytes.saturating_sub(offset).min(bytes) {
                    0 => Place::Zeroes { bytes },
                    there => backing.place(offset, there, false),
                },
            },
            _ => Place::Unknown,
        }
    }
}

fn source(entry: Entry, own_table: bool) -> Source {
    match entry {
        Entry::Unallocated => Source::Backing,
        Entry::Zero { .. } => Source::Zeroes,
        Entry::Data { at, own } => Source::Below { at, own: own && own_table },
        Entry::Packed(packed) => Source::Packed(packed),
    }
}

fn begin(source: Source, within: u64) -> Source {
    match source {
        Source::Below { at, own } => Source::Below { at: at + within, own },
        other => other,
    }
}

/// Whether a further cluster lies where a run of `length` bytes ends.
fn continues(run: Source, length: u64, next: Source) -> bool {
    match (run, next) {
        (Source::Below { at, own }, Source::Below { at: next, own: next_own }) => at + length == next && own == next_own,
        (Source::Packed(_), _) => false,
        (run, next) => run == next,
    }
}
