//! The operator's guide names every command and option that there is, and its configuration is one that works.

use std::collections::BTreeSet;

use domus_dom0_core::commands::{DISK, DOM, OptionSpec, SHELL, XENSTORE};
use domus_dom0_core::config;

const GUIDE: &str = include_str!("../../../docs/operators.md");

/// What stands between backticks on a line, in words.
fn code_words(line: &str) -> BTreeSet<&str> {
    let spans = line.split('`').skip(1).step_by(2);
    spans.flat_map(|span| span.split(|c: char| c.is_whitespace() || "[]".contains(c))).collect()
}

/// What one types: the letter if there is one.
fn typed(option: &OptionSpec) -> String {
    option.short.map_or(option.long.to_owned(), |letter| format!("-{letter}"))
}

#[test]
fn every_command_stands_in_the_guide_on_a_line_with_its_options() {
    let lines: Vec<_> = GUIDE.lines().map(code_words).collect();
    for spec in [SHELL, DOM, XENSTORE, DISK].into_iter().flatten() {
        let wanted: Vec<String> = spec.options.iter().map(typed).collect();
        let complete = lines.iter().any(|words| words.contains(spec.name) && wanted.iter().all(|option| words.contains(option.as_str())));
        assert!(complete, "{} with {wanted:?}", spec.name);
    }
}

/// The section about the configuration, without those below it.
fn configuration() -> &'static str {
    let section = GUIDE.split("\n## ").find(|section| section.starts_with("Configuration"));
    section.and_then(|section| section.split("\n### ").next()).expect("the guide has this section")
}

#[test]
fn the_example_is_a_configuration() {
    let lines = configuration().lines().filter_map(|line| line.strip_prefix("    "));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let parsed = config::parse(&text, &[]).unwrap_or_else(|message| panic!("{message}"));
    assert_eq!((parsed.config.name.as_str(), parsed.config.memory_mib, parsed.warnings.len()), ("linux", 256, 0));
}

#[test]
fn every_key_of_the_table_is_honoured() {
    let rows = configuration().lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let keys: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(keys.len() > 15, "{keys:?}");
    let needed = "name = 'n'\nkernel = 'k'\nmemory = 64\n";
    for key in keys {
        let accepted = ["64", "1", "destroy", "phy:/dev/vda,xvda,w", "pv", "generic", "8f2b4c6e-0000-4000-8000-000000000001"]
            .into_iter()
            .any(|value| {
                let parsed = config::parse(needed, &[(key.to_owned(), value.to_owned())]);
                parsed.is_ok_and(|parsed| parsed.warnings.is_empty())
            });
        assert!(accepted, "{key}");
    }
}
