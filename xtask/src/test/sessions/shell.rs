//! What a session does on the host, before its machine starts and after it has ended: lines for a shell, since that is how one makes and
//! checks disks by hand.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::{command, deps};

/// Runs each line in `folder` and gives the first that failed, with what it printed; `None` if all is well. `qemu-img` and its like
/// are installed if a line names them. `debian` is what `$DEBIAN` stands for.
///
/// # Errors
/// When a program cannot be installed, or the shell not be started.
pub fn run(lines: &[String], folder: &Path, debian: Option<&Path>) -> Result<Option<String>> {
    let programs: Vec<&str> = lines.iter().flat_map(|line| words(line)).collect();
    deps::programs(&programs)?;
    for line in lines {
        // bash, because a failure in the middle of a pipe is one.
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", line]).current_dir(folder).stdin(Stdio::null()).env("PATH", command::path());
        if let Some(debian) = debian {
            shell.env("DEBIAN", debian);
        }
        let output = shell.output().context("cannot start `bash`")?;
        if !output.status.success() {
            let text = [output.stdout, output.stderr].concat();
            return Ok(Some(format!("`{line}` failed ({}): {}", output.status, String::from_utf8_lossy(&text).trim())));
        }
    }
    Ok(None)
}

/// Anything in the line that may be the name of a program.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(lines: &[&str]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        super::run(&lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>(), folder.path(), Some(Path::new("/d"))).unwrap()
    }

    #[test]
    fn lines_share_a_folder() {
        assert_eq!(run(&["echo a > b", "test $(cat b) = a", "test $DEBIAN = /d"]), None);
    }

    #[test]
    fn the_first_failure_is_told_with_its_words() {
        let failure = run(&["echo fine", "echo why; echo because >&2; false", "echo later"]).unwrap();
        assert!(failure.contains("why") && failure.contains("because") && failure.contains("exit status: 1"), "{failure}");
        assert!(!failure.contains("later"));
    }

    #[test]
    fn a_failure_in_a_pipe_is_one() {
        assert!(run(&["false | cat"]).is_some());
        assert!(run(&["echo $no_such_variable"]).is_some());
    }

    #[test]
    fn programs_are_found_among_the_words() {
        let found: Vec<_> = words("x=$(qemu-img info 'a' | grep b)").collect();
        assert!(found.contains(&"qemu-img") && found.contains(&"grep"));
    }
}
