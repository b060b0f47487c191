//! A grant and an event channel between two domains, or with itself when alone.
//!
//! Started with `role=wait` it announces itself in xenstore and waits for a partner. Started without, it looks for somebody who waits;
//! if there is nobody, or no xenstore, it plays both sides.
#![no_std]
#![no_main]

use core::ptr::NonNull;

use pv_guest_sdk::events::{self, Port};
use pv_guest_sdk::hypercall::Result;
use pv_guest_sdk::xenstore::{self, Transaction};
use pv_guest_sdk::{BootInfo, entry, grants, memory, println};

const ROUNDS: u8 = 5;
const NODE: &str = "data/pingpong";

entry!(main);

fn main(info: &'static BootInfo) {
    let own = events::own_domid().expect("our identifier");
    let result = match info.argument("role") {
        Some("wait") => wait_for_partner(own),
        _ => match (0..64).find(|&other| other != own && waits(other)) {
            Some(partner) => near_side(partner, |offer| publish(own, partner, offer)),
            None => play_alone(own),
        },
    };
    println!(
        "pingpong: {}",
        if result.is_ok() { "done" } else { "failed" }
    );
}

/// What one side tells the other: which page, which port.
#[derive(Clone, Copy)]
struct Offer {
    page: u32,
    port: Port,
}

/// The side that owns the page: grants it, offers a port, and says ping.
fn near_side(partner: u16, offer: impl FnOnce(Offer) -> Result<()>) -> Result<()> {
    let page = memory::alloc_page().expect("a page");
    let port = events::alloc_unbound(partner, |_| {})?;
    let granted = grants::grant(partner, page, true)?;
    offer(Offer {
        page: granted,
        port,
    })?;
    for round in 1..=ROUNDS {
        say(page, *b"ping", round, port)?;
        events::wait_until(|| heard(page, *b"pong", round));
        println!("near side: pong {round}");
    }
    println!(
        "near side: revoking while mapped: {:?}",
        grants::revoke(granted)
    );
    say(page, *b"stop", 0, port)?;
    events::wait_until(|| grants::revoke(granted).is_ok());
    println!("near side: revoked");
    events::close(port)
}

/// The side that maps the page and says pong.
fn far_side(partner: u16, offer: Offer) -> Result<()> {
    let port = events::bind_interdomain(partner, offer.port, |_| {})?;
    let mapping = grants::map(partner, offer.page, true)?;
    for round in 1..=ROUNDS {
        events::wait_until(|| heard(mapping.as_ptr(), *b"ping", round));
        println!("far side: ping {round}");
        say(mapping.as_ptr(), *b"pong", round, port)?;
    }
    events::wait_until(|| heard(mapping.as_ptr(), *b"stop", 0));
    drop(mapping);
    println!("far side: unmapped");
    events::send(port)?;
    Ok(())
}

/// Both sides in one kernel: the far side runs in the handler of its port.
fn play_alone(own: u16) -> Result<()> {
    println!("pingpong: alone, so with ourselves");
    let page = memory::alloc_page().expect("a page");
    let near = events::alloc_unbound(own, |_| {})?;
    let granted = grants::grant(own, page, true)?;
    let far = events::bind_interdomain(own, near, |_| {})?;
    let mapping = grants::map(own, granted, true)?;
    for round in 1..=ROUNDS {
        say(page, *b"ping", round, near)?;
        events::wait_until(|| heard(mapping.as_ptr(), *b"ping", round));
        println!("far side: ping {round}");
        say(mapping.as_ptr(), *b"pong", round, far)?;
        events::wait_until(|| heard(page, *b"pong", round));
        println!("near side: pong {round}");
    }
    println!(
        "near side: revoking while mapped: {:?}",
        grants::revoke(granted)
    );
    drop(mapping);
    println!("far side: unmapped");
    grants::revoke(granted)?;
    println!("near side: revoked");
    events::close(far)?;
    events::close(near)
}

fn say(page: NonNull<u8>, word: [u8; 4], round: u8, port: Port) -> Result<()> {
    // SAFETY: the page is ours or mapped, and 8-byte aligned; the other side reads it in one piece too.
    unsafe { page.cast::<u64>().write_volatile(message(word, round)) };
    events::send(port)
}

fn heard(page: NonNull<u8>, word: [u8; 4], round: u8) -> bool {
    // SAFETY: as in `say`.
    unsafe { page.cast::<u64>().read_volatile() == message(word, round) }
}

fn message(word: [u8; 4], round: u8) -> u64 {
    u64::from(u32::from_le_bytes(word)) << 8 | u64::from(round)
}

fn waits(domid: u16) -> bool {
    let mut buffer = [0; 16];
    let mut path = [0; 48];
    let path = text(&mut path, format_args!("/local/domain/{domid}/{NODE}"));
    xenstore::read(Transaction::NONE, path, &mut buffer) == Ok("waiting")
}

fn publish(own: u16, partner: u16, offer: Offer) -> Result<()> {
    println!("pingpong: with a partner");
    let (mut owner, mut reader, mut value) = ([0; 8], [0; 8], [0; 32]);
    xenstore::write(
        Transaction::NONE,
        NODE,
        text(&mut value, format_args!("{} {}", offer.page, offer.port)),
    )?;
    let permissions = [
        text(&mut owner, format_args!("n{own}")),
        text(&mut reader, format_args!("r{partner}")),
    ];
    xenstore::set_permissions(Transaction::NONE, NODE, &permissions)
}

fn wait_for_partner(own: u16) -> Result<()> {
    let mut owner = [0; 8];
    xenstore::watch("/local/domain", "partner")?;
    xenstore::write(Transaction::NONE, NODE, "waiting")?;
    xenstore::set_permissions(
        Transaction::NONE,
        NODE,
        &[text(&mut owner, format_args!("r{own}"))],
    )?;
    println!("pingpong: waiting for a partner");
    loop {
        let mut buffer = [0; 256];
        let path = xenstore::wait_watch_event(&mut buffer)?.path;
        let partner = path
            .strip_prefix("/local/domain/")
            .and_then(|rest| rest.strip_suffix("/data/pingpong"));
        let Some(partner) = partner
            .and_then(|id| id.parse().ok())
            .filter(|&id: &u16| id != own)
        else {
            continue;
        };
        let mut value = [0; 32];
        let Ok(value) = xenstore::read(Transaction::NONE, path, &mut value) else {
            continue;
        };
        let Some((page, port)) = value.split_once(' ') else {
            continue;
        };
        let (Ok(page), Ok(port)) = (page.parse(), port.parse()) else {
            continue;
        };
        println!("pingpong: with a partner");
        return far_side(partner, Offer { page, port });
    }
}

/// Formats into a buffer; what does not fit is cut off.
fn text<'a>(buffer: &'a mut [u8], arguments: core::fmt::Arguments<'_>) -> &'a str {
    pv_guest_sdk::console::format(buffer, arguments)
}
