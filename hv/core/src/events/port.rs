//! One end of an event channel, and the bucket that holds a frame of them.

use zerocopy::FromZeros;

use crate::ids::DomId;

/// What a port is bound to. All zero is a free port.
#[derive(FromZeros, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Binding {
    /// To nothing; the next allocation may take it.
    #[default]
    Free,
    /// Never handed out: port 0, which means "no port".
    Reserved,
    /// To nothing yet; `remote` may bind to it.
    Unbound {
        /// Who may bind.
        remote: DomId,
    },
    /// To a port of `remote`, which is bound to this one.
    Interdomain {
        /// The other domain, or this one in a loopback.
        remote: DomId,
        /// Its port.
        port: u16,
    },
    /// To a virtual interrupt (`VIRQ_*`).
    Virq {
        /// Which.
        virq: u8,
    },
    /// To an interrupt of a PCI function.
    Message {
        /// Its slot in [`crate::devices::msi`].
        slot: u8,
    },
    /// To the vCPU that it notifies: an interrupt between processors.
    Ipi,
}

/// One port.
#[derive(FromZeros, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Port {
    /// What it is bound to.
    pub binding: Binding,
    /// The vCPU of its own domain that it notifies.
    pub vcpu: u8,
}

/// How many ports share a bucket.
pub const PORTS_PER_BUCKET: usize = 512;

/// A frame of ports.
#[derive(FromZeros)]
#[repr(C)]
pub struct Bucket {
    /// The ports, in the order of their numbers.
    pub ports: [Port; PORTS_PER_BUCKET],
}

const _: () = assert!(size_of::<Bucket>() == 4096);
