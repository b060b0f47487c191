//! How two domains that know nothing of each other meet in xenstore.
//!
//! One writes "waiting" to its `data/pingpong`, which all may read. The other finds it and answers in its own `data/pingpong` with a
//! grant and a port; a watch tells the first one.

use pv_guest_sdk::console::format;
use pv_guest_sdk::events::Port;
use pv_guest_sdk::grants::GrantRef;
use pv_guest_sdk::hypercall::Result;
use pv_guest_sdk::println;
use pv_guest_sdk::xenstore::{self, Transaction};

const NODE: &str = "data/pingpong";
const NONE: Transaction = Transaction::NONE;

/// Announces itself and waits: the partner, its grant, its port.
pub fn wait(own: u16) -> Result<(u16, GrantRef, Port)> {
    let mut owner = [0; 8];
    xenstore::watch("/local/domain", "partner")?;
    xenstore::write(NONE, NODE, "waiting")?;
    xenstore::set_permissions(NONE, NODE, &[format(&mut owner, format_args!("r{own}"))])?;
    println!("pingpong: waiting for a partner");
    loop {
        let mut buffer = [0; 256];
        let path = xenstore::wait_watch_event(&mut buffer)?.path;
        if let Some(invitation) = invitation(path).filter(|&(other, ..)| other != own) {
            println!("pingpong: with a partner");
            return Ok(invitation);
        }
    }
}

fn invitation(path: &str) -> Option<(u16, GrantRef, Port)> {
    let other = path.strip_prefix("/local/domain/")?.strip_suffix("/data/pingpong")?;
    let mut buffer = [0; 32];
    let (page, port) = xenstore::read(NONE, path, &mut buffer).ok()?.split_once(' ')?;
    Some((other.parse().ok()?, page.parse().ok()?, port.parse().ok()?))
}

/// A domain that waits for a partner.
pub fn find(own: u16) -> Option<u16> {
    (0..256).find(|&other| {
        let (mut path, mut value) = ([0; 48], [0; 16]);
        let path = format(&mut path, format_args!("/local/domain/{other}/{NODE}"));
        other != own && xenstore::read(NONE, path, &mut value) == Ok("waiting")
    })
}

/// Answers a domain that waits.
pub fn invite(own: u16, other: u16, page: GrantRef, port: Port) -> Result<()> {
    println!("pingpong: with a partner");
    let (mut owner, mut reader, mut value) = ([0; 8], [0; 8], [0; 32]);
    let permissions = [format(&mut owner, format_args!("n{own}")), format(&mut reader, format_args!("r{other}"))];
    // Permissions first, so that the partner may read the answer when its watch fires.
    xenstore::write(NONE, NODE, "")?;
    xenstore::set_permissions(NONE, NODE, &permissions)?;
    xenstore::write(NONE, NODE, format(&mut value, format_args!("{page} {port}")))
}
