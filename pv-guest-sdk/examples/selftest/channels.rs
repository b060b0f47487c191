//! Event channels and the shared ring over them.

use core::sync::atomic::{AtomicU32, Ordering};

use pv_guest_sdk::abi::event;
use pv_guest_sdk::ring::{BackRing, Corrupt, FrontRing};
use pv_guest_sdk::{events, memory, sync};

use crate::Check;

pub const CHECKS: &[Check] = &[
    ("an event waits while upcalls are masked", masked),
    ("a masked port is pending but not handled", masked_port),
    ("status tells what a port is", status),
    ("a bad port is refused", bad_port),
    ("poll ends at its time", poll),
    ("a ring carries requests and responses", ring),
    ("a ring refuses an impossible index", corrupt_ring),
];

static SEEN: AtomicU32 = AtomicU32::new(0);

fn count(_port: events::Port) {
    SEEN.fetch_add(1, Ordering::Relaxed);
}

fn masked() {
    let port = events::bind_ipi(count).expect("a port");
    let before = SEEN.load(Ordering::Relaxed);
    sync::without_events(|| {
        events::send(port).expect("an event");
        assert_eq!(SEEN.load(Ordering::Relaxed), before);
    });
    assert_eq!(SEEN.load(Ordering::Relaxed), before + 1);
    events::close(port).expect("an open port");
}

fn masked_port() {
    let port = events::bind_ipi(count).expect("a port");
    let before = SEEN.load(Ordering::Relaxed);
    events::mask(port);
    events::send(port).expect("an event");
    assert!(events::is_pending(port));
    assert_eq!(SEEN.load(Ordering::Relaxed), before);
    events::unmask(port);
    events::wait_until(|| SEEN.load(Ordering::Relaxed) == before + 1);
    assert!(!events::is_pending(port));
    events::close(port).expect("an open port");
}

fn status() {
    let own = events::own_domid().expect("our identifier");
    let near = events::alloc_unbound(own, |_| {}).expect("a port");
    let kind = |port| events::status(own, port).expect("a port").status;
    assert_eq!(kind(near), event::STATUS_UNBOUND);
    let far = events::bind_interdomain(own, near, |_| {}).expect("a port");
    let status = events::status(own, near).expect("a port");
    assert_eq!((status.status, status.u0 as u16, status.u1), (event::STATUS_INTERDOMAIN, own, far));
    events::close(far).expect("an open port");
    assert_eq!(kind(near), event::STATUS_UNBOUND);
    events::close(near).expect("an open port");
    assert_eq!(kind(near), event::STATUS_CLOSED);
}

fn bad_port() {
    assert!(events::send(4095).is_err());
    assert!(events::close(1 << 20).is_err());
    assert!(events::bind_virq(event::NR_VIRQS, |_| {}).is_err());
    assert!(events::bind_virq(event::VIRQ_TIMER, |_| {}).is_err(), "bound already");
}

fn poll() {
    let port = events::alloc_unbound(0, |_| {}).expect("a port");
    let deadline = pv_guest_sdk::time::now() + 2_000_000;
    events::poll(port, deadline);
    assert!(pv_guest_sdk::time::now() >= deadline);
    events::close(port).expect("an open port");
}

/// Identifier and value.
type Ask = [u64; 2];
/// Identifier.
type Answer = u64;

fn ring() {
    let page = memory::alloc_page().expect("a page");
    // SAFETY: the page is ours and used as this ring only.
    let (mut front, mut back) = unsafe { (FrontRing::<Ask, Answer>::new(page, 4096), BackRing::<Ask, Answer>::new(page, 4096)) };
    assert_eq!(front.size(), 128);
    for round in 0..300u64 {
        let count = round % 128 + 1;
        for id in 0..count {
            assert!(front.push([id, id * round]).is_ok());
        }
        assert!(front.publish(), "the other end asked to be notified");
        for id in 0..count {
            let ask = back.pop().expect("a sound ring").expect("a request");
            assert_eq!(ask, [id, id * round]);
            back.push(id);
        }
        assert!(!back.arm());
        assert!(back.publish());
        for id in 0..count {
            assert_eq!(front.pop().expect("a sound ring").expect("a response"), id);
        }
        assert!(!front.arm());
    }
    for id in 0..128 {
        assert!(front.push([id, 0]).is_ok());
    }
    assert!(front.push([0, 0]).is_err(), "the ring is full");
}

fn corrupt_ring() {
    let page = memory::alloc_page().expect("a page");
    // SAFETY: the page is ours; its first word is the producer's index.
    unsafe {
        let _front = FrontRing::<Ask, Answer>::new(page, 4096);
        let mut back = BackRing::<Ask, Answer>::new(page, 4096);
        page.cast::<u32>().write_volatile(129);
        assert_eq!(back.pop().err(), Some(Corrupt));
    }
}
