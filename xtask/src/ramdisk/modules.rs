//! Which modules a ramdisk takes along: those that it loads and those that they need, by the lists that `depmod` wrote. The kernels differ
//! in what is built in, so what has no file is passed over.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::archive::Archive;

/// What the ramdisk may load: the block front end, the file system of a root, and the checksum that the latter asks for by another name.
const WANTED: [&str; 3] = ["xen-blkfront", "ext4", "crc32c_generic"];
/// Lists that `modprobe` reads besides `modules.dep`.
const LISTS: [&str; 3] = ["modules.alias", "modules.symbols", "modules.softdep"];

/// Puts the wanted modules of the kernel `release`, found in `folder`, into the tree, with the lists that `modprobe` needs.
///
/// # Errors
/// When `depmod` left no lists, or a file cannot be read.
pub fn add(tree: &mut Archive, folder: &Path, release: &str) -> Result<()> {
    let list = |name: &str| fs::read_to_string(folder.join(name)).with_context(|| format!("cannot read {name} in {}", folder.display()));
    let target = format!("lib/modules/{release}");
    let dep = list("modules.dep")?;
    let lines = needed(&dep, &WANTED);
    for line in &lines {
        let file = path(line);
        tree.copy(&format!("{target}/{file}"), &folder.join(file))?;
    }
    tree.bytes(&format!("{target}/modules.dep"), text(&lines))?;
    let names: BTreeSet<String> = lines.iter().map(|line| name(path(line))).collect();
    for file in LISTS {
        let all = list(file)?;
        // `alias PATTERN MODULE`, `softdep MODULE ...`: the module's name is one of the words.
        let ours: Vec<&str> = all.lines().filter(|line| line.split_whitespace().any(|word| names.contains(word))).collect();
        tree.bytes(&format!("{target}/{file}"), text(&ours))?;
    }
    Ok(())
}

/// The lines of `modules.dep` of the modules in `wanted` and of what they need. A line is `FILE: FILE...`, and names all that is needed,
/// not only the first step.
fn needed<'a>(dep: &'a str, wanted: &[&str]) -> Vec<&'a str> {
    let roots = dep.lines().filter(|line| wanted.iter().any(|wanted| name(wanted) == name(path(line))));
    let files: BTreeSet<&str> = roots.flat_map(|line| line.split([' ', ':']).filter(|file| !file.is_empty())).collect();
    dep.lines().filter(|line| files.contains(path(line))).collect()
}

fn path(line: &str) -> &str {
    line.split_once(':').map_or(line, |(path, _)| path)
}

/// A module's name: that of its file, where `-` and `_` are the same.
fn name(path: &str) -> String {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    file.split_once(".ko").map_or(file, |(name, _)| name).replace('-', "_")
}

fn text(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/lib/crc16.ko\n\
        kernel/fs/jbd2/jbd2.ko:\nkernel/lib/crc16.ko:\nkernel/fs/xfs/xfs.ko: kernel/lib/libcrc32c.ko\nkernel/drivers/block/xen-blkfront.ko:\n";

    #[test]
    fn what_is_needed_comes_along() {
        let names: Vec<_> = needed(DEP, &WANTED).into_iter().map(|line| name(path(line))).collect();
        assert_eq!(names, ["ext4", "jbd2", "crc16", "xen_blkfront"]);
    }

    #[test]
    fn the_tree_has_files_and_lists() {
        let folder = tempfile::tempdir().unwrap();
        for line in DEP.lines() {
            let file = folder.path().join(path(line));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, line).unwrap();
        }
        fs::write(folder.path().join("modules.dep"), DEP).unwrap();
        for (list, text) in
            [("alias", "alias fs-ext4 ext4\nalias fs-xfs xfs\n"), ("symbols", ""), ("softdep", "softdep ext4 pre: crypto-crc32c\n")]
        {
            fs::write(folder.path().join(format!("modules.{list}")), text).unwrap();
        }
        let mut tree = Archive::default();
        add(&mut tree, folder.path(), "6.1").unwrap();
        let text = String::from_utf8(tree.pack().unwrap()).unwrap();
        assert!(text.contains("lib/modules/6.1/kernel/fs/ext4/ext4.ko\0") && text.contains("alias fs-ext4 ext4\n"));
        assert!(!text.contains("xfs"));
    }
}
