//! A grant and an event channel between two domains, or with itself when alone.
//!
//! Started with `role=wait` it waits for a partner, whom xenstore leads to it. Started without, it looks for somebody who waits; if there
//! is nobody, or no xenstore, it plays both sides.
#![no_std]
#![no_main]

mod partner;

use core::ptr::NonNull;

use pv_guest_sdk::events::{self, Port};
use pv_guest_sdk::grants::{self, GrantRef, Mapping};
use pv_guest_sdk::hypercall::Result;
use pv_guest_sdk::{BootInfo, entry, memory, println};

const ROUNDS: u32 = 5;

entry!(main);

fn main(info: &'static BootInfo) {
    let own = events::own_domid().expect("our identifier");
    let result = if info.argument("role") == Some("wait") {
        partner::wait(own).and_then(|(other, page, port)| play_far(Side::far(other, page, port)?))
    } else if let Some(other) = partner::find(own) {
        Side::near(other).and_then(|(near, page)| {
            partner::invite(own, other, page, near.port)?;
            play_near(near, page)
        })
    } else {
        play_both(own)
    };
    println!("pingpong: {}", if result.is_ok() { "done" } else { "failed" });
}

/// One end: a view of the shared page, and a port that wakes the other end.
struct Side {
    page: NonNull<u8>,
    port: Port,
    mapping: Option<Mapping>,
}

impl Side {
    /// The end that owns the page, and the page's grant.
    fn near(other: u16) -> Result<(Side, GrantRef)> {
        let page = memory::alloc_page().expect("a page");
        let port = events::alloc_unbound(other, |_| {})?;
        // SAFETY: the page is accessed by `say` and `hear` only, and never freed.
        let grant = unsafe { grants::grant(other, page, true) }?;
        Ok((Side { page, port, mapping: None }, grant))
    }

    /// The end that maps the page.
    fn far(other: u16, page: GrantRef, port: Port) -> Result<Side> {
        let mapping = grants::map(other, page, true)?;
        let port = events::bind_interdomain(other, port, |_| {})?;
        Ok(Side { page: mapping.as_ptr(), port, mapping: Some(mapping) })
    }

    fn say(&self, word: &[u8; 4], round: u32) -> Result<()> {
        // SAFETY: the page is ours or mapped as long as this end lives; the other side reads the word in one piece too.
        unsafe { self.page.cast::<u64>().write_volatile(message(word, round)) };
        events::send(self.port)
    }

    fn hear(&self, word: &[u8; 4], round: u32) {
        // SAFETY: as in `say`.
        events::wait_until(|| unsafe { self.page.cast::<u64>().read_volatile() } == message(word, round));
    }
}

fn message(word: &[u8; 4], round: u32) -> u64 {
    u64::from(u32::from_le_bytes(*word)) << 32 | u64::from(round)
}

fn play_near(near: Side, page: GrantRef) -> Result<()> {
    for round in 1..=ROUNDS {
        near.say(b"ping", round)?;
        near.hear(b"pong", round);
        println!("near side: pong {round}");
    }
    println!("near side: revoking while mapped: {:?}", grants::revoke(page));
    near.say(b"stop", 0)?;
    events::wait_until(|| grants::revoke(page).is_ok());
    println!("near side: revoked");
    Ok(())
}

fn play_far(far: Side) -> Result<()> {
    for round in 1..=ROUNDS {
        far.hear(b"ping", round);
        println!("far side: ping {round}");
        far.say(b"pong", round)?;
    }
    far.hear(b"stop", 0);
    drop(far.mapping);
    println!("far side: unmapped");
    events::send(far.port)
}

fn play_both(own: u16) -> Result<()> {
    println!("pingpong: alone, so with ourselves");
    let (near, page) = Side::near(own)?;
    let far = Side::far(own, page, near.port)?;
    for round in 1..=ROUNDS {
        near.say(b"ping", round)?;
        far.hear(b"ping", round);
        println!("far side: ping {round}");
        far.say(b"pong", round)?;
        near.hear(b"pong", round);
        println!("near side: pong {round}");
    }
    println!("near side: revoking while mapped: {:?}", grants::revoke(page));
    drop(far.mapping);
    println!("far side: unmapped");
    grants::revoke(page)?;
    println!("near side: revoked");
    Ok(())
}
