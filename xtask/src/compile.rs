//! Compiles what runs inside the machine. How each program is linked, its own build script says.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command;
use crate::deps::{self, Toolchain};
use crate::progress::{self, say, words};
use crate::workspace::Workspace;

/// One kind of bare-metal build. Each has a target folder, so that one need not wait for the other's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The hypervisor.
    Hypervisor,
    /// Guests, Dom0 among them.
    Guest,
}

impl Kind {
    /// The name of its target folder.
    fn folder(self) -> &'static str {
        match self {
            Self::Hypervisor => "hv",
            Self::Guest => "guest",
        }
    }
}

/// The package of the test kernels.
pub const KERNELS: &str = "domus-test-kernels";

/// A finished ELF and the name that it is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The name of the binary or example.
    pub name: String,
    /// The ELF.
    pub path: PathBuf,
}

/// The hypervisor.
///
/// # Errors
/// When it does not compile.
pub fn hypervisor(workspace: &Workspace) -> Result<PathBuf> {
    one(programs(cargo(workspace, Kind::Hypervisor, "build")?, &["-p", "domus-hv"])?, "domus-hv")
}

/// Dom0.
///
/// # Errors
/// When it does not compile.
pub fn dom0(workspace: &Workspace) -> Result<PathBuf> {
    one(programs(cargo(workspace, Kind::Guest, "build")?, &["-p", "domus-dom0"])?, "domus-dom0")
}

/// The SDK's examples, sorted by name.
///
/// # Errors
/// When they do not compile.
pub fn examples(workspace: &Workspace) -> Result<Vec<Program>> {
    programs(plain(workspace)?, &["-p", "pv-guest-sdk", "--features", "alloc,block", "--examples"])
}

/// The test kernels, sorted by name.
///
/// # Errors
/// When they do not exist or do not compile.
pub fn kernels(workspace: &Workspace) -> Result<Vec<Program>> {
    if !workspace.root.join("tests/kernels/Cargo.toml").exists() {
        bail!("there is no tests/kernels in this tree");
    }
    programs(plain(workspace)?, &["-p", KERNELS, "--bins"])
}

/// A kernel of [`KERNELS`] that measures: optimised as what it measures is.
///
/// # Errors
/// When there is none of this name, or it does not compile.
pub fn measuring_kernel(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    one(programs(cargo(workspace, Kind::Guest, "build")?, &["-p", KERNELS, "--bin", name])?, name)
}

/// The names of a package's targets of one kind (`bin`, `example`), sorted. Nothing is compiled for it.
///
/// # Errors
/// When cargo cannot read the workspace.
pub fn names(workspace: &Workspace, package: &str, kind: &str) -> Result<Vec<String>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&workspace.root).args(["metadata", "--no-deps", "--format-version=1"]);
    let metadata = command::output(&mut cargo)?;
    parse_names(&metadata, package, kind).context("what cargo says of the workspace is not understood")
}

fn parse_names(metadata: &str, package: &str, kind: &str) -> Option<Vec<String>> {
    let metadata: Value = serde_json::from_str(metadata).ok()?;
    let package = metadata["packages"].as_array()?.iter().find(|found| found["name"] == package)?;
    let targets = package["targets"].as_array()?.iter().filter(|target| target["kind"][0] == kind);
    let mut names: Vec<_> = targets.filter_map(|target| Some(target["name"].as_str()?.to_owned())).collect();
    names.sort();
    Some(names)
}

/// All of it, for people who only want to know whether it compiles.
///
/// # Errors
/// When something does not compile.
pub fn everything(workspace: &Workspace) -> Result<u8> {
    let mut built = vec![hypervisor(workspace)?, dom0(workspace)?];
    built.extend(examples(workspace)?.into_iter().map(|program| program.path));
    if workspace.root.join("tests/kernels/Cargo.toml").exists() {
        built.extend(kernels(workspace)?.into_iter().map(|program| program.path));
    }
    for path in built {
        println!("{}", path.display());
    }
    Ok(0)
}

/// A `cargo` command for one kind of build.
///
/// # Errors
/// When bare-metal code cannot be built here.
pub fn cargo(workspace: &Workspace, kind: Kind, subcommand: &str) -> Result<Command> {
    let toolchain = toolchain()?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&workspace.root).arg(subcommand);
    cargo.args(["--release", "--target", deps::TARGET, "--target-dir"]).arg(workspace.build(kind.folder()));
    // Encoded flags win over all other sources, so that a RUSTFLAGS of the user's cannot change what has to boot.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "");
    toolchain.apply(&mut cargo);
    Ok(cargo)
}

/// `cargo build` for many small guests. Optimising each whole at its link takes three quarters of the time, and nothing that they show needs it.
fn plain(workspace: &Workspace) -> Result<Command> {
    let mut cargo = cargo(workspace, Kind::Guest, "build")?;
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "off");
    Ok(cargo)
}

fn toolchain() -> Result<Toolchain> {
    thread_local! {
        static FOUND: std::cell::RefCell<Option<Toolchain>> = const { std::cell::RefCell::new(None) };
    }
    if let Some(found) = FOUND.with_borrow(Clone::clone) {
        return Ok(found);
    }
    let found = deps::bare_metal()?;
    FOUND.set(Some(found.clone()));
    Ok(found)
}

fn programs(mut cargo: Command, what: &[&str]) -> Result<Vec<Program>> {
    if progress::is_captured() {
        // What cargo says of its progress is not seen then.
        say(&format!("compiling {}", what.join(" ")));
    }
    let programs = executables(cargo.args(what))?;
    if programs.is_empty() {
        say(&format!("{} has nothing to run", what.join(" ")));
    }
    Ok(programs)
}

/// What a `cargo` command builds, sorted by name.
///
/// # Errors
/// When it cannot be started or fails.
pub fn executables(cargo: &mut Command) -> Result<Vec<Program>> {
    cargo.arg("--message-format=json-render-diagnostics").stdin(Stdio::null()).stderr(words());
    let output = cargo.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("`{}` failed", command::line(cargo));
    }
    let mut programs = parse_artifacts(&String::from_utf8_lossy(&output.stdout));
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(programs)
}

/// The executables in what cargo prints with `--message-format=json`.
fn parse_artifacts(messages: &str) -> Vec<Program> {
    let artifact = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let path = message.get("executable")?.as_str()?.into();
        let name = message.get("target")?.get("name")?.as_str()?.to_owned();
        // Build scripts are executables too, but cargo reports none for them here.
        Some(Program { name, path })
    };
    messages.lines().filter_map(artifact).collect()
}

fn one(programs: Vec<Program>, name: &str) -> Result<PathBuf> {
    let found = programs.into_iter().find(|program| program.name == name);
    found.map(|program| program.path).with_context(|| format!("cargo built no {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_in_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"abi","kind":["lib"]},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"hello","kind":["example"]},"executable":"/t/hello"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let hello = Program { name: "hello".into(), path: "/t/hello".into() };
        assert_eq!(parse_artifacts(messages), [hello]);
    }

    #[test]
    fn names_are_found_in_cargos_metadata() {
        let metadata = r#"{"packages":[{"name":"a","targets":[]},{"name":"b","targets":[{"kind":["bin"],"name":"y"},{"kind":["lib"],"name":"b"},
            {"kind":["bin"],"name":"x"}]}]}"#;
        assert_eq!(parse_names(metadata, "b", "bin").unwrap(), ["x", "y"]);
        assert_eq!(parse_names(metadata, "c", "bin"), None);
        assert_eq!(parse_names("{}", "b", "bin"), None);
    }
}
