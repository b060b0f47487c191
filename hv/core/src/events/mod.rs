//! Event channels: how a guest learns that something happened.

use zerocopy::FromZeros;

/// State.
#[derive(FromZeros)]
pub struct VcpuEvents {}

/// State.
#[derive(FromZeros)]
pub struct DomainEvents {}
