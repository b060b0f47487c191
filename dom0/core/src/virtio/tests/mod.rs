//! Our side of virtio against models of the other.

mod disks;
mod oracle;
mod start;
