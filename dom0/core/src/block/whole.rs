//! A whole physical disk as a [`Disk`], on top of its quick way: requests of any length, cut to what the device takes.

use alloc::{boxed::Box, rc::Rc, vec::Vec};

use super::quick::{Completions, Kind, Limits, QuickDisk, Refused};
use super::{Disk, DiskError, Doing, Info, Piece, Place, SECTOR, check_range, cut, length};

/// A physical disk. A request that is dropped before it has ended goes on, and the device goes on using its memory: whoever drops one must
/// keep that memory for ever.
pub struct WholeDisk {
    device: u32,
    quick: Rc<dyn QuickDisk>,
}

impl WholeDisk {
    /// The disk with this number.
    pub fn new(device: u32, quick: Rc<dyn QuickDisk>) -> Self {
        Self { device, quick }
    }

    /// Reads or writes.
    async fn transfer(&self, kind: Kind, offset: u64, pieces: &[Piece]) -> Result<(), DiskError> {
        let (info, bytes) = (self.quick.info(), length(pieces));
        check_range(&info, offset, bytes)?;
        let mut run = Run::new(&*self.quick);
        let mut done = 0;
        while done < bytes && run.good() {
            let part = next_part(pieces, done, &self.quick.limits(), info.logical_block);
            if part.is_empty() {
                run.fail(DiskError::Unsupported);
                break;
            }
            run.submit(kind, offset + done, &part).await;
            done += length(&part);
        }
        run.end().await
    }

    async fn forget(&self, offset: u64, bytes: u64) -> Result<(), DiskError> {
        let info = self.quick.info();
        check_range(&info, offset, bytes)?;
        if info.discard.is_none() {
            return Ok(());
        }
        let most = self.quick.limits().discard_bytes.max(SECTOR);
        let mut run = Run::new(&*self.quick);
        let mut done = 0;
        while done < bytes && run.good() {
            let now = most.min(bytes - done);
            run.submit(Kind::Discard(now), offset + done, &[]).await;
            done += now;
        }
        run.end().await
    }
}

/// As much as one request can have of `pieces` from byte `from` on, in whole blocks. Empty if not even one block fits.
fn next_part(pieces: &[Piece], from: u64, limits: &Limits, block: u32) -> Vec<Piece> {
    let most = limits.piece_bytes.max(1);
    let mut part = Vec::new();
    for piece in cut(pieces, from, limits.bytes) {
        let starts = (0..piece.bytes).step_by(most as usize);
        part.extend(starts.map(|start| piece.part(start.into(), u64::from(start) + u64::from(most))).take(limits.pieces - part.len()));
        if part.len() == limits.pieces {
            break;
        }
    }
    let whole = length(&part) / u64::from(block) * u64::from(block);
    if whole == length(&part) { part } else { cut(&part, 0, whole).collect() }
}

/// The requests that one was cut into.
struct Run<'a> {
    disk: &'a dyn QuickDisk,
    done: Rc<Completions>,
    /// Submitted, and not known to be done.
    left: u64,
    result: Result<(), DiskError>,
}

impl<'a> Run<'a> {
    fn new(disk: &'a dyn QuickDisk) -> Self {
        Self { disk, done: Completions::new(), left: 0, result: Ok(()) }
    }

    fn good(&self) -> bool {
        self.result.is_ok()
    }

    fn fail(&mut self, error: DiskError) {
        self.result = self.result.and(Err(error));
    }

    async fn submit(&mut self, kind: Kind, offset: u64, pieces: &[Piece]) {
        loop {
            match self.disk.submit(kind, offset, pieces, &self.done, 0) {
                Ok(()) => {
                    self.left += 1;
                    return;
                }
                Err(Refused::Full) => {
                    self.disk.kick();
                    self.disk.room(pieces.len()).await;
                }
                Err(Refused::Failed(error)) => return self.fail(error),
            }
        }
    }

    /// Waits for all of them, however they end: the memory is the device's until then.
    async fn end(mut self) -> Result<(), DiskError> {
        self.disk.kick();
        while self.left > 0 {
            let (_, result) = self.done.next().await;
            self.result = self.result.and(result);
            self.left -= 1;
        }
        self.result
    }
}

impl Disk for WholeDisk {
    fn info(&self) -> Info {
        self.quick.info()
    }

    fn place(&self, offset: u64, bytes: u64, _write: bool) -> Place {
        Place::At { device: self.device, offset, bytes }
    }

    fn straight(&self) -> Option<(u32, u64)> {
        Some((self.device, 0))
    }

    fn read<'a>(&'a self, offset: u64, into: &'a [Piece]) -> Doing<'a> {
        Box::pin(self.transfer(Kind::Read, offset, into))
    }

    fn write<'a>(&'a self, offset: u64, from: &'a [Piece]) -> Doing<'a> {
        Box::pin(self.transfer(Kind::Write, offset, from))
    }

    fn flush(&self) -> Doing<'_> {
        Box::pin(async {
            let mut run = Run::new(&*self.quick);
            run.submit(Kind::Flush, 0, &[]).await;
            run.end().await
        })
    }

    fn discard(&self, offset: u64, bytes: u64) -> Doing<'_> {
        Box::pin(self.forget(offset, bytes))
    }
}
