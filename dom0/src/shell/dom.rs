//! `dom`: commands about domains, carried out by the domain service.

use dom0_core::commands::Dom;

use super::execute::Result;

/// Carries out a subcommand of `dom`.
pub async fn run(command: Dom) -> Result {
    crate::domains::run(command).await
}
