//! Which clusters of the file are free, and how they are given out and come back.
//!
//! What is given up comes back in three steps, so that neither a loss of power nor a late request finds another meaning in it: the change that
//! gave it up becomes durable, then everybody who was under way has arrived, then its count goes down.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use super::inner::Inner;
use super::refcounts::{get, set};
use super::slices::Phase;
use crate::block::{DiskError, Moment};

/// Clusters: the first, how many.
pub(super) type Run = (u64, u64);

/// What is known of the room in the file.
#[derive(Default)]
pub(super) struct Space {
    /// The refcount table.
    pub table: RefCell<Vec<u64>>,
    /// No cluster before this one is free.
    pub hint: Cell<u64>,
    /// Given up by a change that is not durable.
    pub freed: RefCell<Vec<Run>>,
    /// Given up by a change that is durable, before that moment.
    pub waiting: RefCell<VecDeque<(Moment, Vec<Run>)>>,
    /// A write of ours was abandoned and may still be under way: nothing is given out again.
    pub no_reuse: Cell<bool>,
}

impl Space {
    /// Gives clusters up.
    pub fn release(&self, (first, count): Run) {
        let mut freed = self.freed.borrow_mut();
        match freed.last_mut() {
            Some((start, length)) if *start + *length == first => *length += count,
            _ => freed.push((first, count)),
        }
    }

    /// Whether something has been given up that has not come back.
    pub fn any(&self) -> bool {
        !self.freed.borrow().is_empty() || !self.waiting.borrow().is_empty()
    }

    /// What was given up is so in durable tables, from this moment on.
    pub fn durable(&self, now: Moment) {
        let freed = self.freed.take();
        if !freed.is_empty() && !self.no_reuse.get() {
            self.waiting.borrow_mut().push_back((now, freed));
        }
    }
}

impl Inner {
    /// Takes up to `want` free clusters that follow each other; at least one.
    pub async fn allocate(&self, want: u64) -> Result<Run, DiskError> {
        if let Some(run) = self.find_free(want).await? {
            return Ok(run);
        }
        if !self.space.any() {
            return Err(DiskError::NoSpace);
        }
        // Something may come back.
        self.commit().await?;
        let last = self.space.waiting.borrow().back().map(|(moment, _)| *moment);
        if let Some(moment) = last {
            self.traffic.pass(moment).await;
        }
        self.take_back().await?;
        self.find_free(want).await?.ok_or(DiskError::NoSpace)
    }

    async fn find_free(&self, want: u64) -> Result<Option<Run>, DiskError> {
        let order = self.geometry.refcount_order;
        loop {
            let at = self.space.hint.get();
            let end = self.clusters_below();
            if at >= end {
                return Ok(None);
            }
            let Some(block) = self.refcount_block(at)? else {
                self.add_block(at).await?;
                continue;
            };
            let (start, bit) = self.load_count(block, at).await?;
            let run = {
                let slices = self.slices.borrow();
                let slice = slices.get(start).ok_or(DiskError::NoMemory)?;
                // A block may have fewer entries behind this one than the file has clusters.
                let left = ((slice.len() as u64 * 8 - bit) >> order).min(end - at);
                let free = |index: &u64| get(slice, bit + (index << order), order) == 0;
                let skip = (0..left).find(free).unwrap_or(left);
                let length = (skip..left.min(skip + want)).take_while(free).count() as u64;
                (skip, length)
            };
            self.space.hint.set(at + run.0 + run.1);
            if run.1 == 0 {
                continue;
            }
            self.refuse_vital(at + run.0, run.1)?;
            let mut slices = self.slices.borrow_mut();
            let slice = slices.change(start, Phase::First).ok_or(DiskError::NoMemory)?;
            (run.0..run.0 + run.1).for_each(|index| set(slice, bit + (index << order), order, 1));
            return Ok(Some((at + run.0, run.1)));
        }
    }

    /// Takes exactly so many that follow each other.
    pub async fn allocate_table(&self, count: u64) -> Result<u64, DiskError> {
        let end = self.clusters_below();
        let (mut first, mut at) = (self.space.hint.get(), self.space.hint.get());
        while at < end && at - first < count {
            if self.refcount_block(at)?.is_none() {
                self.add_block(at).await?;
            }
            let free = self.refcount(at).await? == 0;
            at += 1;
            first = if free { first } else { at };
        }
        if at - first < count {
            return Err(DiskError::NoSpace);
        }
        self.refuse_vital(first, count)?;
        for cluster in first..at {
            self.set_refcount(cluster, 1).await?;
        }
        Ok(first)
    }

    /// Counts down what has waited long enough.
    pub async fn take_back(&self) -> Result<(), DiskError> {
        if self.space.no_reuse.get() {
            self.space.waiting.take();
        }
        loop {
            let runs = {
                let mut waiting = self.space.waiting.borrow_mut();
                match waiting.front() {
                    Some((moment, _)) if self.traffic.passed(*moment) => waiting.pop_front(),
                    _ => None,
                }
            };
            let Some((_, runs)) = runs else {
                return Ok(());
            };
            for cluster in runs.into_iter().flat_map(|(first, count)| first..first + count) {
                self.count_down(cluster).await?;
            }
        }
    }

    /// One reference less; at the last one the cluster is free.
    pub async fn count_down(&self, cluster: u64) -> Result<(), DiskError> {
        if self.recount(cluster, true).await? == 0 {
            self.space.hint.set(self.space.hint.get().min(cluster));
            self.slices.borrow_mut().forget(cluster << self.geometry.cluster_bits, self.geometry.cluster());
            self.unpacked.take();
        }
        if self.slices.borrow().crowded() {
            self.write_changed(Phase::First).await?;
        }
        Ok(())
    }
}
