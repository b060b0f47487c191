//! A domain that is to be killed with its hands full: it maps another's grant, has an event channel to it, and is in the middle of an
//! endless row of multicalls. Its partner is the same kernel in the other role, and is killed with its page still mapped.
//!
//! Command line: `role=give peer=N` or `role=hold peer=N`, with the number of the other domain.
#![no_std]
#![no_main]

use domus_test_kernels as _;
use pv_guest_sdk::abi::hypercall::{MULTICALL, XEN_VERSION};
use pv_guest_sdk::abi::multicall::MulticallEntry;
use pv_guest_sdk::console::format;
use pv_guest_sdk::hypercall::{self, Result};
use pv_guest_sdk::xenstore::{self, Transaction};
use pv_guest_sdk::{BootInfo, entry, events, grants, memory, println};

entry!(main);

const NONE: Transaction = Transaction::NONE;
/// Calls in a multicall: many more than the hypervisor does at a time.
const CALLS: usize = 60_000 / size_of::<MulticallEntry>();

fn main(info: &'static BootInfo) {
    let peer = info.argument("peer").and_then(|peer| peer.parse().ok()).expect("peer=N");
    let done = if info.argument("role") == Some("hold") { hold(peer) } else { give(peer) };
    println!("domu-holder: failed: {done:?}");
}

/// Grants a page, offers a port, says so in xenstore, and waits for ever.
fn give(peer: u16) -> Result<()> {
    let page = memory::alloc_page().expect("a page");
    let port = events::alloc_unbound(peer, |_| {})?;
    // SAFETY: nobody here touches the page again, and it is never freed.
    let reference = unsafe { grants::grant(peer, page, true) }?;
    let mut text = [0; 32];
    xenstore::write(NONE, "data/gift", format(&mut text, format_args!("{reference} {port}")))?;
    let mut owner = [0; 8];
    xenstore::set_permissions(NONE, "data/gift", &[format(&mut owner, format_args!("r{}", events::own_domid()?))])?;
    println!("domu-holder: giving");
    events::wait_until(|| false);
    Ok(())
}

/// Takes the page and the port, and calls without end.
fn hold(peer: u16) -> Result<()> {
    let (mut path, mut buffer) = ([0; 64], [0; 32]);
    let gift = xenstore::read(NONE, format(&mut path, format_args!("/local/domain/{peer}/data/gift")), &mut buffer)?;
    let (reference, port) = gift.split_once(' ').expect("two numbers");
    let mapping = grants::map(peer, reference.parse().expect("a grant"), true)?;
    let port = events::bind_interdomain(peer, port.parse().expect("a port"), |_| {})?;
    // SAFETY: the page is mapped as long as `mapping` lives, and nobody else reads it.
    unsafe { mapping.as_ptr().write_volatile(1) };
    events::send(port)?;
    println!("domu-holder: holding");
    let mut calls = [MulticallEntry { op: XEN_VERSION, ..Default::default() }; CALLS];
    loop {
        // SAFETY: the list is ours and lives as long as the call; the version call touches no memory.
        unsafe { hypercall::call(MULTICALL, [calls.as_mut_ptr() as u64, CALLS as u64, 0, 0, 0]) }?;
    }
}
