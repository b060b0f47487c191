//! Values that are likely to get somewhere: frames, addresses and structures that exist, and those just beside them.

use domus_test_kernels::scratch::{self, PAGE, Page};
use pv_guest_sdk::abi::domid::SELF;
use pv_guest_sdk::abi::hypercall as number;
use pv_guest_sdk::abi::memory::OP_MAXIMUM_RAM_PAGE;
use pv_guest_sdk::{hypercall, memory};

use crate::random::Random;

/// Pages of ours that the fuzzer may do anything with.
const PAGES: usize = 8;
/// Addresses of ours that it may map things at.
const ADDRESSES: usize = 8;
/// Pages of random structures.
const BUFFERS: usize = 4;

/// What the generator draws from.
pub struct Arguments {
    pages: [Page; PAGES],
    addresses: [u64; ADDRESSES],
    leaves: [u64; ADDRESSES],
    buffers: [Page; BUFFERS],
    /// The machine's highest frame.
    highest: u64,
}

const ODD: [u64; 24] = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    15,
    16,
    511,
    512,
    4095,
    4096,
    0x7ff0,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 47,
    1 << 60,
    0xffff_8000_0000_0000,
    0xffff_8300_0000_0000,
    0xffff_87ff_ffff_ffff,
    u64::MAX - 7,
    u64::MAX,
];

impl Arguments {
    pub fn new() -> Arguments {
        let addresses = core::array::from_fn(|_| scratch::address());
        // SAFETY: it only tells.
        let highest = unsafe { hypercall::call(number::MEMORY_OP, [OP_MAXIMUM_RAM_PAGE.into(), 0, 0, 0, 0]) };
        Arguments {
            pages: core::array::from_fn(|index| if index % 2 == 0 { Page::new() } else { Page::read_only() }),
            leaves: addresses.map(scratch::leaf),
            addresses,
            buffers: core::array::from_fn(|_| Page::new()),
            highest: highest.expect("every domain may ask"),
        }
    }

    /// Fills one of the buffers anew, now and then, and always a few words.
    pub fn refill(&mut self, random: &mut Random) {
        let buffer = random.pick(&self.buffers);
        let words = if random.below(64) == 0 { 512 } else { 8 };
        let start = random.below(512) as usize;
        for index in 0..words {
            buffer.write(start + index, self.word(random));
        }
    }

    /// A structure to point at.
    pub fn pointer(&self, random: &mut Random) -> u64 {
        match random.below(8) {
            0 => random.pick(&ODD),
            1 => random.pick(&self.addresses),
            _ => random.pick(&self.buffers).address + random.below(500) * 8,
        }
    }

    /// A frame: mostly one of ours, but none that the kernel has yet to use: pinned as a table, it could not be mapped later.
    pub fn frame(&self, random: &mut Random) -> u64 {
        let (any, ours) = (random.below(0x5_0000), random.pick(&self.pages).mfn);
        let foreign = any > self.highest || memory::mfn_to_pfn(any).is_none();
        if random.below(4) == 0 && foreign { any } else { ours }
    }

    /// An address that the fuzzer may change the mapping of.
    pub fn address(&self, random: &mut Random) -> u64 {
        match random.below(4) {
            0 => random.pick(&ODD[17..22]),
            _ => random.pick(&self.addresses),
        }
    }

    /// The machine address of an entry that it may change.
    pub fn entry(&self, random: &mut Random) -> u64 {
        match random.below(4) {
            0 => random.pick(&self.pages).slot(random.next()),
            1 => random.pick(&ODD),
            _ => random.pick(&self.leaves),
        }
    }

    /// A page-table entry.
    pub fn value(&self, random: &mut Random) -> u64 {
        let flags = match random.below(4) {
            0 => random.next() & 0xfff,
            1 => 0,
            2 => PAGE & !2,
            _ => PAGE,
        };
        self.frame(random) << 12 | flags
    }

    /// Anything.
    pub fn word(&self, random: &mut Random) -> u64 {
        match random.below(12) {
            0..=2 => random.pick(&ODD),
            3 => random.below(32),
            4 => self.pointer(random),
            5 => self.frame(random),
            6 => self.address(random),
            7 => self.entry(random),
            8 => self.value(random),
            9 => u64::from(SELF),
            10 => random.below(32) << 32 | random.below(32),
            _ => random.next(),
        }
    }
}
