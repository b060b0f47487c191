//! The Markdown files of the tree.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use walkdir::{DirEntry, WalkDir};

/// Folders that hold nothing of ours.
const NOT_OURS: [&str; 2] = ["target", ".git"];

/// All of them with their texts, by name.
///
/// # Errors
/// When one cannot be read.
pub fn files(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for file in WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(is_ours) {
        let path = file?.into_path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path)?;
            files.push((path, text));
        }
    }
    Ok(files)
}

fn is_ours(entry: &DirEntry) -> bool {
    !(entry.depth() == 1 && NOT_OURS.iter().any(|name| entry.file_name() == *name))
}
