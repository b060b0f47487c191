//! Debian's root file system on a disk: an ext4 volume made with `mmdebstrap`, once, for guests that boot it with the stock kernel and the
//! ramdisk of `/guests`. Guests share it read-only, each with its changes in an overlay of its own.

pub mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};

use crate::progress::{during, say};
use crate::workspace::{Workspace, temporary, write};
use crate::{cli, command, deps, size};

/// What is in it besides the essential packages. `fio` is there to be run on it.
const PACKAGES: [&str; 9] = ["systemd", "systemd-sysv", "udev", "login", "e2fsprogs", "kmod", "procps", "dbus", "fio"];
/// What nobody reads on a guest for tests: a third of all files.
const LEFT_OUT: [&str; 3] = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*"];
/// The size of the volume. The file has holes: it takes some 300 MB.
const SIZE: &str = "1G";
/// Its label, which `/etc/fstab` names.
const LABEL: &str = "debian";
/// How the volume is made. Without `lazy...` guests would write its empty tables in the background, each into its own overlay.
const VOLUME: [&str; 7] = ["-t", "ext4", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-q"];
/// Runs in the tree when it is complete.
const CUSTOMIZE: &str = include_str!("customize.sh");

/// What the machine calls the base, where an overlay looks for it.
const BASE: &str = "/dev/vda";

/// `cargo xtask debian`.
///
/// # Errors
/// When the image cannot be made, or the overlay's file is there already.
pub fn run(workspace: &Workspace, options: &cli::Debian) -> Result<u8> {
    if let Some(overlay) = &options.overlay {
        ensure!(!overlay.exists(), "{} exists, and an overlay replaces nothing: name another file", overlay.display());
    }
    let bytes = size::parse(&options.size)?;
    let base = image(workspace)?;
    ensure!(bytes >= fs::metadata(&base)?.len(), "--size {}: the base is larger, {SIZE}", options.size);
    println!("{}", base.display());
    if let Some(overlay) = &options.overlay {
        make_overlay(overlay, bytes)?;
        println!("{}", overlay.display());
        say(&format!("boot it: cargo xtask run --disk {},ro --disk {}", base.display(), overlay.display()));
        say("and there: dom create -c /guests/debian.toml");
    }
    Ok(0)
}

/// A qcow2 image for the changes of one guest, over the base as the machine's first disk. Nobody can open it here: the base has another
/// name outside the machine.
///
/// # Errors
/// When `qemu-img` cannot be had or fails.
pub fn make_overlay(path: &Path, bytes: u64) -> Result<()> {
    deps::programs(&["qemu-img"])?;
    let mut create = Command::new("qemu-img");
    create.args(["create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", BASE]).arg(path).arg(bytes.to_string());
    command::output(&mut create).map(drop)
}

/// The base image, made unless it is there from the same recipe.
///
/// # Errors
/// When `mmdebstrap` or `mke2fs` cannot be had, or fail.
pub fn image(workspace: &Workspace) -> Result<PathBuf> {
    // Two lanes of the tests may want it at once: the second waits, and finds it.
    static MAKING: Mutex<()> = Mutex::new(());
    let _turn = MAKING.lock();
    let cache = workspace.cache()?;
    let (path, made_by) = (cache.join("debian.raw"), cache.join("debian.recipe"));
    let recipe = Recipe::new()?;
    if path.exists() && fs::read_to_string(&made_by).is_ok_and(|old| old == recipe.text()) {
        return Ok(path);
    }
    deps::programs(&["mmdebstrap", "mke2fs", "fakeroot"])?;
    let scratch = temporary().prefix("debian-").tempdir_in(&cache)?;
    let (tree, image) = (scratch.path().join("tree.tar"), scratch.path().join("debian.raw"));
    let debs = cache.join("debian-debs");
    fs::create_dir_all(&debs)?;
    during("making a Debian root with mmdebstrap (half a minute, and its downloads)", || recipe.bootstrap(scratch.path(), &debs, &tree))?;
    during("making an ext4 volume of it", || volume(&tree, &image))?;
    // The recipe goes first and comes last: an image with a recipe was made by it.
    match fs::remove_file(&made_by) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error)?,
        _ => fs::rename(&image, &path).with_context(|| format!("cannot name {}", path.display()))?,
    }
    write(&made_by, recipe.text().as_bytes())?;
    Ok(path)
}

/// All that the image depends on.
struct Recipe {
    sources: Vec<String>,
    options: Vec<String>,
}

impl Recipe {
    fn new() -> Result<Self> {
        crate::apt::require()?;
        Ok(Self { sources: sources::lines()?, options: sources::options()? })
    }

    fn text(&self) -> String {
        let lists = [&PACKAGES[..], &LEFT_OUT, &VOLUME, &[SIZE, LABEL]].concat().join(" ");
        format!("{lists}\n{}\n{CUSTOMIZE}", self.sources.join("\n"))
    }

    /// Makes the tree, as an archive: only there do files keep their owners if we are not root.
    fn bootstrap(&self, scratch: &Path, debs: &Path, tree: &Path) -> Result<()> {
        let script = scratch.join("customize.sh");
        write(&script, CUSTOMIZE.as_bytes())?;
        let mut mmdebstrap = Command::new("mmdebstrap");
        mmdebstrap.args(["--quiet", "--variant=minbase", "--format=tar"]).env("PATH", command::path());
        mmdebstrap.arg(format!("--include={}", PACKAGES.join(",")));
        // Packages that were downloaded once are kept outside the tree.
        mmdebstrap.args(["--skip=download/empty", "--skip=essential/unlink", "--setup-hook=mkdir -p \"$1\"/var/cache/apt/archives"]);
        mmdebstrap.arg(format!("--setup-hook=sync-in {} /var/cache/apt/archives", debs.display()));
        mmdebstrap.arg(format!("--customize-hook=sync-out /var/cache/apt/archives {}", debs.display()));
        mmdebstrap.arg(format!("--customize-hook=sh {} \"$1\"", script.display()));
        mmdebstrap.args(LEFT_OUT.map(|path| format!("--dpkgopt=path-exclude={path}")));
        mmdebstrap.args(self.options.iter().map(|option| format!("--aptopt={option}")));
        mmdebstrap.arg(sources::SUITE).arg(tree).args(&self.sources);
        command::output(&mut mmdebstrap).map(drop)
    }
}

/// An ext4 volume with the files of the archive, their owners kept.
fn volume(tree: &Path, image: &Path) -> Result<()> {
    // fakeroot remembers the owners that tar sets, and tells mke2fs of them; as root it changes nothing.
    let script = "tar -x --numeric-owner -f \"$1\" -C \"$2\" && shift && mke2fs -d \"$@\"";
    let unpacked = temporary().tempdir_in(image.parent().context("an image needs a folder")?)?;
    let mut fakeroot = Command::new("fakeroot");
    fakeroot.args(["sh", "-c", script, "volume"]).arg(tree).arg(unpacked.path()).args(VOLUME).args(["-L", LABEL]).arg(image).arg(SIZE);
    command::output(fakeroot.env("PATH", command::path())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_names_what_matters() {
        let recipe = Recipe { sources: vec!["deb http://m/ bookworm main".into()], options: vec!["Acquire::http::Proxy \"p\";".into()] };
        let text = recipe.text();
        assert!(text.contains("systemd-sysv") && text.contains("http://m/") && text.contains("passwd"));
        assert!(!text.contains("Proxy"), "the way to the mirror changes nothing in the image");
    }

    #[test]
    fn owners_are_kept() {
        deps::programs(&["mke2fs", "debugfs", "fakeroot"]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (tree, image) = (folder.path().join("tree.tar"), folder.path().join("image"));
        fs::write(folder.path().join("file"), "x").unwrap();
        let mut tar = Command::new("tar");
        tar.args(["-c", "--owner=12", "--group=34", "--mode=4755", "-f"]).arg(&tree).arg("-C").arg(folder.path()).arg("file");
        command::output(&mut tar).unwrap();
        volume(&tree, &image).unwrap();
        let mut debugfs = Command::new("debugfs");
        let stat = command::output(debugfs.env("PATH", command::path()).args(["-R", "stat /file"]).arg(&image)).unwrap();
        assert!(stat.contains("Mode:  04755") && stat.contains("User:    12   Group:    34"), "{stat}");
    }
}
