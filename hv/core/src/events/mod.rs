//! Event channels: how a guest learns that something happened, and the only thing that one domain can do to another unasked.
//!
//! A port is a number in a domain's table; it is bound to a port of another domain, to a virtual interrupt, to an
//! interrupt of a device or to a vCPU. An event
//! sets the port's bit in `shared_info` and, unless the guest masked it, raises the upcall of the vCPU that the port notifies
//! (`event_channel.h`, two-level ABI). Ports lie in buckets of one frame, allocated on demand and charged to the domain.
//!
//! The rule that matters is that no event is lost: whatever the guest does to the shared bits meanwhile, a port that became
//! pending while unmasked ends with an upcall. [`shared`] holds the steps, and a test explores every interleaving of them.

mod bind;
mod close;
mod deliver;
mod port;
mod query;
mod send;
pub mod shared;
mod table;
mod vcpu_info;
mod virq;

pub(crate) use bind::bind_message;
pub use bind::{alloc_unbound, bind_interdomain, bind_ipi, bind_vcpu, bind_virq};
pub use close::{close, close_all};
pub use deliver::unmask;
pub use port::{Binding, Port};
pub use query::{check, is_pending, status};
pub(crate) use send::send_message;
pub use send::{send, send_global_virq, send_virq};
pub use table::{DomainEvents, PORT_LIMIT_DEFAULT, VcpuEvents};
pub use vcpu_info::vcpu_info_moved;
