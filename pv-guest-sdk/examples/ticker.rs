//! Timer and events: ten ticks, 10 ms apart, counted by the timer's handler.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};

use pv_guest_sdk::{BootInfo, entry, events, println, time};

const TICKS: u32 = 10;
const PERIOD_NS: u64 = 10_000_000;

static SEEN: AtomicU32 = AtomicU32::new(0);

entry!(main);

fn main(_info: &'static BootInfo) {
    println!("ticker: {TICKS} ticks of {} ms", PERIOD_NS / 1_000_000);
    let start = time::now();
    time::on_timer(|_| {
        SEEN.fetch_add(1, Ordering::Relaxed);
    });
    for tick in 1..=TICKS {
        let deadline = start + u64::from(tick) * PERIOD_NS;
        let before = SEEN.load(Ordering::Relaxed);
        time::set_timer(deadline).expect("a one-shot timer");
        events::wait_until(|| SEEN.load(Ordering::Relaxed) != before);
        println!("tick {tick}: {}", if time::now() >= deadline { "in time" } else { "early" });
    }
    println!("ticker: {} expirations", SEEN.load(Ordering::Relaxed));

    let port = events::bind_ipi(|_| {
        SEEN.fetch_add(1, Ordering::Relaxed);
    });
    let port = port.expect("a port to ourselves");
    let before = SEEN.load(Ordering::Relaxed);
    events::send(port).expect("an event to ourselves");
    events::wait_until(|| SEEN.load(Ordering::Relaxed) != before);
    println!("ticker: event to ourselves handled");
    println!("ticker: done");
}
