//! Unsafe code is where `docs/soundness.md` says and nowhere else.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use walkdir::WalkDir;

/// Crates that may have unsafe code; every other one forbids it. Test kernels are guests that do wrong on purpose, and the oracle runs on the host alone.
const ALLOWED: [&str; 5] = ["hv/machine", "pv-guest-sdk", "dom0", "tests/kernels", "tests/oracle"];
/// In Dom0 the fence is a module.
const DOM0: (&str, &str) = ("dom0/src", "hal");

/// What is outside the fence.
///
/// # Errors
/// When sources cannot be read.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = crates_without_forbid(root)?;
    let outside = WalkDir::new(root.join(DOM0.0)).sort_by_file_name().into_iter();
    for file in outside.filter_entry(|entry| entry.file_name() != DOM0.1) {
        let path = file?.into_path();
        if path.is_file() && has_unsafe(&fs::read_to_string(&path)?) {
            complaints.push(format!("{} has unsafe code outside of {}/{}", path.display(), DOM0.0, DOM0.1));
        }
    }
    Ok(complaints)
}

/// The members of the workspace whose root neither forbids unsafe code nor may have it.
fn crates_without_forbid(root: &Path) -> Result<Vec<String>> {
    let manifest: toml::Table = toml::from_str(&fs::read_to_string(root.join("Cargo.toml"))?)?;
    let members = manifest["workspace"]["members"].as_array().context("the workspace has no members")?;
    let members = members.iter().filter_map(|member| member.as_str()).filter(|member| !ALLOWED.contains(member));
    let mut complaints = Vec::new();
    for member in members {
        let sources = ["src/lib.rs", "src/main.rs"].map(|file| root.join(member).join(file));
        let roots: Vec<_> = sources.iter().filter(|file| file.exists()).collect();
        let forbids = |file: &std::path::PathBuf| fs::read_to_string(file).is_ok_and(|text| text.contains("#![forbid(unsafe_code)]"));
        if roots.is_empty() || !roots.iter().all(|file| forbids(file)) {
            complaints.push(format!("{member} does not forbid unsafe code"));
        }
    }
    Ok(complaints)
}

/// True if the word stands anywhere but in a comment.
fn has_unsafe(source: &str) -> bool {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')).any(|word| word == "unsafe")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_a_word_of_code() {
        assert!(has_unsafe("let x = unsafe { y };"));
        assert!(!has_unsafe("// unsafe\nlet unsafely = 1; // not unsafe"));
    }

    #[test]
    fn a_crate_without_the_line_is_found() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let root = folder.path();
        fs::write(root.join("Cargo.toml"), "[workspace]\nmembers = [\"good\", \"bad\", \"dom0\"]\n")?;
        for (name, text) in [("good", "#![forbid(unsafe_code)]"), ("bad", ""), ("dom0", "")] {
            fs::create_dir_all(root.join(name).join("src"))?;
            fs::write(root.join(name).join("src/main.rs"), text)?;
        }
        assert_eq!(check(root)?, ["bad does not forbid unsafe code"]);
        fs::create_dir(root.join("dom0/src/hal"))?;
        fs::write(root.join("dom0/src/hal/mod.rs"), "unsafe {}")?;
        assert_eq!(check(root)?.len(), 1);
        fs::write(root.join("dom0/src/other.rs"), "unsafe {}")?;
        assert_eq!(check(root)?.len(), 2);
        Ok(())
    }
}
