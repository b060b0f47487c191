//! The second opinion: the SDK's examples boot as first domain of Domus and of a real Xen, and must print the same.

use anyhow::Result;
use domus_harness::verdict::Verdict;
use domus_harness::xen::Ending;

use super::kernels::SETUP;
use super::suite::Suite;
use crate::boot::Hypervisors;
use crate::compile::{self, Program};
use crate::progress::show;
use crate::workspace::Workspace;

/// What needs a xenstore, which a first domain on Xen has not.
const NEEDS_XENSTORE: [&str; 1] = ["xenstore-ls"];

/// Adds two steps for each example: it runs on Domus, and it prints what it prints on Xen.
pub fn steps(workspace: &Workspace, suite: &mut Suite<'_>) {
    if !suite.wants("examples") {
        return;
    }
    if suite.lists() {
        let examples = suite.prepare("examples", || compile::names(workspace, "pv-guest-sdk", "example")).unwrap_or_default();
        let names = |name: &String| [format!("examples/{name}"), format!("examples/{name}/xen")];
        return examples.iter().flat_map(names).for_each(|name| suite.name(&name));
    }
    let Some(examples) = suite.prepare("examples", || compile::examples(workspace)) else {
        return;
    };
    let Some(hypervisors) = suite.prepare("examples", || Hypervisors::prepare(workspace)) else {
        return;
    };
    for example in &examples {
        let mut printed = None;
        suite.step(&format!("examples/{}", example.name), || {
            let (verdict, console) = on_domus(&hypervisors, example)?;
            printed = Some(console);
            Ok(verdict)
        });
        suite.step(&format!("examples/{}/xen", example.name), || {
            if NEEDS_XENSTORE.contains(&example.name.as_str()) {
                return Ok(Verdict::Skip("needs a xenstore, which a first domain on Xen has not".into()));
            }
            let console = match printed {
                Some(console) => console,
                None => on_domus(&hypervisors, example)?.1,
            };
            same_on_xen(&hypervisors, example, &console)
        });
    }
}

fn on_domus(hypervisors: &Hypervisors, example: &Program) -> Result<(Verdict, String)> {
    let report = hypervisors.on_domus(&example.path, SETUP)?;
    let verdict = match report.complaint() {
        Some(complaint) => Verdict::Failure(complaint.into()),
        None if report.status != 0 => Verdict::Failure(format!("status {}", report.status)),
        None if report.console.trim().is_empty() => Verdict::Failure("it printed nothing".into()),
        None => Verdict::Success,
    };
    if verdict != Verdict::Success {
        show(&format!("--- console\n{}--- log\n{}---\n", report.console, report.log));
    }
    Ok((verdict, report.console))
}

fn same_on_xen(hypervisors: &Hypervisors, example: &Program, domus: &str) -> Result<Verdict> {
    let report = hypervisors.on_xen(&example.path, SETUP)?;
    if !matches!(report.ending, Some(Ending::PowerOff | Ending::Reboot)) {
        show(&format!("--- Xen's serial line\n{}---\n", report.serial));
        return Ok(Verdict::Error("it did not end well on Xen".into()));
    }
    Ok(difference(&report.console, domus).map_or(Verdict::Success, Verdict::Failure))
}

/// The first line that is not the same. Lines that open with `#` are remarks (a version, a time that was measured) and may differ.
fn difference(xen: &str, domus: &str) -> Option<String> {
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim_end).filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.map(str::to_owned).collect()
    };
    let (xen, domus) = (lines(xen), lines(domus));
    if xen.is_empty() {
        return Some("it printed nothing on Xen, so nothing was compared".into());
    }
    let length = xen.len().max(domus.len());
    let at = (0..length).find(|&at| xen.get(at) != domus.get(at))?;
    let show = |line: Option<&String>| line.map_or("nothing".to_owned(), |line| format!("{line:?}"));
    Some(format!("line {}: Xen has {}, Domus has {}", at + 1, show(xen.get(at)), show(domus.get(at))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_the_same() {
        assert_eq!(difference("a\nb\n", "a\r\nb"), None);
        assert_eq!(difference("# Xen 4.17\na\n", "# Domus 0.1\na\n"), None);
    }

    #[test]
    fn a_difference_is_shown() {
        assert_eq!(difference("a\nb\n", "a\nc\n").unwrap(), "line 2: Xen has \"b\", Domus has \"c\"");
        assert_eq!(difference("a\nb\n", "a\n").unwrap(), "line 2: Xen has \"b\", Domus has nothing");
        assert!(difference("a\n", "a\nb\n").is_some());
    }

    #[test]
    fn silence_is_not_agreement() {
        assert!(difference("", "").is_some());
        assert!(difference("# only remarks\n", "").is_some());
    }
}
