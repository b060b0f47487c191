//! Debian packages that are unpacked, never installed: a real Xen, stock Linux kernels, busybox. Each is downloaded once.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, temporary, write};
use crate::{apt, command};

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
        unpack_as(workspace, &image, meta, "./boot")?;
    }
    only_file(&current, |name| name.starts_with("vmlinuz-"))
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
        unpack_as(workspace, package, package, part)?;
    }
    Ok(tree)
}

/// Unpacks into a folder of its own and renames it at the end: a tree with a name is complete, whoever else was at it.
fn unpack_as(workspace: &Workspace, package: &str, name: &str, part: &str) -> Result<()> {
    let cache = workspace.cache()?;
    let deb = downloaded(&cache, package)?;
    let scratch = temporary().tempdir_in(&cache)?;
    extract(&deb, scratch.path(), part)?;
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

fn extract(deb: &Path, into: &Path, part: &str) -> Result<()> {
    let mut unpack = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(deb).stdout(Stdio::piped()).spawn()?;
    let stream = unpack.stdout.take().context("dpkg-deb has no output")?;
    command::output(Command::new("tar").arg("-x").arg("-C").arg(into).arg(part).stdin(stream))?;
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
