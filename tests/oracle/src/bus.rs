//! Memory that the crate's driver and the device share: pages for rings, and buffers that are lent for a request.

use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;

use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use crate::Device;

/// The crate's idea of the machine. It has no value: what it needs is the thread's.
pub struct Bus;

#[derive(Clone)]
#[repr(align(4096))]
struct Page([u8; PAGE_SIZE]);

/// Pages of the driver's rings, and where the device sees them.
struct Rings {
    address: u64,
    pages: NonNull<[Page]>,
    device_writes: bool,
}

impl Rings {
    fn copy(&self) -> Vec<u8> {
        // SAFETY: `pages` is what `dma_alloc` made; `dma_dealloc` takes the entry out before it frees. The crate holds no reference to it while it
        // calls us, and there is one thread.
        let pages = unsafe { self.pages.as_ref() };
        pages.iter().flat_map(|page| page.0).collect()
    }

    fn replace(&mut self, bytes: &[u8]) {
        // SAFETY: as in `copy`.
        let pages = unsafe { self.pages.as_mut() };
        pages.iter_mut().zip(bytes.chunks_exact(PAGE_SIZE)).for_each(|(page, bytes)| page.0.copy_from_slice(bytes));
    }
}

struct State {
    device: Rc<dyn Device>,
    rings: Vec<Rings>,
    /// Addresses from here on are free while nothing is lent.
    fixed: u64,
    next: u64,
    lent: usize,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

impl State {
    fn take(&mut self, bytes: usize) -> u64 {
        let address = self.next;
        self.next += bytes.next_multiple_of(PAGE_SIZE) as u64;
        assert!(self.next <= self.device.memory().end, "the model's memory is too small for the driver");
        address
    }
}

fn with<T>(work: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(|state| work(state.as_mut().expect("a device")))
}

/// This thread's driver has this device.
pub fn connect(device: Rc<dyn Device>) {
    let start = device.memory().start;
    let state = State { device, rings: Vec::new(), fixed: start, next: start, lent: 0 };
    STATE.with_borrow_mut(|place| {
        assert!(place.as_ref().is_none_or(|state| state.rings.is_empty()), "one driver at a time");
        *place = Some(state);
    });
}

/// Lets the device work on the rings as they are.
pub fn doorbell() {
    with(|state| {
        state.rings.iter().for_each(|rings| state.device.put(rings.address, &rings.copy()));
        state.device.doorbell();
        for rings in &mut state.rings {
            let before = rings.copy();
            let mut now = vec![0; before.len()];
            state.device.get(rings.address, &mut now);
            if rings.device_writes {
                rings.replace(&now);
            } else {
                assert!(now == before, "the device has written what is the driver's");
            }
        }
    });
}

// SAFETY: `dma_alloc` gives zeroed pages of a boxed slice of their own, aligned as `Page` is, which stay until `dma_dealloc`. No registers are mapped.
unsafe impl Hal for Bus {
    fn dma_alloc(pages: usize, direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let memory = NonNull::from(Box::leak(vec![Page([0; PAGE_SIZE]); pages].into_boxed_slice()));
        let address = with(|state| {
            assert_eq!(state.lent, 0, "rings are made before requests");
            let address = state.take(pages * PAGE_SIZE);
            state.fixed = state.next;
            let device_writes = direction != BufferDirection::DriverToDevice;
            state.rings.push(Rings { address, pages: memory, device_writes });
            address
        });
        (address, memory.cast())
    }

    unsafe fn dma_dealloc(address: PhysAddr, pointer: NonNull<u8>, pages: usize) -> i32 {
        with(|state| state.rings.retain(|rings| rings.address != address));
        let memory = NonNull::slice_from_raw_parts(pointer.cast::<Page>(), pages);
        // SAFETY: the caller gives back what `dma_alloc` leaked, with the same number of pages.
        drop(unsafe { Box::from_raw(memory.as_ptr()) });
        0
    }

    unsafe fn mmio_phys_to_virt(_address: PhysAddr, _bytes: usize) -> NonNull<u8> {
        unreachable!("there are no registers")
    }

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        with(|state| {
            let address = state.take(buffer.len());
            state.lent += 1;
            // SAFETY: the caller promises a valid buffer that nobody else uses meanwhile.
            let bytes = unsafe { buffer.as_ref() };
            // What only the device writes has rubbish first, so that the driver cannot live on what it had.
            let rubbish = || vec![0xa5; bytes.len()];
            let from_driver = direction != BufferDirection::DeviceToDriver;
            state.device.put(address, &if from_driver { bytes.to_vec() } else { rubbish() });
            address
        })
    }

    unsafe fn unshare(address: PhysAddr, mut buffer: NonNull<[u8]>, direction: BufferDirection) {
        with(|state| {
            // SAFETY: the caller promises a valid buffer that nobody else uses meanwhile.
            let bytes = unsafe { buffer.as_mut() };
            let mut now = vec![0; bytes.len()];
            state.device.get(address, &mut now);
            match direction {
                BufferDirection::DriverToDevice => assert!(now == bytes, "the device has written what is the driver's"),
                _ => bytes.copy_from_slice(&now),
            }
            state.lent -= 1;
            if state.lent == 0 {
                state.next = state.fixed;
            }
        });
    }
}
