//! The overlay image of a Debian guest: how it is made, and what must be well with it after a power cut, layer by layer. What is wrong with a
//! layer is a complaint; that a tool cannot be run is an error.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use walkdir::WalkDir;

use super::files::Found;
use super::parcel;
use crate::{command, debian, deps};

/// The load's folder in the guest.
const LOAD: &str = "/var/lib/cuts";
/// dpkg's state.
const STATUS: &str = "/var/lib/dpkg/status";
/// Where the checksums are that Debian's packages bring, below the root.
const SUMS: &str = "var/lib/dpkg/info";

/// Reads the overlays of one base.
#[derive(Clone, Debug)]
pub struct Images {
    /// The base, raw.
    pub base: PathBuf,
}

impl Images {
    /// Fetches the base and what reads images.
    ///
    /// # Errors
    /// When they cannot be had.
    pub fn prepare(workspace: &crate::workspace::Workspace) -> Result<Self> {
        deps::programs(&["qemu-img", "e2fsck", "debugfs", "mke2fs"])?;
        Ok(Self { base: debian::image(workspace)? })
    }

    /// Makes an empty overlay, always the same but for its file's length.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(&self, path: &Path) -> Result<()> {
        debian::make_overlay(path, fs::metadata(&self.base)?.len())
    }

    /// Looks at the image and its file system as a start after the power cut would, then for damage that this leaves; the files of the
    /// load, or what is wrong. `scratch` is a folder for files of its own.
    ///
    /// # Errors
    /// When a tool cannot be run.
    pub fn open(&self, image: &Path, scratch: &Path) -> Result<Result<Found, String>> {
        if let Err(complaint) = self.qcow2(image)? {
            return Ok(Err(complaint));
        }
        let flat = scratch.join("flat.raw");
        self.flatten(image, &flat)?;
        if let Err(complaint) = file_system(&flat)? {
            return Ok(Err(complaint));
        }
        Ok(Ok(extract(&flat, scratch)?))
    }

    /// Compares every file that belongs to a package of Debian with the package's own checksum; how many there were, or what is wrong.
    /// Comes after [`Images::open`] with the same folder.
    ///
    /// # Errors
    /// When a tool cannot be run.
    pub fn checksums(&self, scratch: &Path) -> Result<Result<usize, String>> {
        let tree = scratch.join("tree");
        fs::create_dir(&tree)?;
        debugfs(&scratch.join("flat.raw"), &[format!("rdump / {}", tree.display())])?;
        let mut lines = String::new();
        for entry in fs::read_dir(tree.join(SUMS))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md5sums") {
                lines += &fs::read_to_string(path)?;
            }
        }
        let list = scratch.join("sums");
        fs::write(&list, &lines)?;
        let mut sums = Command::new("md5sum");
        // Some files are left out on purpose (debian/mod.rs).
        let checked = said(sums.args(["--check", "--quiet", "--ignore-missing"]).arg(&list).current_dir(&tree))?;
        fs::remove_dir_all(&tree)?;
        Ok(if checked.0 == Some(0) { Ok(lines.lines().count()) } else { Err(format!("files of Debian have changed: {}", checked.1)) })
    }

    /// Names an overlay and its base for QEMU's tools: its own name for the base means something else on the host.
    fn options(&self, image: &Path) -> String {
        let name = |path: &Path| path.display().to_string().replace(',', ",,");
        let base = name(&self.base);
        let image = name(image);
        format!(
            "driver=qcow2,file.driver=file,file.filename={image},backing.driver=raw,backing.file.driver=file,backing.file.filename={base}"
        )
    }

    fn qcow2(&self, image: &Path) -> Result<Result<(), String>> {
        let checked = said(Command::new("qemu-img").args(["check", "--image-opts"]).arg(self.options(image)))?;
        // 3: clusters are leaked, and that is all.
        Ok(if matches!(checked.0, Some(0 | 3)) { Ok(()) } else { Err(format!("qemu-img check: {}", checked.1)) })
    }

    fn flatten(&self, image: &Path, flat: &Path) -> Result<()> {
        let mut convert = Command::new("qemu-img");
        command::output(convert.args(["convert", "-O", "raw", "--image-opts"]).arg(self.options(image)).arg(flat)).map(drop)
    }
}

/// Replays the file system's journal, as whoever mounts it would. Then it must be without fault: nothing may be left to be repaired.
fn file_system(flat: &Path) -> Result<Result<(), String>> {
    let e2fsck = |how: &str| said(Command::new("e2fsck").arg(how).arg(flat).env("PATH", command::path()));
    let (replayed, text) = e2fsck("-p")?;
    // 1: the journal was replayed, which counts as a correction.
    if !matches!(replayed, Some(0 | 1)) {
        return Ok(Err(format!("e2fsck -p: {text}")));
    }
    let (checked, text) = e2fsck("-fn")?;
    Ok(if checked == Some(0) { Ok(()) } else { Err(format!("e2fsck -fn after the journal was replayed: {text}")) })
}

fn extract(flat: &Path, scratch: &Path) -> Result<Found> {
    let out = scratch.join("found");
    fs::create_dir(&out)?;
    let (folder, status) = (out.display(), out.join("status"));
    debugfs(
        flat,
        &[format!("rdump {LOAD} {folder}"), format!("rdump {} {folder}", parcel::FOLDER), format!("dump {STATUS} {}", status.display())],
    )?;
    let below = |path: &str| out.join(Path::new(path).file_name().unwrap_or_default());
    let found = Found { files: read(&below(LOAD))?, parcel: read(&below(parcel::FOLDER))?, status: fs::read_to_string(status)? };
    fs::remove_dir_all(&out)?;
    Ok(found)
}

/// All files below a folder by their names in it; none if there is no such folder.
fn read(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for found in WalkDir::new(folder).into_iter().filter_map(Result::ok).filter(|found| found.file_type().is_file()) {
        let name = found.path().strip_prefix(folder)?.to_str().context("a name is no UTF-8")?;
        files.insert(name.to_owned(), fs::read(found.path())?);
    }
    Ok(files)
}

/// Lets `debugfs` do something. That a file is not there is no error: what must be there is somebody else's question.
fn debugfs(flat: &Path, requests: &[String]) -> Result<()> {
    let script = flat.with_extension("requests");
    fs::write(&script, requests.join("\n") + "\n")?;
    let (status, text) = said(Command::new("debugfs").arg("-f").arg(&script).arg(flat).env("PATH", command::path()))?;
    if status != Some(0) {
        bail!("debugfs failed: {text}");
    }
    Ok(())
}

/// A program's status and all that it printed.
fn said(command: &mut Command) -> Result<(Option<i32>, String)> {
    let output = command.output().with_context(|| format!("cannot start `{}`", command::line(command)))?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&text).trim().to_owned()))
}
