//! The slow way: what a queue cannot have done at once it gives out as jobs, and whoever drives the queue runs them side by side.

use alloc::vec::Vec;

use super::flight::Token;
use crate::block::{Disk, DiskError, Piece};

/// Part of a request, whose end is told to the queue's [`crate::block::quick::Completions`] by the token.
#[derive(Debug)]
pub struct Job {
    /// Of the request.
    pub token: Token,
    /// What is to be done.
    pub work: Work,
}

/// What is to be done.
#[derive(Debug)]
pub enum Work {
    /// Read from a byte on into pieces.
    Read(u64, Vec<Piece>),
    /// Write from a byte on.
    Write(u64, Vec<Piece>),
    /// Make durable, then write.
    WriteAfterFlush(u64, Vec<Piece>),
    /// Make durable, write, make durable.
    Barrier(u64, Vec<Piece>),
    /// Make durable.
    Flush,
    /// Forget so many bytes from a byte on.
    Discard(u64, u64),
    /// Let so many milliseconds pass. Not for [`Work::run`].
    Sleep(u32),
}

impl Work {
    /// Does it.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn run(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        match self {
            Self::Read(offset, pieces) => disk.read(*offset, pieces).await,
            Self::Write(offset, pieces) => disk.write(*offset, pieces).await,
            Self::WriteAfterFlush(offset, pieces) => {
                disk.flush().await?;
                disk.write(*offset, pieces).await
            }
            Self::Barrier(offset, pieces) => {
                disk.flush().await?;
                disk.write(*offset, pieces).await?;
                disk.flush().await
            }
            Self::Flush => disk.flush().await,
            Self::Discard(offset, bytes) => disk.discard(*offset, *bytes).await,
            Self::Sleep(_) => Ok(()),
        }
    }
}
