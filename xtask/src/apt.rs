//! Debian's package tools. Installing needs root or sudo; downloading a package to unpack it needs neither. Only one of ours runs at a time:
//! apt does not wait for itself everywhere.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};

use crate::command;
use crate::progress::{during, say};

/// Taken while a tool of apt's runs. What it says is whether the package lists were fetched: that is done at most once a run.
static UPDATED: Mutex<bool> = Mutex::new(false);
/// Seconds to wait for others at the packages: a machine's own updates, for example.
const PATIENCE: &str = "DPkg::Lock::Timeout=300";

/// Keeps apt's tools to the caller until it is dropped.
pub fn alone() -> MutexGuard<'static, bool> {
    UPDATED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Installs packages.
///
/// # Errors
/// When this is no Debian, when we may not install, or when apt-get fails.
pub fn install(packages: &[&str]) -> Result<()> {
    require()?;
    say(&format!("installing the Debian packages {}", packages.join(", ")));
    let attempt = || command::run(privileged("apt-get")?.args(["install", "-y", "--no-install-recommends", "-o", PATIENCE]).args(packages));
    retry_after_update(packages, attempt)
}

/// Downloads one package's file into `folder`. Nothing is installed.
///
/// # Errors
/// When this is no Debian, or when apt-get fails.
pub fn download(package: &str, folder: &Path) -> Result<()> {
    require()?;
    retry_after_update(&[package], || {
        let what = format!("downloading the Debian package {package}");
        during(&what, || {
            // As root, apt would fetch as the user _apt, who may not write here, and warn about it.
            let mut apt = Command::new("apt-get");
            apt.args(["-q", "-o", "APT::Sandbox::User=root", "download", package]).current_dir(folder);
            command::output(&mut apt).map(drop)
        })
    })
}

/// The packages that `package` depends on.
///
/// # Errors
/// When this is no Debian, or the package is not known.
pub fn dependencies(package: &str) -> Result<Vec<String>> {
    require()?;
    retry_after_update(&[package], || {
        let text = command::output(Command::new("apt-cache").args(["depends", "--important", package]))?;
        Ok(parse_dependencies(&text))
    })
}

fn parse_dependencies(text: &str) -> Vec<String> {
    let depends = text.lines().filter_map(|line| line.trim().trim_start_matches('|').strip_prefix("Depends:"));
    depends.map(|name| name.trim().to_owned()).collect()
}

/// Fetches the package lists if they do not know the packages at all, tries, and if that fails (old lists name files that are gone)
/// fetches them and tries again.
fn retry_after_update<T>(packages: &[&str], attempt: impl Fn() -> Result<T>) -> Result<T> {
    let mut updated = alone();
    if packages.iter().any(|package| !known(package)) {
        update(&mut updated)?;
    }
    match attempt() {
        Err(_) if !*updated => {
            update(&mut updated)?;
            attempt()
        }
        result => result,
    }
}

fn known(package: &str) -> bool {
    let policy = Command::new("apt-cache").args(["policy", package]).stderr(Stdio::null()).output();
    policy.is_ok_and(|policy| {
        let text = String::from_utf8_lossy(&policy.stdout).into_owned();
        text.lines().any(|line| line.trim().starts_with("Candidate:") && !line.contains("(none)"))
    })
}

fn update(updated: &mut bool) -> Result<()> {
    if std::mem::replace(updated, true) {
        return Ok(());
    }
    say("fetching Debian's package lists");
    command::run(privileged("apt-get")?.args(["-q", "update"]))
}

/// Makes sure that this is a Debian.
///
/// # Errors
/// When it is none.
pub fn require() -> Result<()> {
    if !command::exists("apt-get") || !command::exists("dpkg-deb") {
        bail!("this step needs Debian's packages (apt-get and dpkg-deb were not found): use a Debian 12 machine or container");
    }
    Ok(())
}

/// The program as root, through sudo if need be.
fn privileged(program: &str) -> Result<Command> {
    let uid = command::output(Command::new("id").arg("-u")).context("cannot tell who we are")?;
    let mut command = if uid.trim() == "0" {
        Command::new(program)
    } else if command::exists("sudo") {
        let mut sudo = Command::new("sudo");
        sudo.args(["DEBIAN_FRONTEND=noninteractive", program]);
        sudo
    } else {
        bail!("installing packages needs root: run this as root once, or install sudo");
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read() {
        let text = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n |Depends: a\n  Suggests: b\n";
        assert_eq!(parse_dependencies(text), ["linux-image-6.1.0-56-cloud-amd64", "a"]);
    }
}
