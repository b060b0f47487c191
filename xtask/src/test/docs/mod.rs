//! The documentation against the tree: what it claims to be tested is, and where it points there is something.

mod abi_table;
mod links;
mod markdown;
mod snippets;
mod soundness;

use domus_harness::verdict::Verdict;

use super::suite::Suite;
use crate::workspace::Workspace;

/// Adds the steps.
pub fn steps(workspace: &Workspace, suite: &mut Suite<'_>) {
    let root = &workspace.root;
    suite.step("docs/abi-table", || Ok(verdict(abi_table::check(root)?)));
    suite.step("docs/links", || Ok(verdict(links::check(root)?)));
    suite.step("docs/snippets", || Ok(verdict(snippets::check(root)?)));
    suite.step("docs/soundness", || Ok(verdict(soundness::check(root)?)));
}

fn verdict(complaints: Vec<String>) -> Verdict {
    if complaints.is_empty() {
        return Verdict::Success;
    }
    Verdict::Failure(complaints.join("\n         "))
}
