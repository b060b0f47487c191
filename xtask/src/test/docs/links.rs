//! Relative links in Markdown files lead to files that are there, and to headings that they have.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::markdown;

/// The links that lead nowhere.
///
/// # Errors
/// When a file cannot be read.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for (file, text) in markdown::files(root)? {
        let name = file.strip_prefix(root).unwrap_or(&file).display();
        let bad = links(&text).into_iter().filter(|link| !leads_somewhere(&file, link));
        complaints.extend(bad.map(|link| format!("{name}: {link} leads nowhere")));
    }
    Ok(complaints)
}

/// The targets of `[text](target)` outside code.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if !in_code {
            // What stands between backticks is code.
            let prose: String = line.split('`').step_by(2).collect();
            let targets = prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
            links.extend(targets);
        }
    }
    links
}

fn leads_somewhere(from: &Path, link: &str) -> bool {
    if ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
        return true;
    }
    let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
    let target = if path.is_empty() { from.to_owned() } else { from.parent().unwrap_or(from).join(path) };
    match heading {
        None => target.exists(),
        Some(heading) => fs::read_to_string(target).is_ok_and(|text| has_heading(&text, heading)),
    }
}

fn has_heading(text: &str, anchor: &str) -> bool {
    text.lines().filter(|line| line.starts_with('#')).any(|line| slug(line.trim_start_matches('#').trim()) == anchor)
}

/// The anchor that GitHub gives a heading: small letters, hyphens for spaces, no punctuation.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code() {
        let text = "see [a](b.md) and [c](d.md#e), `[no](no.md)`\n```\n[no](no.md)\n```\n[f](https://g)";
        assert_eq!(links(text), ["b.md", "d.md#e", "https://g"]);
    }

    #[test]
    fn headings_have_anchors() {
        assert!(has_heading("# Title\n## What works, what does not\n", "what-works-what-does-not"));
        assert!(!has_heading("text", "text"));
    }

    #[test]
    fn a_missing_file_and_a_missing_heading_are_found() -> Result<()> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("target"))?;
        fs::write(folder.path().join("target/theirs.md"), "[a](no.md)")?;
        fs::write(folder.path().join("a.md"), "# Here\n[a](b.md) [b](#here) [c](#there) [d](c.md#x) [e](.)")?;
        assert_eq!(check(folder.path())?, ["a.md: b.md leads nowhere", "a.md: #there leads nowhere", "a.md: c.md#x leads nowhere"]);
        Ok(())
    }
}
