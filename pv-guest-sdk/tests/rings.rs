//! Both ends of a ring on the host: what one sends the other receives, in order and once, however they take turns; and whatever a
//! hostile end writes into the shared page, no slot outside it is touched. Run under Miri, too, which sees a stray access that a host
//! would not.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::VecDeque;
use std::ptr::NonNull;

use abi::ring::RingHeader;
use pv_guest_sdk::abi;
use pv_guest_sdk::ring::{BackRing, Corrupt, FrontRing};

use random::Random;

#[path = "block/random.rs"]
mod random;

const PAGE: usize = 4096;
/// Turns that the two ends take.
const TURNS: u64 = if cfg!(miri) { 300 } else { 100_000 };

type Request = [u64; 13];
type Response = u64;

/// A page, with nothing beside it that would be an allocation of ours.
struct Page(NonNull<u8>);

impl Page {
    const LAYOUT: Layout = match Layout::from_size_align(PAGE, PAGE) {
        Ok(layout) => layout,
        Err(_) => panic!("a page has a layout"),
    };

    fn new() -> Page {
        // SAFETY: the layout is not empty.
        Page(NonNull::new(unsafe { alloc_zeroed(Self::LAYOUT) }).expect("memory of the host"))
    }

    fn ends(&self) -> (FrontRing<Request, Response>, BackRing<Request, Response>) {
        // SAFETY: the page outlives both ends in every test, and they are the only users.
        unsafe { (FrontRing::new(self.0, PAGE), BackRing::new(self.0, PAGE)) }
    }

    /// What a hostile end does: the field of the header at this index becomes `value`.
    fn spoil(&self, field: usize, value: u32) {
        assert!(field < size_of::<RingHeader>() / 4);
        // SAFETY: the field lies in the page; nothing else accesses it at this moment.
        unsafe { self.0.as_ptr().cast::<u32>().add(field).write_volatile(value) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.0.as_ptr(), Self::LAYOUT) }
    }
}

#[test]
fn everything_arrives_in_order_and_once() {
    let page = Page::new();
    let (mut front, mut back) = page.ends();
    assert_eq!((front.size(), back.size()), (32, 32), "slots are a power of two");
    let mut random = Random(7);
    let (mut sent, mut taken, mut answered) = (0u64, VecDeque::new(), 0u64);
    for _ in 0..TURNS {
        match random.below(5) {
            0 => {
                let room = front.free();
                let pushed = front.push([sent; 13]);
                assert_eq!(pushed.is_ok(), room > 0);
                sent += u64::from(pushed.is_ok());
            }
            1 => drop(front.publish()),
            2 => {
                if let Some(request) = back.pop().expect("the other end is honest") {
                    taken.push_back(request);
                }
            }
            3 => {
                if let Some(request) = taken.pop_front() {
                    back.push(request[12]);
                    let _ = back.publish();
                }
            }
            _ => {
                if let Some(response) = front.pop().expect("the other end is honest") {
                    assert_eq!(response, answered);
                    answered += 1;
                }
            }
        }
        assert!(sent - answered <= 32);
    }
    assert!(answered > TURNS / 20, "they did work: {answered}");
}

#[test]
fn whoever_waits_is_notified() {
    let page = Page::new();
    let (mut front, mut back) = page.ends();
    let mut random = Random(3);
    // Each end sleeps once it has armed and found nothing, and runs again when notified: they never both sleep with work left.
    let (mut back_sleeps, mut front_sleeps, mut answered) = (false, false, 0);
    for round in 0..TURNS / 10 {
        for _ in 0..=random.below(4) {
            let _ = front.push([round; 13]);
        }
        back_sleeps &= !front.publish();
        while !back_sleeps {
            match back.pop().expect("honest") {
                Some(request) => {
                    back.push(request[0]);
                    front_sleeps &= !back.publish();
                }
                None => back_sleeps = !back.arm(),
            }
        }
        while !front_sleeps {
            match front.pop().expect("honest") {
                Some(_) => answered += 1,
                None => front_sleeps = !front.arm(),
            }
        }
        assert_eq!(front.free(), front.size(), "round {round}: both sleep and something is left");
    }
    assert!(answered >= TURNS / 10);
}

#[test]
fn a_hostile_header_is_refused_or_harmless() {
    let mut random = Random(11);
    for _ in 0..TURNS / 20 {
        let page = Page::new();
        let (mut front, mut back) = page.ends();
        for _ in 0..random.below(40) {
            let _ = front.push([1; 13]);
        }
        let _ = front.publish();
        page.spoil(random.below(4) as usize, (random.below(1 << 16) as u32).wrapping_mul(0x10001) ^ random.below(3) as u32);
        let mut taken = 0;
        // More than fit is never believed.
        while let Ok(Some(_)) = back.pop() {
            taken += 1;
            assert!(taken <= 32, "taken without an answer");
        }
        for _ in 0..taken {
            back.push(0);
        }
        let (_, _) = (back.publish(), back.arm());
        while let Ok(Some(_)) = front.pop() {}
        assert!(front.free() <= 32);
    }
}

#[test]
fn an_index_out_of_range_is_corrupt() {
    const REQ_PROD: usize = 0;
    const RSP_PROD: usize = 2;
    let page = Page::new();
    let (mut front, mut back) = page.ends();
    page.spoil(REQ_PROD, 33);
    assert_eq!(back.pop(), Err(Corrupt));
    page.spoil(REQ_PROD, 32);
    assert!(back.pop().is_ok());
    page.spoil(RSP_PROD, 1);
    assert_eq!(front.pop(), Err(Corrupt), "an answer to nothing");
}
