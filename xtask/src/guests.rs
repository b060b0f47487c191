//! What stands ready in Dom0's `/guests`: each example of the SDK and a stock Linux, each with its configuration.

use anyhow::Result;

use crate::archive::Archive;
use crate::workspace::Workspace;
use crate::{compile, debs, ramdisk};

/// Debian on a disk, with the kernel and ramdisk of `linux.toml`. The disk is the overlay that `cargo xtask debian` makes.
const DEBIAN_TOML: &str = "name = \"debian\"\nkernel = \"/guests/vmlinuz-linux\"\nramdisk = \"/guests/linux.cpio.gz\"\n\
    cmdline = \"console=hvc0 earlyprintk=xen root=/dev/xvda rw\"\nmemory = 512\nvcpus = 1\ndisk = ['qcow2:/dev/vdb,xvda,w']\n";

/// Puts all of it into the tree.
///
/// # Errors
/// When something does not compile or cannot be downloaded.
pub fn add(workspace: &Workspace, tree: &mut Archive) -> Result<()> {
    for example in compile::examples(workspace)? {
        let domains = domains(&example.name);
        if !domains.is_empty() {
            tree.copy_stripped(&format!("guests/{}", example.name), &example.path)?;
        }
        for (name, extra) in domains {
            tree.bytes(&format!("guests/{name}.toml"), example_toml(name, &example.name, extra))?;
        }
    }
    add_debian(workspace, tree)
}

/// Puts a stock Linux and what boots Debian with it into the tree.
///
/// # Errors
/// When something cannot be downloaded.
pub fn add_debian(workspace: &Workspace, tree: &mut Archive) -> Result<()> {
    add_linux(workspace, tree, "linux", "linux-image-cloud-amd64")?;
    tree.bytes("guests/debian.toml", DEBIAN_TOML)
}

/// Puts Debian's generic kernel into the tree: eight megabytes more, so only on request.
///
/// # Errors
/// When it cannot be downloaded.
pub fn add_generic(workspace: &Workspace, tree: &mut Archive) -> Result<()> {
    add_linux(workspace, tree, "linux-generic", "linux-image-amd64")
}

fn add_linux(workspace: &Workspace, tree: &mut Archive, name: &str, package: &str) -> Result<()> {
    let kernel = debs::linux(workspace, package)?;
    tree.copy(&format!("guests/vmlinuz-{name}"), &kernel)?;
    tree.copy(&format!("guests/{name}.cpio.gz"), &ramdisk::build(workspace, name, &kernel)?)?;
    tree.bytes(&format!("guests/{name}.toml"), linux_toml(name))
}

/// The domains that an example makes: their names, and what their configuration says besides.
fn domains(example: &str) -> Vec<(&str, &'static str)> {
    match example {
        // Two are needed for a game: create the one that waits first.
        "pingpong" => vec![(example, ""), ("pingpong-wait", "cmdline = \"role=wait\"\n")],
        // It checks the SDK and then ends: nothing to play with.
        "selftest" => Vec::new(),
        // Which disks there are the operator knows: he names one when he creates it.
        "blkfs" => vec![(example, "cmdline = \"file=/etc/hostname\"\n")],
        _ => vec![(example, "")],
    }
}

/// 16 MiB is ample for a kernel of 30 lines, and leaves room for many of them.
pub fn example_toml(name: &str, kernel: &str, extra: &str) -> String {
    format!("name = \"{name}\"\nkernel = \"/guests/{kernel}\"\nmemory = 16\nvcpus = 1\n{extra}")
}

fn linux_toml(name: &str) -> String {
    format!(
        "name = \"{name}\"\nkernel = \"/guests/vmlinuz-{name}\"\nramdisk = \"/guests/{name}.cpio.gz\"\n\
         cmdline = \"console=hvc0 earlyprintk=xen\"\nmemory = 256\nvcpus = 1\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configurations_are_toml() {
        for (name, extra) in domains("pingpong") {
            let table: toml::Table = toml::from_str(&example_toml(name, "pingpong", extra)).unwrap();
            assert_eq!(table["name"].as_str(), Some(name));
            assert_eq!(table["kernel"].as_str(), Some("/guests/pingpong"));
        }
        let table: toml::Table = toml::from_str(&linux_toml("linux")).unwrap();
        assert_eq!(table["kernel"].as_str(), Some("/guests/vmlinuz-linux"));
        assert_eq!(table["ramdisk"].as_str(), Some("/guests/linux.cpio.gz"));
        assert_eq!(table["memory"].as_integer(), Some(256));
        let table: toml::Table = toml::from_str(DEBIAN_TOML).unwrap();
        assert_eq!(table["disk"].as_array().map(Vec::len), Some(1));
    }
}
