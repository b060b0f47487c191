//! Event channels.

use pv_guest_sdk::abi::event::{OP_SEND, Port};
use pv_guest_sdk::{abi::hypercall::EVENT_CHANNEL_OP, events, hypercall};

use crate::count::count;

fn send_on(port: u32) -> u64 {
    let argument = Port { port };
    // SAFETY: the structure of the operation.
    count(|_| unsafe {
        hypercall::raw(EVENT_CHANNEL_OP, [OP_SEND.into(), (&raw const argument) as u64, 0, 0, 0]);
    })
}

/// Sends to a port whose other end is pending already.
pub fn send() -> u64 {
    let own = events::own_domid().expect("our identifier");
    let far = events::alloc_unbound(own, |_| ()).expect("a port");
    let near = events::bind_interdomain(own, far, |_| ()).expect("a port");
    events::mask(near);
    events::mask(far);
    send_on(near)
}

/// Sends to ourselves, masked.
pub fn send_masked() -> u64 {
    let port = events::bind_ipi(|_| ()).expect("a port");
    events::mask(port);
    send_on(port)
}

/// Sends to ourselves and handles it.
pub fn to_handler() -> u64 {
    let port = events::bind_ipi(|_| ()).expect("a port");
    assert!(port < 64, "the handler clears the first word only");
    send_on(port)
}
