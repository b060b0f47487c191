//! Debian packages that are unpacked, never installed: a real Xen, stock Linux kernels, busybox. Each is downloaded once.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, temporary, write};
use crate::{apt, command, deps};

/// Debian's Xen, as the ELF that QEMU can enter. Debian ships it compressed.
///
/// # Errors
/// When it cannot be had.
pub fn xen(workspace: &Workspace) -> Result<PathBuf> {
    let tree = unpacked(workspace, "xen-hypervisor-4.17-amd64", "./boot")?;
    let elf = tree.join("xen.elf");
    if !elf.exists() {
        let compressed = only_file(&tree.join("boot"), |name| name.starts_with("xen-") && name.ends_with(".gz"))?;
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(fs::File::open(&compressed)?)
            .read_to_end(&mut bytes)
            .with_context(|| format!("cannot unpack {}", compressed.display()))?;
        write(&elf, &bytes)?;
    }
    Ok(elf)
}

/// A stock Linux kernel, as Debian ships it (bzImage). `meta` is the package that names the current one.
///
/// # Errors
/// When it cannot be had.
pub fn linux(workspace: &Workspace, meta: &str) -> Result<PathBuf> {
    let current = workspace.cache()?.join(meta).join("boot");
    if !current.exists() {
        let image = apt::dependencies(meta)?.into_iter().find(|name| name.starts_with("linux-image-"));
        let image = image.with_context(|| format!("the package {meta} names no kernel"))?;
        unpack_and(workspace, &image, meta, &["./boot"], |_| Ok(()))?;
    }
    only_file(&current, |name| name.starts_with("vmlinuz-"))
}

/// What of a kernel's modules is unpacked: block devices, file systems and what these need.
const MODULES: [&str; 5] = ["kernel/drivers/block", "kernel/fs", "kernel/lib", "kernel/crypto", "modules.*"];

/// The modules of a kernel that [`linux`] gave, as far as a root on a disk needs them: the folder with `modules.dep`.
///
/// # Errors
/// When they cannot be had, or `depmod` not be installed.
pub fn modules(workspace: &Workspace, kernel: &Path) -> Result<PathBuf> {
    modules_of(workspace, kernel, "modules", &MODULES)
}

/// Some of a kernel's modules, kept under a name: the folder with `modules.dep`.
///
/// # Errors
/// When they cannot be had, or `depmod` not be installed.
pub fn modules_of(workspace: &Workspace, kernel: &Path, name: &str, parts: &[&str]) -> Result<PathBuf> {
    let release = release(kernel)?;
    let name = format!("{name}-{release}");
    let tree = workspace.cache()?.join(&name);
    if !tree.exists() {
        let package = format!("linux-image-{release}");
        let parts: Vec<String> = parts.iter().map(|part| format!("./lib/modules/{release}/{part}")).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        unpack_and(workspace, &package, &name, &parts, |tree| depmod(tree, release))?;
    }
    Ok(tree.join("lib/modules").join(release))
}

/// What `uname -r` says in a guest with this kernel.
///
/// # Errors
/// When the file's name does not say it.
pub fn release(kernel: &Path) -> Result<&str> {
    let name = kernel.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_prefix("vmlinuz-")).with_context(|| format!("{} names no release", kernel.display()))
}

/// Writes what `modprobe` looks things up in, for the modules in `tree`.
///
/// # Errors
/// When `depmod` is missing and cannot be installed, or fails.
pub fn depmod(tree: &Path, release: &str) -> Result<()> {
    deps::programs(&["depmod"])?;
    command::run(Command::new("depmod").env("PATH", command::path()).arg("-b").arg(tree).arg(release))
}

/// A busybox without shared libraries.
///
/// # Errors
/// When it cannot be had.
pub fn busybox(workspace: &Workspace) -> Result<PathBuf> {
    let tree = unpacked(workspace, "busybox-static", "./bin")?;
    Ok(tree.join("bin/busybox"))
}

/// The tree of one package, of which only `part` is unpacked.
fn unpacked(workspace: &Workspace, package: &str, part: &str) -> Result<PathBuf> {
    let tree = workspace.cache()?.join(package);
    if !tree.exists() {
        unpack_and(workspace, package, package, &[part], |_| Ok(()))?;
    }
    Ok(tree)
}

/// Unpacks into a folder of its own, finishes it, and renames it at the end: a tree with a name is complete, whoever else was at it.
fn unpack_and(workspace: &Workspace, package: &str, name: &str, parts: &[&str], finish: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let cache = workspace.cache()?;
    let deb = downloaded(&cache, package)?;
    let scratch = temporary().tempdir_in(&cache)?;
    extract(&deb, scratch.path(), parts)?;
    finish(scratch.path())?;
    let tree = cache.join(name);
    match fs::rename(scratch.path(), &tree) {
        Err(_) if tree.exists() => Ok(()),
        result => result.with_context(|| format!("cannot name {}", tree.display())),
    }
}

fn downloaded(cache: &Path, package: &str) -> Result<PathBuf> {
    let debs = cache.join("debs").join(package);
    if !debs.exists() {
        fs::create_dir_all(cache.join("debs"))?;
        let scratch = temporary().tempdir_in(cache.join("debs"))?;
        apt::download(package, scratch.path())?;
        only_file(scratch.path(), |name| name.ends_with(".deb"))?;
        match fs::rename(scratch.path(), &debs) {
            Err(_) if debs.exists() => {}
            result => result?,
        }
    }
    only_file(&debs, |name| name.ends_with(".deb"))
}

/// Unpacks the parts of a package; each may hold wildcards.
///
/// # Errors
/// When one is not in it.
pub fn extract(deb: &Path, into: &Path, parts: &[&str]) -> Result<()> {
    let mut unpack = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(deb).stdout(Stdio::piped()).spawn()?;
    let stream = unpack.stdout.take().context("dpkg-deb has no output")?;
    command::output(Command::new("tar").arg("-x").arg("-C").arg(into).arg("--wildcards").args(parts).stdin(stream))?;
    let status = unpack.wait()?;
    if !status.success() {
        bail!("dpkg-deb could not read {} ({status})", deb.display());
    }
    Ok(())
}

fn only_file(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&wanted) {
            found.push(entry.path());
        }
    }
    found.sort();
    found.pop().with_context(|| format!("{} does not hold what it should", folder.display()))
}
