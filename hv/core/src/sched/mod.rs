//! Who runs, for how long, and who waits for what.

use zerocopy::FromZeros;

/// Run state of a vCPU.
#[derive(FromZeros)]
pub struct VcpuSched {}

/// A scheduling policy.
pub trait Scheduler {}

/// The policy in use.
pub struct Policy {}
impl Scheduler for Policy {}
