//! The root of a stock Linux guest: busybox, a few lines of configuration and the modules for a disk, as a gzipped cpio archive.

mod modules;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};

use crate::archive::Archive;
use crate::workspace::{Workspace, write};
use crate::{command, debs};

/// The kernel starts this.
const INIT: &str = include_str!("init.sh");

/// busybox's init reaps orphans, obeys `/sbin/poweroff`, and gives the shell a controlling terminal (Ctrl-C). There is no getty: it
/// throws away what was typed before it came up.
const INITTAB: &str = "hvc0::respawn:-/bin/sh
::restart:/bin/busybox init
";

/// The shell is a login shell, so it reads this.
const PROFILE: &str = "export PATH=/sbin:/bin
export PS1='\\w # '
cd /
";

/// Writes the ramdisk for `kernel` and returns its path.
///
/// # Errors
/// When busybox or the kernel's modules cannot be had.
pub fn build(workspace: &Workspace, name: &str, kernel: &Path) -> Result<PathBuf> {
    let busybox = debs::busybox(workspace)?;
    let applets = command::output(Command::new(&busybox).arg("--list-full")).context("busybox does not name its applets")?;
    let path = workspace.out()?.join(format!("{name}.cpio.gz"));
    let mut tree = tree(&fs::read(&busybox)?, &applets)?;
    modules::add(&mut tree, &debs::modules(workspace, kernel)?, debs::release(kernel)?)?;
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    gzip.write_all(&tree.pack()?)?;
    write(&path, &gzip.finish()?)?;
    Ok(path)
}

fn tree(busybox: &[u8], applets: &str) -> Result<Archive> {
    let mut tree = Archive::default();
    for folder in ["dev", "proc", "sys", "tmp", "root", "sbin", "etc", "sysroot"] {
        tree.folder(folder)?;
    }
    tree.program("init", INIT)?;
    tree.bytes("etc/inittab", INITTAB)?;
    tree.bytes("etc/profile", PROFILE)?;
    for applet in applets.lines().map(str::trim).filter(|applet| !applet.is_empty()) {
        // usr/bin/x becomes bin/x: one folder less to search.
        let applet = applet.strip_prefix("usr/").unwrap_or(applet);
        if applet != "bin/busybox" && applet.contains('/') {
            tree.link(applet, "/bin/busybox")?;
        }
    }
    tree.program("bin/busybox", busybox)?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_and_poweroff_are_there() {
        let tree = tree(b"elf", "bin/sh\nsbin/poweroff\nusr/bin/seq\nbin/busybox\nlinuxrc\n").unwrap();
        let text = String::from_utf8_lossy(&tree.pack().unwrap()).into_owned();
        for name in ["init", "bin/busybox", "bin/sh", "sbin/poweroff", "bin/seq", "etc/inittab"] {
            assert!(text.contains(&format!("{name}\0")), "{name} is missing");
        }
        assert!(!text.contains("linuxrc"));
    }
}
