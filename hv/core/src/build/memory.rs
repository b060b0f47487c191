//! The first domain's memory while it is built: which frame each of its pages is.
//!
//! Without a heap the list must be short, so the pages come in blocks of 4 MiB, and the archive, which is adjacent, is one run.

use image::pages::Pages;

use super::first::NotBuilt;
use crate::frames::Frames;
use crate::ids::{DOM0, Mfn};
use crate::machine::Machine;

/// Pages in a block, as a power of two.
const ORDER: u32 = 10;
const BLOCK: u64 = 1 << ORDER;
/// The most blocks: 2 GiB.
const BLOCKS: usize = 512;

/// Which frame each page is.
pub struct Memory {
    blocks: [u32; BLOCKS],
    ramdisk: Pages,
    ramdisk_frame: Mfn,
}

impl Memory {
    /// Takes `pages` pages, of which `ramdisk` are the frames from `ramdisk_frame` on, with what is in them. The others are zero.
    pub fn take<M: Machine>(machine: &M, frames: &mut Frames, pages: u64, ramdisk: Pages, ramdisk_frame: Mfn) -> Result<Memory, NotBuilt> {
        let mut memory = Memory { blocks: [0; BLOCKS], ramdisk, ramdisk_frame };
        let own = pages - ramdisk.count;
        let blocks = usize::try_from(own.div_ceil(BLOCK)).unwrap_or(usize::MAX);
        for block in memory.blocks.get_mut(..blocks).ok_or(NotBuilt::Memory)? {
            let first = frames.allocate_block_for(machine, DOM0, ORDER).map_err(|_| NotBuilt::Memory)?;
            *block = first.0 as u32;
        }
        for extra in own..blocks as u64 * BLOCK {
            frames.give_back(memory.own(extra), DOM0).map_err(|_| NotBuilt::Memory)?;
        }
        for page in 0..ramdisk.count {
            frames.adopt(Mfn(ramdisk_frame.0 + page), DOM0).map_err(|_| NotBuilt::Memory)?;
        }
        Ok(memory)
    }

    fn own(&self, index: u64) -> Mfn {
        Mfn(u64::from(self.blocks[(index / BLOCK) as usize]) + index % BLOCK)
    }

    /// The frame of page `pfn`, which is below the number of pages.
    pub fn frame(&self, pfn: u64) -> Mfn {
        let behind = pfn.wrapping_sub(self.ramdisk.first);
        if behind < self.ramdisk.count {
            return Mfn(self.ramdisk_frame.0 + behind);
        }
        self.own(if pfn >= self.ramdisk.end() { pfn - self.ramdisk.count } else { pfn })
    }

    /// Writes bytes at a pseudo-physical address, across pages.
    pub fn write<M: Machine>(&self, machine: &M, mut address: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let offset = (address % 4096) as usize;
            let (now, later) = bytes.split_at(bytes.len().min(4096 - offset));
            machine.write_frame(self.frame(address / 4096), offset, now);
            address += now.len() as u64;
            bytes = later;
        }
    }
}
