//! What is checked without a machine: format, lints, the tests of the host crates, the size of the image.

use std::fs;
use std::process::Command;

use anyhow::Result;
use domus_harness::verdict::Verdict;

use super::suite::Suite;
use crate::compile::{self, Kind};
use crate::progress::say;
use crate::workspace::Workspace;
use crate::{command, deps};

/// The image must stay below this many bytes.
const IMAGE_LIMIT: u64 = 1 << 20;

/// What only bare metal can run.
const BARE_METAL: [&str; 4] = ["domus-hv", "domus-hv-machine", "domus-dom0", compile::KERNELS];

/// Adds the steps.
pub fn steps(workspace: &Workspace, suite: &mut Suite<'_>) {
    suite.step("format", || {
        deps::component("rustfmt", "rustfmt")?;
        passes(cargo(workspace).args(["fmt", "--all", "--check", "--", "-l"]))
    });
    suite.step("lint/host", || {
        deps::component("clippy", "cargo-clippy")?;
        passes(cargo(workspace).args(["clippy", "--all-targets", "--", "-D", "warnings"]))
    });
    suite.step("lint/hypervisor", || lint(workspace, Kind::Hypervisor, &["-p", "domus-hv", "-p", "domus-hv-machine"]));
    suite.step("lint/guests", || lint(workspace, Kind::Guest, &["-p", "pv-guest-sdk", "--features", "alloc,block", "--lib", "--examples"]));
    suite.step("lint/dom0", || lint(workspace, Kind::Guest, &["-p", "domus-dom0", "--bins"]));
    if workspace.root.join("tests/kernels/Cargo.toml").exists() {
        suite.step("lint/kernels", || lint(workspace, Kind::Guest, &["-p", compile::KERNELS, "--bins"]));
    }
    suite.step("host-tests", || host_tests(workspace));
    suite.step("host-tests/sdk", || sdk_tests(workspace));
    suite.step("doc-tests", || passes(cargo(workspace).args(["test", "--quiet", "--doc"])));
    suite.step("image-size", || image_size(workspace));
}

/// Without packages named, cargo takes the workspace's `default-members`: the crates that the host can run.
fn host_tests(workspace: &Workspace) -> Result<Verdict> {
    // The second opinion on images and volumes. The tests would install it themselves, but they do not know of the other lane's apt.
    deps::programs(&["qemu-img", "qemu-io", "mke2fs", "debugfs", "e2fsck", "fakeroot"])?;
    if command::output(cargo(workspace).args(["nextest", "--version"])).is_ok() {
        return passes(cargo(workspace).args(["nextest", "run", "--no-fail-fast"]));
    }
    say("cargo-nextest is not installed; `cargo test` runs the same tests, one crate after the other");
    passes(cargo(workspace).args(["test", "--quiet", "--no-fail-fast", "--lib", "--bins", "--tests"]))
}

/// The SDK is tested on the host beside all that the host can run: of the SDK alone, what it is tested with would be compiled once more with fewer
/// features. Its panic handler would be a second one beside the host's.
fn sdk_tests(workspace: &Workspace) -> Result<Verdict> {
    let mut tests = cargo(workspace);
    tests.args([
        "test",
        "--quiet",
        "--workspace",
        "--no-default-features",
        "--features",
        "pv-guest-sdk/block",
        "--test",
        "rings",
        "--test",
        "block",
    ]);
    passes(tests.args(BARE_METAL.iter().flat_map(|package| ["--exclude", package])))
}

fn lint(workspace: &Workspace, kind: Kind, what: &[&str]) -> Result<Verdict> {
    deps::component("clippy", "cargo-clippy")?;
    passes(compile::cargo(workspace, kind, "clippy")?.args(what).args(["--", "-D", "warnings"]))
}

fn image_size(workspace: &Workspace) -> Result<Verdict> {
    let path = compile::hypervisor(workspace)?;
    let loaded = loaded_bytes(&fs::read(&path)?);
    Ok(match loaded {
        None => Verdict::Error(format!("{} has no program headers", path.display())),
        Some(bytes) if bytes >= IMAGE_LIMIT => Verdict::Failure(format!("the image has {bytes} bytes, the limit is {IMAGE_LIMIT}")),
        Some(_) => Verdict::Success,
    })
}

/// The bytes that a boot loader reads: the file's share of each PT_LOAD segment. Symbols and debug lines stay in the file.
fn loaded_bytes(elf: &[u8]) -> Option<u64> {
    let number = |at: usize, size: usize| {
        let bytes = elf.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte)))
    };
    // Offsets of ELF64: e_phoff, e_phentsize, e_phnum; p_type, p_filesz.
    let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let mut sum = 0;
    for index in 0..count {
        let header = usize::try_from(start.checked_add(index * size)?).ok()?;
        if number(header, 4)? == 1 {
            sum += number(header.checked_add(32)?, 8)?;
        }
    }
    (count > 0).then_some(sum)
}

/// Plain cargo, for the host.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&workspace.root);
    cargo
}

/// A tool that says by its status whether all is well. What it prints goes to standard error.
fn passes(command: &mut Command) -> Result<Verdict> {
    Ok(match command::run(command) {
        Ok(()) => Verdict::Success,
        Err(error) => Verdict::Failure(format!("{error:#}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_loaded_counts() {
        let mut elf = vec![0; 64 + 2 * 56];
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 2;
        elf[64] = 1; // PT_LOAD of 0x300 bytes
        elf[64 + 33] = 3;
        elf[64 + 56] = 4; // PT_NOTE of 0x100 bytes
        elf[64 + 56 + 33] = 1;
        assert_eq!(loaded_bytes(&elf), Some(0x300));
        assert_eq!(loaded_bytes(&elf[..100]), None);
        assert_eq!(loaded_bytes(b""), None);
    }
}
