//! The free frames: blocks of 2^order frames, split and joined through links that lie in the frame table itself.

use core::sync::atomic::Ordering::Relaxed;

use super::frame::{Frame, Owner, Usage};

/// The largest block: 2^18 frames are 1 GiB.
pub const MAX_ORDER: u32 = 18;

/// Lists of free blocks by order.
pub(super) struct Buddy {
    heads: [u32; MAX_ORDER as usize + 1],
    free: u64,
}

impl Buddy {
    pub(super) const fn new() -> Self {
        Buddy { heads: [0; MAX_ORDER as usize + 1], free: 0 }
    }

    /// How many frames are free.
    pub(super) fn free_frames(&self) -> u64 {
        self.free
    }

    /// Takes a block of 2^`order` frames out; its frames are marked free still.
    pub(super) fn take(&mut self, table: &[Frame], order: u32) -> Option<u32> {
        let found = (order..=MAX_ORDER).find(|&larger| self.heads[larger as usize] != 0)?;
        let block = self.heads[found as usize];
        self.unlink(table, block, found);
        for half in (order..found).rev() {
            self.link(table, block + (1 << half), half);
        }
        self.free -= 1 << order;
        Some(block)
    }

    /// Puts a block back and joins it with its neighbours. All its frames are marked free by this.
    pub(super) fn give(&mut self, table: &[Frame], first: u32, order: u32) {
        for frame in &table[first as usize..first as usize + (1 << order)] {
            frame.give_to(Owner::Free, 0, false, false);
            frame.set_usage(Usage::UNUSED);
        }
        self.free += 1 << order;
        let (mut block, mut order) = (first, order);
        while order < MAX_ORDER {
            let neighbour = block ^ (1 << order);
            if !table.get(neighbour as usize).is_some_and(|frame| is_free_block(frame, order)) {
                break;
            }
            self.unlink(table, neighbour, order);
            block &= !(1 << order);
            order += 1;
        }
        self.link(table, block, order);
    }

    fn link(&mut self, table: &[Frame], block: u32, order: u32) {
        let head = &mut self.heads[order as usize];
        let frame = &table[block as usize];
        frame.set_usage(Usage::block(order));
        frame.prev.store(0, Relaxed);
        frame.next.store(*head, Relaxed);
        if *head != 0 {
            table[*head as usize].prev.store(block, Relaxed);
        }
        *head = block;
    }

    fn unlink(&mut self, table: &[Frame], block: u32, order: u32) {
        let frame = &table[block as usize];
        let (next, prev) = (frame.next.load(Relaxed), frame.prev.load(Relaxed));
        if next != 0 {
            table[next as usize].prev.store(prev, Relaxed);
        }
        if prev != 0 {
            table[prev as usize].next.store(next, Relaxed);
        } else {
            self.heads[order as usize] = next;
        }
        frame.set_usage(Usage::UNUSED);
    }
}

fn is_free_block(frame: &Frame, order: u32) -> bool {
    frame.owner() == Owner::Free && frame.usage().order() == Some(order)
}
