//! Linux as Xen's first domain: Debian's generic kernel (the cloud kernel cannot be one) with Xen's tools in its ramdisk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::progress::during;
use crate::workspace::{Workspace, temporary};
use crate::{apt, command, debian, debs, deps};

const INIT: &str = include_str!("init.sh");
const DISK: &str = include_str!("disk.sh");
const RAMDISK: &str = include_str!("ramdisk.sh");
/// Xen's tools, with all that they need.
const PACKAGES: &str = "xen-utils-4.17,xenstore-utils,libxenmisc4.17";
/// Modules for Xen's devices and for QEMU's disk.
const MODULES: [&str; 4] = ["kernel/drivers/xen", "kernel/drivers/virtio", "kernel/drivers/block", "modules.*"];

/// A kernel and its ramdisk.
#[derive(Debug)]
pub struct Dom0 {
    /// A bzImage.
    pub kernel: PathBuf,
    /// A gzipped cpio archive.
    pub ramdisk: PathBuf,
}

/// Makes them, with this guest to be started and its configuration.
///
/// # Errors
/// When a package cannot be had.
pub fn make(workspace: &Workspace, folder: &Path, guest: &Path, configuration: &str) -> Result<Dom0> {
    let kernel = debs::linux(workspace, "linux-image-amd64")?;
    let modules = debs::modules_of(workspace, &kernel, "dom0-modules", &MODULES)?;
    let ours = folder.join("ours");
    let release = debs::release(&kernel)?;
    command::output(Command::new("mkdir").arg("-p").args(["guests", "etc/xen/scripts", "lib/modules"].map(|path| ours.join(path))))?;
    command::output(Command::new("cp").arg("-r").arg(&modules).arg(ours.join("lib/modules").join(release)))?;
    fs::copy(guest, ours.join("guests/load"))?;
    fs::write(ours.join("guests/load.cfg"), configuration)?;
    program(&ours.join("init"), INIT)?;
    program(&ours.join("etc/xen/scripts/one-disk"), DISK)?;
    let ramdisk = folder.join("dom0.cpio.gz");
    let mut shell = Command::new("sh");
    shell.args(["-c", RAMDISK, "ramdisk.sh"]).arg(tools(workspace)?).arg(debs::busybox(workspace)?).arg(&ours).arg(&ramdisk);
    command::output(&mut shell)?;
    Ok(Dom0 { kernel, ramdisk })
}

fn program(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

/// Xen's tools as an archive of a file tree, unpacked and not installed; made once.
fn tools(workspace: &Workspace) -> Result<PathBuf> {
    let path = workspace.cache()?.join("xen-tools.tar");
    if !path.exists() {
        apt::require()?;
        deps::programs(&["mmdebstrap"])?;
        let scratch = temporary().prefix("xen-tools-").tempdir_in(workspace.cache()?)?;
        let tree = scratch.path().join("tree.tar");
        let mut mmdebstrap = Command::new("mmdebstrap");
        mmdebstrap.args(["--quiet", "--variant=extract", "--format=tar", "--dpkgopt=path-exclude=/usr/share/*"]);
        mmdebstrap.arg(format!("--include={PACKAGES}")).args(debian::sources::options()?.iter().map(|option| format!("--aptopt={option}")));
        mmdebstrap.arg(debian::sources::SUITE).arg(&tree).args(debian::sources::lines()?);
        during("fetching Xen's tools with mmdebstrap", || command::output(mmdebstrap.env("PATH", command::path())).map(drop))?;
        fs::rename(&tree, &path)?;
    }
    Ok(path)
}
