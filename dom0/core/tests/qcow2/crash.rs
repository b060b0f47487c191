//! Requests at once by both ways, snapshots among them, and then the power is cut: what was answered before a flush began is there when the
//! flush was answered, whatever else was under way.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use domus_dom0_core::block::fake::{FakeDisk, block_on};
use domus_dom0_core::block::{Buffer, Disk, Place, SharedDisk};
use domus_dom0_core::qcow2::{Access, Image, New, Taken, create};

use crate::support::{Numbers, World};
use crate::together::Slow;

/// Sectors of the guest's disk at first, which end within a cluster, and of the file.
const SECTORS: u64 = 250;
const ROOM: u64 = 1536;

/// What a request was.
enum What {
    /// Sectors from the first on.
    Write(u64, u64),
    /// How many writes of each sector had been answered when it began.
    Flush(Vec<usize>),
    Other,
}

struct Request {
    what: What,
    work: Pin<Box<dyn Future<Output = bool>>>,
}

struct Run {
    world: World,
    disk: Rc<FakeDisk>,
    slow: Rc<Slow>,
    image: Rc<Image>,
    /// Everything that each sector was to hold, in order; how many of these are answered; from which on it may hold them after a loss of power.
    values: Vec<Vec<u64>>,
    answered: Vec<usize>,
    floor: Vec<usize>,
    next: u64,
    bytes: u64,
    requests: Vec<Request>,
}

impl Run {
    fn new(bits: u32, seed: u64) -> Self {
        let world = World::new();
        let disk = world.disk(vec![0xee; (ROOM * 512) as usize]);
        let slow = Rc::new(Slow::new(disk.clone(), seed));
        let below: SharedDisk = slow.clone();
        block_on(create(&below, &world.shared(), &New { virtual_bytes: SECTORS * 512, cluster_bits: bits, backing: None })).unwrap();
        let image = block_on(Image::open(below, world.shared(), None, Access::ReadWrite)).unwrap();
        let count = SECTORS as usize;
        let (values, answered, floor) = (vec![vec![0]; count], vec![0; count], vec![0; count]);
        Self { world, disk, slow, image, values, answered, floor, next: 1, bytes: SECTORS * 512, requests: vec![] }
    }

    fn write(&mut self, at: u64, count: u64) {
        let busy = |request: &Request| matches!(request.what, What::Write(start, length) if at < start + length && start < at + count);
        if self.requests.iter().any(busy) {
            return;
        }
        let buffer = self.world.memory.take((count * 512) as usize);
        for index in 0..count {
            buffer.set(index as usize * 512, &self.next.to_le_bytes().repeat(64));
            self.values[(at + index) as usize].push(self.next);
            self.next += 1;
        }
        let (image, slow) = (self.image.clone(), self.slow.clone());
        let work = Box::pin(async move {
            // As the back end does it.
            let traffic = image.traffic().unwrap();
            let lane = traffic.enter();
            match image.place(at * 512, count * 512, true) {
                Place::At { offset, bytes, .. } if bytes == count * 512 => {
                    let done = slow.write(offset, buffer.pieces()).await;
                    traffic.leave(lane);
                    done.is_ok()
                }
                _ => {
                    traffic.leave(lane);
                    image.write(at * 512, buffer.pieces()).await.is_ok()
                }
            }
        });
        self.requests.push(Request { what: What::Write(at, count), work });
    }

    fn begin(&mut self, numbers: &mut Numbers) {
        let image = self.image.clone();
        let name = format!("s{}", numbers.below(3));
        self.bytes += 1024;
        let bytes = self.bytes;
        let (what, work): (_, Pin<Box<dyn Future<Output = bool>>>) = match numbers.below(17) {
            0..3 => (What::Flush(self.answered.clone()), Box::pin(async move { image.flush().await.is_ok() })),
            3 => (What::Flush(self.answered.clone()), Box::pin(async move { image.take_snapshot(&name, Taken::default()).await.is_ok() })),
            4 => (What::Other, Box::pin(async move { image.delete_snapshot(&name).await.is_ok() })),
            5 => (What::Other, Box::pin(async move { image.grow(bytes).await.is_ok() })),
            _ => {
                let at = numbers.below(SECTORS);
                return self.write(at, (1 + numbers.below(24)).min(SECTORS - at));
            }
        };
        self.requests.push(Request { what, work });
    }

    fn poll(&mut self, index: usize) {
        let mut context = Context::from_waker(Waker::noop());
        let Some(request) = self.requests.get_mut(index) else { return };
        let Poll::Ready(done) = request.work.as_mut().poll(&mut context) else { return };
        match self.requests.swap_remove(index).what {
            What::Write(at, count) => {
                assert!(done, "a write failed");
                (at..at + count).for_each(|sector| self.answered[sector as usize] = self.values[sector as usize].len() - 1);
            }
            What::Flush(answered) if done => {
                self.floor.iter_mut().zip(answered).for_each(|(floor, answered)| *floor = answered.max(*floor));
            }
            _ => {}
        }
    }

    fn check(&self, contents: Vec<u8>, what: &str) {
        let image = self.world.open(&self.world.disk(contents), None, Access::ReadWrite).unwrap();
        let report = block_on(image.check()).unwrap();
        assert_eq!((report.uncounted, report.damaged, report.false_flags), (0, 0, 0), "{what}");
        let found = self.world.read(&*image, 0, (SECTORS * 512) as usize).unwrap();
        for (sector, bytes) in found.chunks(512).enumerate() {
            let found = u64::from_le_bytes(bytes[..8].try_into().unwrap());
            let allowed = &self.values[sector][self.floor[sector]..];
            assert!(allowed.contains(&found), "{what}: sector {sector} holds {found:#x}, not of {allowed:x?}");
        }
    }
}

#[test]
fn what_was_answered_before_a_flush_survives_whatever_is_under_way() {
    for seed in 0..SEEDS {
        let mut numbers = Numbers(seed);
        let bits = [9, 12, 14][seed as usize % 3];
        let mut run = Run::new(bits, seed);
        for _ in 0..numbers.below(1500) {
            if run.requests.len() < 8 && numbers.below(6) == 0 {
                run.begin(&mut numbers);
            } else if !run.requests.is_empty() {
                run.poll(numbers.below(run.requests.len() as u64) as usize);
            }
        }
        for cut in 0..3 {
            let often = numbers.below(5);
            let contents = run.disk.after_power_cut(|_| numbers.below(4) < often);
            run.check(contents, &format!("seed {seed}, cut {cut}"));
        }
        // Without a cut nothing that was answered is lost.
        while !run.requests.is_empty() {
            run.poll(numbers.below(run.requests.len() as u64) as usize);
        }
        block_on(run.image.flush()).unwrap();
        run.floor = run.answered.clone();
        run.check(run.disk.contents(), &format!("seed {seed}, at the end"));
    }
}

/// Histories.
const SEEDS: u64 = 200;
