//! Rings and states that cannot be: the back end stops serving, or pays no attention, and a proper connection works afterwards.

use core::sync::atomic::Ordering;

use domus_test_kernels::report::{Check, Complaint, Outcome as Verdict};
use domus_test_kernels::{fail, same};
use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::grants;
use pv_guest_sdk::hypercall::Result;
use pv_guest_sdk::xenbus::State;
use pv_guest_sdk::xenstore::Transaction;
use pv_guest_sdk::{events, time};

use crate::raw::{Outcome, Raw, await_back, device};

pub const RINGS: &[Check] = &[
    ("an index of requests that jumps", index),
    ("indices of responses that are written over", responses),
    ("many events and no request", events_only),
    ("grants that end while they are in use", revoked),
];

pub const STATES: &[Check] = &[
    ("closing while requests are open", closing),
    ("closing without a word", closed),
    ("beginning anew while connected", anew),
    ("rings that are none", rings),
    ("states that are none", states),
    ("connecting again and again", again),
];

fn told<T>(result: Result<T>, what: &str) -> core::result::Result<T, Complaint> {
    result.map_err(|error| Complaint::new(format_args!("{what}: {error}")))
}

/// A proper connection works.
fn works() -> Verdict {
    let mut raw = told(Raw::open(), "connecting properly")?;
    let request = raw.read();
    same!(raw.ask(request), Ok(Outcome::Status(0)), "a proper read");
    told(raw.end(), "ending properly")
}

fn index() -> Verdict {
    for by in [33, 1000, 1 << 31, u32::MAX] {
        let mut raw = told(Raw::open(), "connecting")?;
        raw.jump(by);
        // Linux's falls silent, ours closes; none answers.
        match raw.soon() {
            Outcome::Stopped | Outcome::Silence => {}
            Outcome::Status(status) => fail!("an index {by} too far was answered with {status}"),
        }
        told(raw.end(), "ending after a bad index")?;
    }
    works()
}

fn responses() -> Verdict {
    let mut raw = told(Raw::open(), "connecting")?;
    for value in [5000, u32::MAX, 0] {
        raw.index(2).store(value, Ordering::SeqCst);
        raw.index(3).store(value, Ordering::SeqCst);
        raw.index(1).store(value, Ordering::SeqCst);
        let request = raw.read();
        let _ = raw.send(request);
        let _ = raw.soon();
    }
    told(raw.end(), "ending after bad indices")?;
    works()
}

fn events_only() -> Verdict {
    let mut raw = told(Raw::open(), "connecting")?;
    for _ in 0..10_000 {
        told(events::send(raw.port), "an event")?;
    }
    let request = raw.read();
    same!(raw.ask(request), Ok(Outcome::Status(0)));
    told(raw.end(), "ending")
}

fn revoked() -> Verdict {
    let mut raw = told(Raw::open(), "connecting")?;
    same!(grants::revoke(raw.ring_page.gref), Err(Errno::BUSY), "the ring is mapped");
    for _ in 0..20 {
        let request = raw.read();
        told(raw.send(request), "sending")?;
    }
    // Whether it is mapped at this moment or not, the back end must not mind.
    let ended = grants::revoke(raw.data.gref).is_ok();
    for _ in 0..20 {
        match raw.outcome() {
            Outcome::Status(_) => {}
            other => fail!("{other:?}"),
        }
    }
    if ended {
        let domid = raw.device.back_domid();
        raw.data = told(crate::raw::Granted::new(domid, true), "another page")?;
    }
    told(raw.end(), "ending")?;
    works()
}

fn closing() -> Verdict {
    for _ in 0..5 {
        let mut raw = told(Raw::open(), "connecting")?;
        for _ in 0..32 {
            let request = raw.read();
            told(raw.send(request), "sending")?;
        }
        told(raw.end(), "ending with requests open")?;
    }
    works()
}

fn closed() -> Verdict {
    let mut raw = told(Raw::open(), "connecting")?;
    for _ in 0..32 {
        let request = raw.read();
        told(raw.send(request), "sending")?;
    }
    told(raw.device.set_state(State::Closed), "Closed")?;
    told(await_back(&raw.device, |state| state == State::Closed), "the back end's Closed")?;
    told(raw.give_back(), "giving back")?;
    works()
}

fn anew() -> Verdict {
    let raw = told(Raw::open(), "connecting")?;
    told(raw.device.set_state(State::Initialising), "Initialising")?;
    // Ours begins anew, Linux's waits to be closed; either must let go at last.
    time::sleep(50_000_000);
    told(raw.device.set_state(State::Closed), "Closed")?;
    told(await_back(&raw.device, |state| state != State::Connected), "the back end's end")?;
    told(raw.give_back(), "giving back")?;
    works()
}

/// What is wrong with the nodes.
const NODES: &[&[(&str, &str)]] = &[
    &[("ring-ref", "4000000000"), ("event-channel", "5")],
    &[("ring-ref", "5"), ("event-channel", "0")],
    &[("ring-ref", "-1"), ("event-channel", "99999")],
    &[("ring-ref", "x"), ("event-channel", "")],
    &[("ring-page-order", "31"), ("ring-ref0", "8")],
    &[("ring-page-order", "2")],
    &[("ring-page-order", "18446744073709551615")],
    &[("multi-queue-num-queues", "4000000000")],
    &[("multi-queue-num-queues", "0")],
    &[("multi-queue-num-queues", "4")],
    &[("protocol", "pdp11-abi")],
];

fn rings() -> Verdict {
    let device = told(device(), "the device")?;
    for nodes in NODES {
        told(
            pv_guest_sdk::task::block_on_until(device.begin(), time::now() + 20_000_000_000).unwrap_or(Err(Errno::TIMEDOUT)),
            "beginning",
        )?;
        for (node, value) in *nodes {
            told(device.write(Transaction::NONE, node, format_args!("{value}")), "a node")?;
        }
        told(device.set_state(State::Initialised), "Initialised")?;
        let refused = await_back(&device, |state| matches!(state, State::Closing | State::Closed));
        if refused.is_err() {
            fail!("{nodes:?}: the back end is {:?}", device.back_state());
        }
        told(device.set_state(State::Closed), "Closed")?;
        for node in ["ring-ref", "event-channel", "ring-page-order", "ring-ref0", "multi-queue-num-queues", "protocol"] {
            told(device.remove(node), "removing")?;
        }
    }
    drop(device);
    works()
}

fn states() -> Verdict {
    let raw = told(Raw::open(), "connecting")?;
    for state in ["99", "-1", "", "4294967300", "Connected", "7", "8", "2", "3", "4"] {
        told(raw.write("state", state), "a state")?;
        time::sleep(5_000_000);
    }
    told(raw.write("state", "6"), "Closed")?;
    told(await_back(&raw.device, |state| state == State::Closed), "the back end's Closed")?;
    told(raw.give_back(), "giving back")?;
    works()
}

fn again() -> Verdict {
    for _ in 0..20 {
        works()?;
    }
    Ok(())
}
