//! `dom`: commands about domains, carried out by the domain service.

use alloc::string::ToString;

use dom0_core::commands::Dom;

use super::execute::Result;
use crate::domains;

/// Carries out a subcommand of `dom`.
pub async fn run(command: Dom) -> Result {
    domains::run(command).await.map_err(|error| error.to_string())
}
