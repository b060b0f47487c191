//! Code that documentation shows whole is the file that it comes from: `<!-- file: PATH -->` above a code block says which.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::markdown;

/// The blocks that are not what their file says.
///
/// # Errors
/// When a file cannot be read.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for (file, text) in markdown::files(root)? {
        for (path, shown) in snippets(&text) {
            let path = file.parent().unwrap_or(root).join(path);
            match fs::read_to_string(&path) {
                Ok(source) if source == shown => {}
                Ok(_) => complaints.push(format!("{}: shows another text than {}", file.display(), path.display())),
                Err(error) => complaints.push(format!("{}: cannot read {}: {error}", file.display(), path.display())),
            }
        }
    }
    Ok(complaints)
}

/// The paths that are named, each with the code block that follows.
fn snippets(text: &str) -> Vec<(&str, String)> {
    let mut snippets = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let named = line.strip_prefix("<!-- file: ").and_then(|rest| rest.strip_suffix(" -->"));
        if let Some(path) = named {
            let block = lines.by_ref().skip(1).take_while(|line| *line != "```");
            snippets.push((path, block.map(|line| format!("{line}\n")).collect()));
        }
    }
    snippets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_differs_from_its_file_is_found() -> Result<()> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("a.rs"), "fn a() {}\n")?;
        let page = |code: &str| format!("text\n<!-- file: a.rs -->\n```rust\n{code}```\nmore\n");
        fs::write(folder.path().join("good.md"), page("fn a() {}\n"))?;
        assert!(check(folder.path())?.is_empty());
        fs::write(folder.path().join("bad.md"), page("fn b() {}\n"))?;
        assert_eq!(check(folder.path())?.len(), 1);
        Ok(())
    }
}
