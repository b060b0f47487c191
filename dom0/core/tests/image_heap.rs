//! What unpacking takes from the heap, measured: Dom0 borrows what `heap_bytes` announces, so that it must be enough, and not wasteful.

mod image_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use domus_dom0_core::image::{KernelLoad, Step};
use image_support::{Memory, PACKERS, code, elf::Builder};

/// The system's allocator with a count of what is taken and of the most that ever was.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to `System` with unchanged arguments; the counters do not touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(TAKEN.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller keeps `GlobalAlloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps `GlobalAlloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// The only test of this file: the counters are shared. `DOMUS_TEST_VMLINUZ` may name a real kernel to be measured too.
#[test]
fn the_heap_that_is_announced_suffices() {
    let file = Builder::new(0x10_0000).load(0x10_0000, code(3 << 20, 1), 0).build();
    for (name, pack) in PACKERS {
        measure(name, &pack(&file), 8 << 20);
    }
    if let Some(path) = std::env::var_os("DOMUS_TEST_VMLINUZ") {
        measure("DOMUS_TEST_VMLINUZ", &std::fs::read(path).unwrap(), 128 << 20);
    }
}

fn measure(name: &str, packed: &[u8], memory_bytes: usize) {
    let announced = KernelLoad::heap_bytes(packed).unwrap() as usize;
    let mut memory = Memory::new(memory_bytes);
    let before = TAKEN.load(Relaxed);
    MOST.store(before, Relaxed);
    let mut load = KernelLoad::new(packed, memory_bytes as u64).unwrap();
    while !matches!(load.step(&mut memory).unwrap(), Step::Done(_)) {}
    let most = MOST.load(Relaxed) - before;
    drop(load);
    assert_eq!(TAKEN.load(Relaxed), before, "{name}: something was not given back");
    println!("{name}: {} KiB announced, {} KiB taken", announced >> 10, most >> 10);
    assert!(most <= announced, "{name}: {most} bytes taken, {announced} announced");
    assert!(announced <= 4 * most + (4 << 20), "{name}: {announced} announced, only {most} taken");
}
