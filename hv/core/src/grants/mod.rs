//! Grants: how one domain lets another use its frames.

use zerocopy::FromZeros;

/// State.
#[derive(FromZeros)]
pub struct DomainGrants {}
