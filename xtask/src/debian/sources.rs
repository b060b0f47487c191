//! Where Debian's packages come from: what the machine's own apt is told, so that a mirror or a proxy is set in one place.

use std::process::Command;

use anyhow::Result;

use crate::{apt, command};

/// The release that a guest's root is made of.
pub const SUITE: &str = "bookworm";

/// What apt is asked for each list that it knows.
const FORMAT: &str = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)";

/// Lines for a `sources.list`: the machine's own for [`SUITE`]. None if it has none, being another release.
///
/// # Errors
/// When apt cannot be asked.
pub fn lines() -> Result<Vec<String>> {
    let _alone = apt::alone();
    let text = command::output(Command::new("apt-get").args(["indextargets", "--format", FORMAT, "Created-By: Packages"]))?;
    Ok(parse_targets(&text))
}

fn parse_targets(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for target in text.lines() {
        let fields: Vec<&str> = target.split('|').collect();
        let [origin, codename, uri, release, component] = fields[..] else {
            continue;
        };
        let ours = codename.strip_prefix(SUITE).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        let line = format!("deb {uri} {release} {component}");
        if origin == "Debian" && ours && matches!(component, "main") && !lines.contains(&line) {
            lines.push(line);
        }
    }
    // Without the release itself, its updates are of no use.
    let complete = lines.iter().any(|line| line.contains(&format!(" {SUITE} ")));
    if complete { lines } else { Vec::new() }
}

/// How the machine's apt downloads, as lines of an `apt.conf`: proxies and patience.
///
/// # Errors
/// When apt cannot be asked.
pub fn options() -> Result<Vec<String>> {
    let text = command::output(Command::new("apt-config").args(["dump", "--no-empty", "Acquire"]))?;
    Ok(parse_options(&text))
}

fn parse_options(text: &str) -> Vec<String> {
    let wanted = |line: &&str| {
        let key = line.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
        ["::proxy", "::timeout", "::retries"].iter().any(|end| key.contains(end))
    };
    text.lines().filter(wanted).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_and_its_updates_are_taken() {
        let text = "Debian|bookworm|http://m/debian/|bookworm|main\nDebian|bookworm-security|http://m/sec/|bookworm-security|main\n\
            Debian|bookworm|http://m/debian/|bookworm|contrib\nNode|nodistro|http://n/|nodistro|main\nDebian|trixie|http://m/debian/|trixie|main\n";
        assert_eq!(parse_targets(text), ["deb http://m/debian/ bookworm main", "deb http://m/sec/ bookworm-security main"]);
    }

    #[test]
    fn another_release_has_nothing_to_give() {
        assert!(parse_targets("Debian|trixie|http://m/debian/|trixie|main\n").is_empty());
        assert!(parse_targets("Debian|bookworm-updates|http://m/debian/|bookworm-updates|main\n").is_empty());
    }

    #[test]
    fn proxies_come_along_and_nothing_else() {
        let text = "Acquire::http::Proxy \"http://p:1\";\nAcquire::https::Timeout \"9\";\nAcquire::IndexTargets::deb::Packages::X \"y\";\n";
        assert_eq!(parse_options(text), ["Acquire::http::Proxy \"http://p:1\";", "Acquire::https::Timeout \"9\";"]);
    }
}
