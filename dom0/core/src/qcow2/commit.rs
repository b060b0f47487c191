//! Making changes durable, in an order that any loss of power may interrupt.
//!
//! First reference counts, tables that nothing refers to yet, and the guest's data; then, behind a flush, the entries that refer to them. So what
//! is referred to is always counted and always complete, and the worst that an interruption leaves is a cluster that is counted and
//! not used.

use alloc::vec::Vec;

use super::inner::Inner;
use super::slices::Phase;
use super::store::CHUNK;
use crate::block::DiskError;

/// Given-up runs of clusters that may wait for a commit.
const MOST_FREED: usize = 4096;

impl Inner {
    /// Whether a flush has more to do than to be passed on.
    pub fn uncommitted(&self) -> bool {
        let waits = self.unsure.get() || self.space.any();
        waits || !self.carrier.idle() || self.slices.borrow().any_changed() || !self.l1_changed.borrow().is_empty()
    }

    /// Makes durable all changes, and the data of all writes that have ended.
    pub async fn commit(&self) -> Result<(), DiskError> {
        self.settle_header().await?;
        self.take_back().await?;
        self.write_changed(Phase::First).await?;
        self.store.below.flush().await?;
        // From here on the L1 table may refer to them.
        self.new_tables.borrow_mut().clear();
        if !self.slices.borrow().changed(Phase::Second).is_empty() || !self.l1_changed.borrow().is_empty() {
            self.write_changed(Phase::Second).await?;
            self.write_l1().await?;
            self.store.below.flush().await?;
        }
        self.space.durable(self.traffic.moment());
        self.take_back().await?;
        self.write_changed(Phase::First).await
    }

    /// Commits if too much waits for it.
    pub async fn relieve(&self) -> Result<(), DiskError> {
        let many = self.space.freed.borrow().len() > MOST_FREED;
        if many || self.slices.borrow().crowded() { self.commit().await } else { Ok(()) }
    }

    /// Writes the slices of a phase, neighbours together.
    pub async fn write_changed(&self, phase: Phase) -> Result<(), DiskError> {
        let changed = self.slices.borrow().changed(phase);
        let step = self.slices.borrow().slice_bytes();
        let mut rest = changed.as_slice();
        while let Some(&first) = rest.first() {
            let most = rest.len().min(CHUNK / step as usize);
            let follows = |(index, start): &(usize, &u64)| **start == first + *index as u64 * step;
            let length = rest.iter().enumerate().take(most).take_while(follows).count();
            let (now, later) = rest.split_at(length);
            let bytes: Vec<u8> = {
                let slices = self.slices.borrow();
                now.iter().flat_map(|&start| slices.get(start).unwrap_or(&[])).copied().collect()
            };
            self.store.write(first, &bytes).await?;
            now.iter().for_each(|&start| self.slices.borrow_mut().written(start));
            rest = later;
        }
        Ok(())
    }

    async fn write_l1(&self) -> Result<(), DiskError> {
        let block = self.store.block() as usize;
        let changed: Vec<usize> = self.l1_changed.borrow().iter().copied().collect();
        let table = self.header.borrow().l1_offset;
        for index in changed {
            let mut bytes: Vec<u8> =
                self.l1.borrow().iter().skip(index * block / 8).take(block / 8).flat_map(|entry| entry.to_be_bytes()).collect();
            bytes.resize(block, 0);
            self.store.write(table + (index * block) as u64, &bytes).await?;
            self.l1_changed.borrow_mut().remove(&index);
        }
        Ok(())
    }

    /// Changes an entry of the L1 table; it is written by the next commit.
    pub fn set_l1(&self, index: usize, raw: u64) -> Result<(), DiskError> {
        *self.l1.borrow_mut().get_mut(index).ok_or(DiskError::OutOfRange)? = raw;
        self.l1_changed.borrow_mut().insert(index * 8 / self.store.block() as usize);
        Ok(())
    }
}
