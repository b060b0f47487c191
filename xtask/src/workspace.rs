//! Where things are: the sources, what is built, and what is downloaded.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folders that the tasks work in.
#[derive(Debug)]
pub struct Workspace {
    /// The root of the source tree.
    pub root: PathBuf,
    /// Cargo's target folder (`CARGO_TARGET_DIR`, or `target`).
    pub target: PathBuf,
}

impl Workspace {
    /// Finds the workspace that this program belongs to, so that `cargo xtask` works in any of its folders.
    ///
    /// # Errors
    /// When the folder is not there (a moved binary).
    pub fn find() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = manifest.parent().context("xtask has no parent folder")?.to_owned();
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target));
        Ok(Self { root, target })
    }

    /// Where finished files go: archives, ramdisks, logs.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn out(&self) -> Result<PathBuf> {
        folder(self.target.join("domus"))
    }

    /// Where downloads are kept. It does not follow `CARGO_TARGET_DIR`: nothing is downloaded twice.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn cache(&self) -> Result<PathBuf> {
        folder(self.root.join("target/cache"))
    }

    /// Cargo's target folder for one kind of build.
    pub fn build(&self, kind: &str) -> PathBuf {
        self.target.join(kind)
    }
}

fn folder(path: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&path).with_context(|| format!("cannot make the folder {}", path.display()))?;
    Ok(path)
}

/// Makes files and folders that will be renamed to stay. `tempfile` would make them ours alone, and whoever runs this next may be
/// another user.
pub fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.permissions(fs::Permissions::from_mode(0o755));
    builder
}

/// Writes a file whole or not at all, so that an interrupted run leaves nothing half done.
///
/// # Errors
/// Those of the file system, with the file's name.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = path.parent().context("a file needs a folder")?;
    let mut file = temporary().tempfile_in(dir).with_context(|| format!("cannot write in {}", dir.display()))?;
    std::io::Write::write_all(&mut file, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
