//! What the machine must have, installed when it is missing: the bare-metal target, rustup's components, QEMU, programs that make disks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result};

use crate::progress::say;
use crate::{apt, command};

/// The target of everything that runs inside the machine.
pub const TARGET: &str = "x86_64-unknown-none";

/// How code for [`TARGET`] is compiled here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// rustup's toolchain has the target.
    Rustup,
    /// Debian's compiler builds `core` and `alloc` from its own sources, and rustup's toolchain lends the linker.
    Debian {
        /// rustup's `rust-lld`.
        linker: PathBuf,
    },
}

/// Debian's compiler.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// Taken while something is installed: two lanes of the tests may miss the same thing, and rustup does not wait for itself.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Installs unless it is there, and asks again when it is our turn: somebody may just have done it.
///
/// # Errors
/// Those of `install`.
pub fn ensure(there: impl Fn() -> bool, install: impl FnOnce() -> Result<()>) -> Result<()> {
    if there() {
        return Ok(());
    }
    let _turn = INSTALLING.lock();
    if there() { Ok(()) } else { install() }
}

/// Makes sure that bare-metal code can be built, and says how.
///
/// # Errors
/// When neither rustup nor Debian provides it.
pub fn bare_metal() -> Result<Toolchain> {
    let _turn = INSTALLING.lock();
    if has_target("rustc") {
        return Ok(Toolchain::Rustup);
    }
    if command::exists("rustup") {
        say(&format!("adding the Rust target {TARGET}"));
        match command::run(Command::new("rustup").args(["target", "add", TARGET])) {
            Ok(()) => return Ok(Toolchain::Rustup),
            Err(error) => say(&format!("{error:#}; falling back to Debian's compiler and its sources")),
        }
    }
    debian_toolchain().context("cannot compile for bare metal: neither rustup's target nor Debian's rustc-web could be had")
}

fn has_target(rustc: &str) -> bool {
    let libdir = command::output(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]));
    libdir.is_ok_and(|libdir| Path::new(libdir.trim()).is_dir())
}

fn debian_toolchain() -> Result<Toolchain> {
    let sources = Path::new("/usr/lib/rustlib/src/rust/library/Cargo.lock");
    if !Path::new(DEBIAN_RUSTC).exists() || !sources.exists() {
        apt::install(&["rustc-web", "rust-web-src"])?;
    }
    let sysroot = command::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let host = command::output(Command::new("rustc").args(["--print", "host-tuple"]))?;
    let linker = Path::new(sysroot.trim()).join("lib/rustlib").join(host.trim()).join("bin/rust-lld");
    anyhow::ensure!(linker.exists(), "the linker {} is missing", linker.display());
    Ok(Toolchain::Debian { linker })
}

impl Toolchain {
    /// Makes a `cargo` command compile with this toolchain.
    pub fn apply(&self, cargo: &mut Command) {
        if let Self::Debian { linker } = self {
            cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=core,alloc");
            cargo.env("CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER", linker);
        }
    }
}

/// Makes sure that a rustup component is there; `program` is what it provides.
///
/// # Errors
/// When it is missing and rustup cannot add it.
pub fn component(component: &str, program: &str) -> Result<()> {
    // rustup's proxies exist even when the component behind them does not, so the program has to be asked.
    let there = || command::output(Command::new(program).arg("--version")).is_ok();
    let install = || {
        say(&format!("adding the Rust component {component}"));
        command::run(Command::new("rustup").args(["component", "add", component]))
    };
    ensure(there, install).with_context(|| format!("{program} is missing and could not be added"))
}

/// Makes sure that QEMU is there.
///
/// # Errors
/// When it is missing and cannot be installed.
pub fn qemu() -> Result<()> {
    let there = || command::exists(domus_harness::machine::QEMU);
    ensure(there, || apt::install(&["qemu-system-x86"])).context("QEMU is missing and could not be installed")
}

/// Programs for disks, and the Debian packages that bring them.
const PROGRAMS: [(&str, &str); 11] = [
    ("depmod", "kmod"),
    ("debugfs", "e2fsprogs"),
    ("dumpe2fs", "e2fsprogs"),
    ("e2fsck", "e2fsprogs"),
    ("mke2fs", "e2fsprogs"),
    ("resize2fs", "e2fsprogs"),
    ("qemu-img", "qemu-utils"),
    ("qemu-io", "qemu-utils"),
    ("sfdisk", "fdisk"),
    ("mmdebstrap", "mmdebstrap"),
    ("fakeroot", "fakeroot"),
];

/// Makes sure that those of `names` are there which are programs that we know how to install; other names are passed over.
///
/// # Errors
/// When one is missing and cannot be installed.
pub fn programs(names: &[&str]) -> Result<()> {
    let missing = || packages(names, command::exists);
    ensure(
        || missing().is_empty(),
        || {
            let packages = missing();
            apt::install(&packages).with_context(|| format!("{} could not be installed", packages.join(", ")))
        },
    )
}

fn packages(names: &[&str], exists: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let missing = PROGRAMS.iter().filter(|(program, _)| names.contains(program) && !exists(program));
    let mut packages: Vec<_> = missing.map(|&(_, package)| package).collect();
    packages.dedup();
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_installed_once() {
        let exists = |program: &str| program == "sfdisk";
        assert_eq!(packages(&["qemu-img", "mke2fs", "e2fsck", "sfdisk", "grep"], exists), ["e2fsprogs", "qemu-utils"]);
        assert!(packages(&["grep", "sfdisk"], exists).is_empty());
    }
}
