//! The ABI table calls a row `full` only if it names a test, and the test exists. What the rows promise of the hypercalls' answers is
//! compared with the hypervisor's code by the host test `abi_table` of `domus-hv-core`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The table, below the root.
const TABLE: &str = "docs/abi.md";
/// Where a guest or a session is a test as a whole.
const WHOLE_FILES: [&str; 3] = ["tests/kernels/src/", "tests/sessions/", "pv-guest-sdk/examples/"];

/// What is wrong with the rows.
///
/// # Errors
/// When the table cannot be read.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join(TABLE)).with_context(|| format!("cannot read {TABLE}"))?;
    let complaints = complaints(&text, |test| exists(root, test));
    Ok(complaints.into_iter().map(|(line, why)| format!("{TABLE}:{line}: {why}")).collect())
}

/// Line numbers and what is wrong there.
fn complaints(text: &str, exists: impl Fn(&str) -> bool) -> Vec<(usize, String)> {
    let mut complaints = Vec::new();
    let mut full_rows = 0;
    for (index, line) in text.lines().enumerate() {
        let Some(cells) = cells(line) else { continue };
        let full = cells.get(2) == Some(&"full");
        full_rows += usize::from(full);
        let tests = tests(cells.get(4).copied().unwrap_or_default());
        if full && tests.is_empty() {
            complaints.push((index + 1, "a full row names no test".into()));
        }
        let missing = tests.into_iter().filter(|test| !exists(test));
        complaints.extend(missing.map(|test| (index + 1, format!("there is no test {test}"))));
    }
    if full_rows == 0 {
        complaints.push((1, "not one row is full: this is not the table".into()));
    }
    complaints
}

fn cells(line: &str) -> Option<Vec<&str>> {
    Some(line.strip_prefix('|')?.split('|').map(str::trim).collect())
}

/// What stands between backticks.
fn tests(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// `FILE::FUNCTION` is a test function in that file, or a check of a guest; `FILE` alone is a guest or a session, a test as a whole.
fn exists(root: &Path, test: &str) -> bool {
    let guest = WHOLE_FILES.iter().any(|folder| test.starts_with(folder));
    let Some((file, function)) = test.split_once("::") else {
        return guest && root.join(test).exists();
    };
    let has = if guest { has_check } else { has_test };
    fs::read_to_string(root.join(file)).is_ok_and(|source| has(&source, function))
}

/// True if a guest's source has a function of this name and lists it among its checks, as `("what it claims", function)`.
fn has_check(source: &str, function: &str) -> bool {
    source.contains(&format!("fn {function}()")) && source.contains(&format!("\", {function}),"))
}

/// True if the source has a function of this name with `#[test]` among the attributes right above it.
fn has_test(source: &str, function: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let opening = format!("fn {function}(");
    let attributes = |at: usize| lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
    (0..lines.len()).any(|at| lines[at].starts_with(&opening) && attributes(at).any(|line| *line == "#[test]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_row_needs_a_test_that_exists() {
        let exists = |test: &str| test == "a.rs::good";
        let row = |rest: &str| complaints(&format!("# Title\n| 0 | send | {rest} |\n| 1 | x | full | | `a.rs::good` |"), exists);
        assert_eq!(row("full | | `a.rs::good`"), []);
        assert_eq!(row("partial | why |"), []);
        assert_eq!(row("full | |"), [(2, "a full row names no test".into())]);
        assert_eq!(row("full | | a.rs::good"), [(2, "a full row names no test".into())], "without backticks");
        assert_eq!(row("partial | | `a.rs::good` and `b.rs::bad`"), [(2, "there is no test b.rs::bad".into())]);
        assert_eq!(complaints("nothing here", exists).len(), 1);
    }

    #[test]
    fn a_helper_function_is_no_test() {
        let source = "#[test]\n#[ignore]\nfn good() {}\n\nfn helper() {}\n#[test]\nfn other() { fn inner() {} }\n";
        assert!(has_test(source, "good") && has_test(source, "other"));
        assert!(has_check("(\"it works\", works),\nfn works() {}", "works") && !has_check("fn works() {}", "works"));
        assert!(!has_test(source, "helper") && !has_test(source, "goo") && !has_test(source, "inner"));
    }
}
