//! The parts of a stream that are wanted once more after it has passed: notes, and for old kernels section headers and names. What is
//! missing is remembered, so that the stream can be run again for it.

use alloc::vec::Vec;

use image::Source;
use image::limits::MAX_NOTES_BYTES;
use image::segment::{PT_NOTE, Segment};

use super::error::UnpackError;

/// A window begins on a multiple of this many bytes ...
const ALIGNMENT: u64 = 4096;
/// ... and has this many.
const WINDOW_BYTES: u64 = 2 * MAX_NOTES_BYTES;
/// Windows at most.
const MAX_WINDOWS: usize = 8;

/// Windows into the stream.
#[derive(Default)]
pub(super) struct Kept {
    windows: Vec<Window>,
    /// A read that no window served.
    missing: Option<u64>,
    /// Bytes of the stream, once known.
    end: u64,
}

/// The bytes from `start` on, as far as they have come.
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Kept {
    /// Windows for the segments that hold notes.
    pub fn for_notes(segments: impl Iterator<Item = Segment>) -> Result<Self, UnpackError> {
        let mut kept = Self::default();
        for segment in segments.filter(|segment| segment.kind == PT_NOTE && segment.offset != 0) {
            kept.add(segment.offset)?;
        }
        Ok(kept)
    }

    /// Takes what it wants of `piece`, which stands at `position` of the stream and follows the last one seamlessly.
    pub fn take(&mut self, position: u64, piece: &[u8]) {
        for window in &mut self.windows {
            let next = window.start + window.bytes.len() as u64;
            let wanted = (window.start + WINDOW_BYTES).saturating_sub(next) as usize;
            let Some(from) = next.checked_sub(position).and_then(|from| usize::try_from(from).ok()) else {
                continue;
            };
            let part = piece.get(from..).unwrap_or(&[]);
            window.bytes.extend_from_slice(&part[..part.len().min(wanted)]);
        }
        self.end = self.end.max(position + piece.len() as u64);
    }

    /// If something was missing that the stream has: prepares to run it again.
    pub fn wants_another_run(&mut self) -> Result<bool, UnpackError> {
        let Some(offset) = self.missing.take() else {
            return Ok(false);
        };
        self.add(offset)?;
        Ok(true)
    }

    fn add(&mut self, offset: u64) -> Result<(), UnpackError> {
        let start = offset - offset % ALIGNMENT;
        if self.windows.iter().any(|window| window.start == start) {
            return Ok(());
        }
        if self.windows.len() == MAX_WINDOWS {
            return Err(UnpackError::NotesScattered);
        }
        self.windows.push(Window { start, bytes: Vec::new() });
        Ok(())
    }

    fn find(&self, offset: u64, length: usize) -> Option<&[u8]> {
        self.windows.iter().find_map(|window| {
            let from = usize::try_from(offset.checked_sub(window.start)?).ok()?;
            window.bytes.get(from..from.checked_add(length)?)
        })
    }
}

impl Source for Kept {
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Option<()> {
        let Some(found) = self.find(offset, into.len()) else {
            let inside = offset.checked_add(into.len() as u64).is_some_and(|end| end <= self.end);
            self.missing = self.missing.or(inside.then_some(offset));
            return None;
        };
        into.copy_from_slice(found);
        Some(())
    }
}
