//! A guest that abuses the two rings that it shares with Dom0, in the way that its command line names. It then waits to be destroyed; what it
//! has come to is for the session to judge, which looks at Dom0 and at a domain beside this one.
#![no_std]
#![no_main]

use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use pv_guest_sdk::abi::console::ring::OUT_PROD_OFFSET;
use pv_guest_sdk::abi::start_info::StartInfo;
use pv_guest_sdk::abi::xenstore::{Header, RING_SIZE, XenstoreRing, msg};
use pv_guest_sdk::hypercall::Result;
use pv_guest_sdk::xenstore::Transaction;
use pv_guest_sdk::{BootInfo, entry, events, memory, println, time, xenstore};

entry!(main);

fn main(info: &'static BootInfo) {
    let raw = info.start_info();
    let (store, console) = (Page::of(raw.store_mfn), Page::of(raw.console_mfn));
    println!("abuse: {}", info.command_line());
    match info.argument("mode") {
        Some("index") => store.word(offset_of!(XenstoreRing, req_prod)).store(5000, Ordering::SeqCst),
        Some("reply-index") => ask_for_name(&store, |page| page.word(offset_of!(XenstoreRing, rsp_cons)).store(77_777, Ordering::SeqCst)),
        Some("length") => ask(&store, Header { kind: msg::READ, req_id: 1, tx_id: 0, len: 100_000 }, b""),
        Some("console") => console.word(OUT_PROD_OFFSET).store(5000, Ordering::SeqCst),
        Some("requests") => flood(|| xenstore::write(Transaction::NONE, "data/flood", "more")),
        Some("reads") => flood(|| xenstore::read(Transaction::NONE, "name", &mut [0; 64]).map(|_| ())),
        Some("listings") => flood_with_listings(),
        Some("transactions") => flood(|| xenstore::end_transaction(xenstore::start_transaction()?, false)),
        Some("watches") => flood(|| xenstore::watch("data", "flood").and_then(|()| xenstore::unwatch("data", "flood"))),
        Some("deaf") => never_read_answers(raw, &store),
        Some("events") => flood_with_events(raw),
        Some("lines") => flood_with_lines(),
        Some("spin") => spin(),
        _ => println!("no such abuse"),
    }
    let _ = (events::send(raw.store_evtchn), events::send(raw.console_evtchn));
    time::sleep(200_000_000);
    println!("xenstore's error: {}", store.word(offset_of!(XenstoreRing, error)).load(Ordering::SeqCst));
    loop {
        time::sleep(1_000_000_000);
    }
}

/// A ring's page.
struct Page(*mut u8);

impl Page {
    fn of(mfn: u64) -> Page {
        Page(memory::mfn_to_pfn(mfn).map_or(core::ptr::null_mut(), memory::pfn_to_virt))
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(!self.0.is_null() && offset < 4096 && offset.is_multiple_of(4), "a word of a ring");
        // SAFETY: the builder gave us the page, mapped for good; the offset is inside and aligned (checked), and both sides use atomics.
        unsafe { AtomicU32::from_ptr(self.0.add(offset).cast()) }
    }

    fn byte(&self, offset: usize) -> &AtomicU8 {
        assert!(!self.0.is_null() && offset < 4096, "a byte of a ring");
        // SAFETY: as for words.
        unsafe { AtomicU8::from_ptr(self.0.add(offset)) }
    }

    /// Puts bytes into the queue of requests, at a free-running index.
    fn put(&self, at: u32, bytes: impl IntoIterator<Item = u8>) -> u32 {
        let mut next = at;
        for byte in bytes {
            self.byte(offset_of!(XenstoreRing, req) + next as usize % RING_SIZE).store(byte, Ordering::SeqCst);
            next = next.wrapping_add(1);
        }
        next
    }
}

fn bytes_of(header: Header) -> impl Iterator<Item = u8> {
    [header.kind, header.req_id, header.tx_id, header.len].into_iter().flat_map(u32::to_le_bytes)
}

/// Sends a request by hand; the ring must be empty and unused.
fn ask(store: &Page, header: Header, payload: &[u8]) {
    let end = store.put(0, bytes_of(header).chain(payload.iter().copied()));
    store.word(offset_of!(XenstoreRing, req_prod)).store(end, Ordering::SeqCst);
}

const NAME: &[u8] = b"name\0";

fn ask_for_name(store: &Page, before: impl FnOnce(&Page)) {
    before(store);
    ask(store, Header { kind: msg::READ, req_id: 1, tx_id: 0, len: NAME.len() as u32 }, NAME);
}

/// Requests to xenstore as fast as they are answered. None of them may fail: what is refused costs nothing.
fn flood(request: impl Fn() -> Result<()>) {
    for number in 0u64.. {
        if let Err(error) = request() {
            return println!("failure: request {number}: {error}");
        }
        if number == 100 {
            println!("abuse: it floods");
        }
    }
}

/// As fast as they are taken, without ever making room for an answer.
fn never_read_answers(raw: &StartInfo, store: &Page) {
    let header = Header { kind: msg::READ, req_id: 1, tx_id: 0, len: NAME.len() as u32 };
    let mut produced = 0u32;
    loop {
        let consumed = store.word(offset_of!(XenstoreRing, req_cons)).load(Ordering::SeqCst);
        while produced.wrapping_sub(consumed) as usize + size_of::<Header>() + NAME.len() <= RING_SIZE {
            produced = store.put(produced, bytes_of(header).chain(NAME.iter().copied()));
        }
        store.word(offset_of!(XenstoreRing, req_prod)).store(produced, Ordering::SeqCst);
        let _ = events::send(raw.store_evtchn);
    }
}

/// Of a node with as many children as a reply that still fits into the ring.
fn flood_with_listings() {
    let made = (10u8..60).try_for_each(|number| {
        let path = [b'd', b'a', b't', b'a', b'/', b'0' + number / 10, b'0' + number % 10];
        xenstore::make(Transaction::NONE, core::str::from_utf8(&path).unwrap_or_default())
    });
    if let Err(error) = made {
        return println!("failure: making nodes: {error}");
    }
    flood(|| xenstore::directory(Transaction::NONE, "data", &mut [0; 1024]).map(|_| ()));
}

fn flood_with_events(raw: &StartInfo) {
    loop {
        let _ = (events::send(raw.store_evtchn), events::send(raw.console_evtchn));
    }
}

fn flood_with_lines() {
    for number in 0u64.. {
        println!("line {number}: nobody can read as fast as this");
    }
}

/// Deaf to events, for ever.
fn spin() {
    events::mask_upcalls();
    loop {
        // No `pause`: QEMU leaves its translated code at each, and a second of counted instructions would take minutes.
        core::hint::black_box(());
    }
}
