//! What requests take of Dom0's memory while they are under way, however many a guest has.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use domus_dom0_core::block::fake::{FakeMemory, block_on};
use domus_dom0_core::block::{Buffer, Disk, DiskError, Memory, Piece, SharedDisk};
use domus_dom0_core::qcow2::{Access, Image, New, create};

use crate::support::{Folder, Numbers, World};
use crate::together::Slow;

/// Memory that counts how many bytes of it are given out.
#[derive(Clone)]
struct Counting {
    memory: Rc<FakeMemory>,
    now: Rc<Cell<usize>>,
    most: Rc<Cell<usize>>,
}

struct Counted(Box<dyn Buffer>, usize, Rc<Cell<usize>>);

impl Memory for Counting {
    fn buffer(&self, bytes: usize) -> Result<Box<dyn Buffer>, DiskError> {
        self.now.set(self.now.get() + bytes);
        self.most.set(self.most.get().max(self.now.get()));
        Ok(Box::new(Counted(self.memory.buffer(bytes)?, bytes, self.now.clone())))
    }
    fn put(&self, into: &[Piece], from: &[u8]) {
        self.memory.put(into, from);
    }
}

impl Buffer for Counted {
    fn get(&self, at: usize, into: &mut [u8]) {
        self.0.get(at, into);
    }
    fn set(&self, at: usize, from: &[u8]) {
        self.0.set(at, from);
    }
    fn pieces(&self) -> &[Piece] {
        self.0.pieces()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.2.set(self.2.get() - self.1);
    }
}

/// Runs requests of a sector in each cluster at once, and says how many bytes of buffers that took at most.
fn at_once(world: &World, contents: Vec<u8>, clusters: u64, write: bool) -> usize {
    let counting = Counting { memory: world.memory.clone(), now: Rc::default(), most: Rc::default() };
    let below: SharedDisk = Rc::new(Slow::new(world.disk(contents), 7));
    let image = block_on(Image::open(below, Rc::new(counting.clone()), None, Access::ReadWrite)).unwrap();
    counting.most.set(0);
    let request = |cluster: u64| -> Pin<Box<dyn Future<Output = Result<(), DiskError>>>> {
        let (image, page) = (image.clone(), world.memory.take(512));
        Box::pin(async move {
            let at = cluster << 16;
            if write { image.write(at, page.pieces()).await } else { image.read(at, page.pieces()).await }
        })
    };
    let mut requests: Vec<_> = (0..clusters).map(request).collect();
    let (mut context, mut numbers) = (Context::from_waker(Waker::noop()), Numbers(3));
    while !requests.is_empty() {
        let index = numbers.below(requests.len() as u64) as usize;
        if let std::task::Poll::Ready(result) = requests[index].as_mut().poll(&mut context) {
            result.unwrap();
            drop(requests.swap_remove(index));
        }
    }
    counting.most.get()
}

#[test]
fn filling_clusters_takes_a_bounded_amount_of_memory() {
    let world = World::new();
    let disk = world.disk(vec![0; 16 << 20]);
    let shared: SharedDisk = disk.clone();
    block_on(create(&shared, &world.shared(), &New { virtual_bytes: 16 << 20, cluster_bits: 16, backing: None })).unwrap();
    let most = at_once(&world, disk.contents(), 200, true);
    assert!(most <= 2 << 20, "{most} bytes");
}

#[test]
fn so_does_unpacking() {
    let folder = Folder::new("unpacking");
    // Clusters that pack to two thirds.
    let mut numbers = Numbers(5);
    let byte = |at: usize| if at % (64 << 10) < 40 << 10 { numbers.next() as u8 } else { 0 };
    folder.write("flat", &(0..8 << 20).map(byte).collect::<Vec<u8>>());
    folder.run("qemu-img convert -c -O qcow2 flat image");
    let most = at_once(&World::new(), folder.read("image"), 128, false);
    assert!(most <= 1 << 20, "{most} bytes");
}
