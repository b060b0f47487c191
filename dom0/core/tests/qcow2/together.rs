//! Several requests under way at once, and requests that are dropped.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use domus_dom0_core::block::fake::{FakeDisk, block_on};
use domus_dom0_core::block::{Buffer, Disk, DiskError, Doing, Info, Piece, Place, SharedDisk};
use domus_dom0_core::qcow2::{Access, Image, New, create};

use crate::support::{Folder, Numbers, World};

const SECTORS: u64 = 512;

/// A disk that takes its time, and ends requests in any order.
pub struct Slow {
    disk: Rc<FakeDisk>,
    numbers: RefCell<Numbers>,
}

impl Slow {
    pub fn new(disk: Rc<FakeDisk>, seed: u64) -> Self {
        Self { disk, numbers: RefCell::new(Numbers(seed)) }
    }

    fn later<'a>(&'a self, then: Doing<'a>) -> Doing<'a> {
        let mut left = self.numbers.borrow_mut().below(6);
        Box::pin(async move {
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                if left == 0 {
                    return Poll::Ready(());
                }
                left -= 1;
                Poll::Pending
            })
            .await;
            then.await
        })
    }
}

impl Disk for Slow {
    fn info(&self) -> Info {
        self.disk.info()
    }
    fn place(&self, offset: u64, bytes: u64, write: bool) -> Place {
        self.disk.place(offset, bytes, write)
    }
    fn read<'a>(&'a self, offset: u64, into: &'a [Piece]) -> Doing<'a> {
        self.later(self.disk.read(offset, into))
    }
    fn write<'a>(&'a self, offset: u64, from: &'a [Piece]) -> Doing<'a> {
        self.later(self.disk.write(offset, from))
    }
    fn flush(&self) -> Doing<'_> {
        self.later(self.disk.flush())
    }
    fn discard(&self, offset: u64, bytes: u64) -> Doing<'_> {
        self.later(self.disk.discard(offset, bytes))
    }
}

fn slow_image(world: &World, seed: u64, bits: u32) -> (Rc<FakeDisk>, Rc<Image>) {
    let disk = world.disk(vec![0xee; 2 << 20]);
    let below: SharedDisk = Rc::new(Slow::new(disk.clone(), seed));
    block_on(create(&below, &world.shared(), &New { virtual_bytes: SECTORS * 512, cluster_bits: bits, backing: None })).unwrap();
    let image = block_on(Image::open(below, world.shared(), None, Access::ReadWrite)).unwrap();
    (disk, image)
}

type Request = Pin<Box<dyn Future<Output = Result<(), DiskError>>>>;

/// A write of some sectors, each filled with its own number.
fn write(world: &World, image: &Rc<Image>, at: u64, values: Vec<u64>) -> Request {
    let buffer = world.memory.take(values.len() * 512);
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes().repeat(64)).collect();
    buffer.set(0, &bytes);
    let image = image.clone();
    Box::pin(async move { image.write(at * 512, buffer.pieces()).await })
}

fn flush_or_discard(image: &Rc<Image>, at: Option<(u64, u64)>) -> Request {
    let image = image.clone();
    Box::pin(async move {
        match at {
            None => image.flush().await,
            Some((at, count)) => image.discard(at * 512, count * 512).await,
        }
    })
}

/// Requests of a disk that each own a part of it, so that what is read in the end is known.
#[test]
fn requests_at_once_are_all_done() {
    for seed in 0..12 {
        let world = World::new();
        let (disk, image) = slow_image(&world, seed, [9, 12, 16][seed as usize % 3]);
        let mut numbers = Numbers(seed);
        let mut expected = vec![0; SECTORS as usize];
        for round in 0..6 {
            let mut requests: Vec<Request> = vec![flush_or_discard(&image, None)];
            let mut at = numbers.below(5);
            while at + 30 < SECTORS {
                let count = 1 + numbers.below(25);
                let values: Vec<u64> = (0..count).map(|_| numbers.next() | 1).collect();
                expected[at as usize..(at + count) as usize].copy_from_slice(&values);
                requests.push(write(&world, &image, at, values));
                at += count + numbers.below(4) * numbers.below(40);
            }
            drive(&mut requests, &mut numbers, 0);
            if round == 3 {
                block_on(image.take_snapshot("one", Default::default())).unwrap();
            }
        }
        assert_eq!(sectors(&world, &image), expected, "seed {seed}");
        block_on(image.flush()).unwrap();
        let report = block_on(image.check()).unwrap();
        assert!(report.is_sound() && report.leaked == 0, "{report:?}");
        let again = world.open(&disk, None, Access::ReadOnly).unwrap();
        assert_eq!(sectors(&world, &again), expected);
    }
}

#[test]
fn requests_that_are_dropped_do_no_harm() {
    let folder = Folder::new("dropped");
    for seed in 0..12 {
        let world = World::new();
        let (disk, image) = slow_image(&world, seed, [9, 12, 16][seed as usize % 3]);
        let mut numbers = Numbers(seed + 100);
        let mut allowed: Vec<Vec<u64>> = vec![vec![0]; SECTORS as usize];
        for _ in 0..6 {
            let mut requests: Vec<Request> = vec![];
            for _ in 0..12 {
                let at = numbers.below(SECTORS - 30);
                let count = 1 + numbers.below(30);
                requests.push(match numbers.below(6) {
                    0 => flush_or_discard(&image, None),
                    1 => {
                        (at..at + count).for_each(|sector| allowed[sector as usize].push(0));
                        flush_or_discard(&image, Some((at, count)))
                    }
                    _ => {
                        let values: Vec<u64> = (0..count).map(|_| numbers.next() | 1).collect();
                        (at..).zip(&values).for_each(|(sector, value)| allowed[sector as usize].push(*value));
                        write(&world, &image, at, values)
                    }
                });
            }
            drive(&mut requests, &mut numbers, 4);
        }
        block_on(image.flush()).unwrap();
        let report = block_on(image.check()).unwrap();
        assert!(report.is_sound(), "seed {seed}: {report:?}");
        for (found, allowed) in sectors(&world, &image).iter().zip(&allowed) {
            assert!(allowed.contains(found), "seed {seed}: {found:#x}");
        }
        if seed < 3 {
            folder.write("image", &disk.contents());
            // 3: leaks and nothing else.
            let report = folder.try_run("qemu-img check image").unwrap_or_else(|report| report);
            assert!(!report.contains("ERROR") && !report.contains("corrupt"), "{report}");
        }
    }
}

#[test]
fn a_place_keeps_its_meaning_until_the_traffic_has_passed() {
    let world = World::new();
    let (disk, image) = slow_image(&world, 1, 16);
    let cluster = vec![7; 64 << 10];
    world.write(&*image, 0, &cluster).unwrap();
    let traffic = image.traffic().unwrap();
    let lane = traffic.enter();
    let Place::At { offset, .. } = image.place(0, 4096, true) else { panic!("it is there") };
    block_on(image.discard(0, 64 << 10)).unwrap();
    block_on(image.flush()).unwrap();
    // Three more fit the guest's disk; the old place is not among theirs.
    for index in 0..3 {
        world.write(&*image, (1 + index) << 16, &cluster).unwrap();
    }
    let late = world.memory.take(4096);
    late.set(0, &[9; 4096]);
    block_on(disk.write(offset, late.pieces())).unwrap();
    traffic.leave(lane);
    assert_eq!(world.read(&*image, 1 << 16, 3 << 16).unwrap(), vec![7; 3 << 16]);
    block_on(image.flush()).unwrap();
    let report = block_on(image.check()).unwrap();
    assert!(report.is_sound() && report.leaked == 0, "{report:?}");
    // Now it is given out again.
    world.write(&*image, 0, &cluster).unwrap();
    assert!(matches!(image.place(0, 4096, true), Place::At { offset: again, .. } if again == offset));
}

#[test]
fn what_an_abandoned_write_may_still_reach_is_not_given_out() {
    let world = World::new();
    let (_, image) = slow_image(&world, 1, 16);
    let cluster = vec![7; 64 << 10];
    world.write(&*image, 0, &cluster).unwrap();
    let Place::At { offset, .. } = image.place(0, 4096, true) else { panic!("it is there") };
    let mut context = Context::from_waker(Waker::noop());
    // Some requests of this disk end at once.
    while {
        let mut request = write(&world, &image, 0, vec![9; 8]);
        request.as_mut().poll(&mut context).is_ready()
    } {}
    block_on(image.discard(0, 64 << 10)).unwrap();
    block_on(image.flush()).unwrap();
    for index in 0..3 {
        world.write(&*image, index << 16, &cluster).unwrap();
        assert!(matches!(image.place(index << 16, 4096, true), Place::At { offset: other, .. } if other != offset));
    }
    block_on(image.flush()).unwrap();
    let report = block_on(image.check()).unwrap();
    assert!(report.is_sound() && report.leaked == 1, "{report:?}");
}

/// The same for what was given up while the write was under way.
#[test]
fn nor_is_what_was_given_up_before_it_was_abandoned() {
    let world = World::new();
    let (_, image) = slow_image(&world, 1, 16);
    let cluster = vec![7; 64 << 10];
    world.write(&*image, 0, &cluster).unwrap();
    let Place::At { offset, .. } = image.place(0, 4096, true) else { panic!("it is there") };
    let mut context = Context::from_waker(Waker::noop());
    let request = loop {
        let mut request = write(&world, &image, 0, vec![9; 8]);
        if request.as_mut().poll(&mut context).is_pending() {
            break request;
        }
    };
    block_on(image.discard(0, 64 << 10)).unwrap();
    block_on(image.flush()).unwrap();
    drop(request);
    for index in 0..3 {
        world.write(&*image, index << 16, &cluster).unwrap();
        block_on(image.flush()).unwrap();
        assert!(matches!(image.place(index << 16, 4096, true), Place::At { offset: other, .. } if other != offset));
    }
}

/// A write that fills a cluster while a snapshot is restored does not bring back what surrounded it before.
#[test]
fn a_restored_disk_is_not_mixed_with_the_old_one() {
    for polls in 0..40 {
        let world = World::new();
        let (_, image) = slow_image(&world, polls, 16);
        world.write(&*image, 0, &[1; 64 << 10]).unwrap();
        block_on(image.take_snapshot("old", Default::default())).unwrap();
        world.write(&*image, 0, &[2; 64 << 10]).unwrap();
        block_on(image.take_snapshot("new", Default::default())).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let restored = image.clone();
        let mut requests = vec![write(&world, &image, 3, vec![9])];
        let begun = (0..polls / 2).all(|_| requests[0].as_mut().poll(&mut context).is_pending());
        requests.push(Box::pin(async move {
            restored.apply_snapshot("old").await.unwrap();
            Ok(())
        }));
        if !begun {
            // It ended before.
            drop(requests.remove(0));
        }
        drive(&mut requests, &mut Numbers(polls), 0);
        let found = sectors(&world, &image);
        let one = u64::from_le_bytes([1; 8]);
        assert!((0..128).all(|sector| found[sector] == one || (sector == 3 && found[3] == 9)), "{polls}: {:x?}", &found[..5]);
        let report = block_on(image.check()).unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
}

/// Polls at random until all have ended; of ten, so many are dropped on the way.
fn drive(requests: &mut Vec<Request>, numbers: &mut Numbers, dropped: u64) {
    let mut context = Context::from_waker(Waker::noop());
    let doomed = numbers.next();
    for turn in 0u64.. {
        if requests.is_empty() {
            return;
        }
        assert!(turn < 100_000, "they wait for each other");
        let index = numbers.below(requests.len() as u64) as usize;
        match requests[index].as_mut().poll(&mut context) {
            Poll::Ready(result) => {
                result.unwrap();
                drop(requests.swap_remove(index));
            }
            Poll::Pending if dropped > 0 && numbers.below(200) < dropped && doomed >> (turn % 64) & 1 == 1 => {
                drop(requests.swap_remove(index));
            }
            Poll::Pending => {}
        }
    }
}

fn sectors(world: &World, image: &Image) -> Vec<u64> {
    let bytes = world.read(image, 0, (SECTORS * 512) as usize).unwrap();
    bytes.chunks(512).map(|sector| u64::from_le_bytes(sector[..8].try_into().unwrap())).collect()
}
