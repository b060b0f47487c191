//! Writing: in place where the cluster is ours, and into a new cluster where it is not.
//!
//! A new cluster is filled before the L2 table refers to it, with what surrounds the written bytes taken from where it was read until then. The
//! filling is the request's own work: if the request goes away, a cluster is lost and nothing else. The tables' changes are carried.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

use super::entry::COPIED;
use super::inner::Inner;
use super::lookup::{Found, Source};
use super::store::CHUNK;
use super::visit::Visit;
use crate::block::{Buffer, DiskError, Piece, cut, length};

/// The most that is allocated for one request at a time, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// Clusters of the guest's disk that are being filled.
#[derive(Default)]
pub(super) struct Busy {
    clusters: RefCell<BTreeSet<u64>>,
    waiting: RefCell<Vec<Waker>>,
    /// How often [`Busy::outdate`] was said.
    generation: Cell<u64>,
}

impl Busy {
    /// To be said by whoever makes a cluster ours that was not, or puts another disk in place: it can be written in place from then on, so that
    /// what those who are filling have read of it is out of date. They begin anew.
    pub fn outdate(&self) {
        self.generation.set(self.generation.get() + 1);
    }
}

/// Some of them, with their new places.
struct Claim {
    inner: Rc<Inner>,
    first: u64,
    count: u64,
    /// The first new cluster.
    to: u64,
    generation: u64,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let busy = &self.inner.busy;
        (self.first..self.first + self.count).for_each(|cluster| {
            busy.clusters.borrow_mut().remove(&cluster);
        });
        busy.waiting.take().into_iter().for_each(Waker::wake);
    }
}

enum Plan {
    InPlace {
        at: u64,
        bytes: u64,
        visit: Visit,
    },
    Fill(Claim),
    /// Somebody else fills it.
    Wait(u64),
}

impl Inner {
    /// Writes, run by run.
    pub async fn write(self: &Rc<Self>, offset: u64, from: &[Piece]) -> Result<(), DiskError> {
        let total = length(from);
        let mut done = 0;
        while done < total {
            match self.plan(offset + done, total - done).await? {
                Plan::InPlace { at, bytes, visit } => {
                    let pieces: Vec<Piece> = cut(from, done, bytes).collect();
                    let written = self.store.below.write(at, &pieces).await;
                    visit.done();
                    written?;
                    done += bytes;
                }
                Plan::Fill(claim) => {
                    let end = (claim.first + claim.count) << self.geometry.cluster_bits;
                    let bytes = (end - offset - done).min(total - done);
                    let pieces: Vec<Piece> = cut(from, done, bytes).collect();
                    if self.fill_and_link(claim, offset + done, pieces).await? {
                        done += bytes;
                    }
                }
                Plan::Wait(cluster) => self.wait_for(cluster).await,
            }
        }
        Ok(())
    }

    async fn plan(self: &Rc<Self>, offset: u64, bytes: u64) -> Result<Plan, DiskError> {
        if !self.closed.get()
            && let Found::Run(Source::Below { at, own: true }, bytes) = self.look(offset, bytes)?
        {
            return Ok(Plan::InPlace { at, bytes, visit: Visit::writing(self) });
        }
        self.carried(|inner| async move { inner.plan_carried(offset, bytes).await }).await
    }

    async fn plan_carried(self: &Rc<Self>, offset: u64, bytes: u64) -> Result<Plan, DiskError> {
        loop {
            match self.look(offset, bytes)? {
                Found::Missing(at) => self.load(at).await?,
                Found::Run(Source::Below { at, own: true }, bytes) => {
                    return Ok(Plan::InPlace { at, bytes, visit: Visit::writing(self) });
                }
                Found::Run(..) => break,
            };
        }
        let first = self.geometry.index(offset);
        if self.busy.clusters.borrow().contains(&first) {
            return Ok(Plan::Wait(first));
        }
        let last = self.geometry.index(offset + bytes - 1).min(first + (MOST_BYTES >> self.geometry.cluster_bits).max(1) - 1);
        let mut next = first + 1;
        while next <= last && self.is_fillable(next)? {
            next += 1;
        }
        let (to, count) = self.allocate(next - first).await?;
        self.busy.clusters.borrow_mut().extend(first..first + count);
        Ok(Plan::Fill(Claim { inner: self.clone(), first, count, to, generation: self.busy.generation.get() }))
    }

    /// Whether a cluster of the guest's disk needs a new place, as far as is known, and nobody fills it.
    fn is_fillable(&self, cluster: u64) -> Result<bool, DiskError> {
        if self.busy.clusters.borrow().contains(&cluster) {
            return Ok(false);
        }
        let found = self.look(cluster << self.geometry.cluster_bits, 1)?;
        Ok(!matches!(found, Found::Missing(_) | Found::Run(Source::Below { own: true, .. }, _)))
    }

    async fn wait_for(&self, cluster: u64) {
        poll_fn(|context| {
            if !self.busy.clusters.borrow().contains(&cluster) {
                return Poll::Ready(());
            }
            let mut waiting = self.busy.waiting.borrow_mut();
            if !waiting.iter().any(|known| known.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Whether it was done; otherwise it has to be tried again.
    async fn fill_and_link(self: &Rc<Self>, claim: Claim, offset: u64, from: Vec<Piece>) -> Result<bool, DiskError> {
        let filled = self.fill(&claim, offset, &from).await;
        self.carried(|inner| async move {
            let linked = match filled {
                Ok(()) if claim.generation == inner.busy.generation.get() => inner.link(&claim).await,
                Ok(()) => Ok(0),
                Err(error) => Err((0, error)),
            };
            let done = match &linked {
                Ok(done) | Err((done, _)) => *done,
            };
            if done < claim.count {
                inner.space.release((claim.to + done, claim.count - done));
            }
            inner.relieve().await?;
            linked.map(|done| done == claim.count).map_err(|(_, error)| error)
        })
        .await
    }

    async fn fill(self: &Rc<Self>, claim: &Claim, offset: u64, from: &[Piece]) -> Result<(), DiskError> {
        let _turn = self.filling.enter().await;
        let start = claim.first << self.geometry.cluster_bits;
        let end = (claim.first + claim.count) << self.geometry.cluster_bits;
        let to = claim.to << self.geometry.cluster_bits;
        let after = offset + length(from);
        if (offset - start) + (end - after) <= CHUNK as u64 {
            let (before, behind) = (self.surroundings(start, offset).await?, self.surroundings(after, end).await?);
            let sides = [before.as_deref(), behind.as_deref()].map(|side| side.map_or(&[][..], Buffer::pieces));
            let all = [sides[0], from, sides[1]].concat();
            return self.store.below.write(to, &all).await;
        }
        for (from, until) in [(start, offset), (after, end)] {
            for at in (from..until).step_by(CHUNK) {
                if let Some(buffer) = self.surroundings(at, until.min(at + CHUNK as u64)).await? {
                    self.store.below.write(to + at - start, buffer.pieces()).await?;
                }
            }
        }
        self.store.below.write(to + offset - start, from).await
    }

    /// What the guest's disk shows from one byte to another, zeroes behind its end.
    async fn surroundings(self: &Rc<Self>, from: u64, to: u64) -> Result<Option<Box<dyn Buffer>>, DiskError> {
        if from >= to {
            return Ok(None);
        }
        let buffer = self.store.memory.buffer((to - from) as usize)?;
        let there = self.bytes().saturating_sub(from).min(to - from);
        let pieces: Vec<Piece> = cut(buffer.pieces(), 0, there).collect();
        self.read(from, &pieces).await?;
        Ok(Some(buffer))
    }

    /// How many were linked before an error.
    async fn link(&self, claim: &Claim) -> Result<u64, (u64, DiskError)> {
        for index in 0..claim.count {
            let offset = (claim.first + index) << self.geometry.cluster_bits;
            let table = self.own_table(offset).await.map_err(|error| (index, error))?;
            let raw = (claim.to + index) << self.geometry.cluster_bits | COPIED;
            self.replace_entry(table, offset, raw).await.map_err(|error| (index, error))?;
        }
        Ok(claim.count)
    }
}
