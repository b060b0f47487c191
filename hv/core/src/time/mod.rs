//! Time: clocks and timers of guests.

use zerocopy::FromZeros;

/// State.
#[derive(FromZeros)]
pub struct VcpuTime {}

/// State.
#[derive(FromZeros)]
pub struct DomainTime {}
