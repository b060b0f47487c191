//! Reading the slow way: what no place can be told for, or where the tables have to be read first.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::inner::Inner;
use super::lookup::{Found, Source};
use super::store::read_to_end;
use super::visit::Visit;
use crate::block::{DiskError, Piece, cut, length};

impl Inner {
    /// Reads, run by run.
    pub async fn read(self: &Rc<Self>, offset: u64, into: &[Piece]) -> Result<(), DiskError> {
        let total = length(into);
        let mut done = 0;
        while done < total {
            let (source, bytes, visit) = self.find(offset + done, total - done).await?;
            let pieces: Vec<Piece> = cut(into, done, bytes).collect();
            self.read_run(source, offset + done, &pieces).await?;
            visit.done();
            done += bytes;
        }
        Ok(())
    }

    /// What the run that begins at `offset` is made of. While the visit lasts, nothing of it gets another meaning.
    pub async fn find(self: &Rc<Self>, offset: u64, bytes: u64) -> Result<(Source, u64, Visit), DiskError> {
        if !self.closed.get()
            && let Found::Run(source, bytes) = self.look(offset, bytes)?
        {
            return Ok((source, bytes, Visit::new(self)));
        }
        self.carried(|inner| async move { inner.find_carried(offset, bytes).await }).await
    }

    /// [`Inner::read`] for carried work.
    pub async fn read_carried(self: &Rc<Self>, offset: u64, into: &[Piece]) -> Result<(), DiskError> {
        let total = length(into);
        let mut done = 0;
        while done < total {
            let (source, bytes, visit) = self.find_carried(offset + done, total - done).await?;
            let pieces: Vec<Piece> = cut(into, done, bytes).collect();
            self.read_run(source, offset + done, &pieces).await?;
            visit.done();
            done += bytes;
        }
        Ok(())
    }

    pub async fn find_carried(self: &Rc<Self>, offset: u64, bytes: u64) -> Result<(Source, u64, Visit), DiskError> {
        loop {
            match self.look(offset, bytes)? {
                Found::Run(source, bytes) => return Ok((source, bytes, Visit::new(self))),
                Found::Missing(at) => self.load(at).await?,
            };
        }
    }

    async fn read_run(&self, source: Source, offset: u64, into: &[Piece]) -> Result<(), DiskError> {
        match source {
            Source::Below { at, .. } => self.store.read_pieces(at, into).await,
            Source::Zeroes => {
                self.store.memory.zero(into);
                Ok(())
            }
            Source::Backing => match &self.backing {
                Some(backing) => read_to_end(&**backing, &*self.store.memory, offset, into).await,
                None => {
                    self.store.memory.zero(into);
                    Ok(())
                }
            },
            Source::Packed(packed) => {
                let cluster = self.unpack(packed).await?;
                let within = self.geometry.within(offset) as usize;
                let bytes = cluster.get(within..).and_then(|rest| rest.get(..length(into) as usize)).ok_or(DiskError::OutOfRange)?;
                self.store.memory.put(into, bytes);
                Ok(())
            }
        }
    }
}
