//! What stands ready in Dom0's `/guests`: each example of the SDK and a stock Linux, each with its configuration.

use anyhow::Result;

use crate::archive::Archive;
use crate::workspace::Workspace;
use crate::{compile, debs, ramdisk};

/// Puts all of it into the tree.
///
/// # Errors
/// When something does not compile or cannot be downloaded.
pub fn add(workspace: &Workspace, tree: &mut Archive) -> Result<()> {
    for example in compile::examples(workspace)? {
        tree.copy(&format!("guests/{}", example.name), &example.path)?;
        tree.bytes(
            &format!("guests/{}.toml", example.name),
            example_toml(&example.name),
        )?;
    }
    tree.copy("guests/linux.cpio.gz", &ramdisk::build(workspace)?)?;
    add_linux(workspace, tree, "linux", "linux-image-cloud-amd64")
}

/// Puts Debian's generic kernel into the tree: eight megabytes more, so only on request.
///
/// # Errors
/// When it cannot be downloaded.
pub fn add_generic(workspace: &Workspace, tree: &mut Archive) -> Result<()> {
    add_linux(workspace, tree, "linux-generic", "linux-image-amd64")
}

fn add_linux(workspace: &Workspace, tree: &mut Archive, name: &str, package: &str) -> Result<()> {
    tree.copy(
        &format!("guests/vmlinuz-{name}"),
        &debs::linux(workspace, package)?,
    )?;
    tree.bytes(&format!("guests/{name}.toml"), linux_toml(name))
}

/// 16 MiB is ample for a kernel of 30 lines, and leaves room for many of them.
fn example_toml(name: &str) -> String {
    format!("name = \"{name}\"\nkernel = \"/guests/{name}\"\nmemory = 16\nvcpus = 1\n")
}

fn linux_toml(name: &str) -> String {
    format!(
        "name = \"{name}\"\nkernel = \"/guests/vmlinuz-{name}\"\nramdisk = \"/guests/linux.cpio.gz\"\n\
         cmdline = \"console=hvc0 earlyprintk=xen\"\nmemory = 256\nvcpus = 1\n"
    )
}
