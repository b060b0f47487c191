//! The commands that Dom0 runs by itself after boot: `/etc/exec`, one a line.
//!
//! They come from `cargo xtask run --exec`, which puts each into the archive as it was typed; splitting into words is the shell's.

/// Where the archive carries the commands.
pub const PATH: &str = "/etc/exec";

/// The file is not text, so nothing of it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotText;

impl core::fmt::Display for NotText {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{PATH} is not UTF-8 text; write one command a line")
    }
}

impl core::error::Error for NotText {}

/// The commands of the file, in order, without blank lines.
pub fn commands(file: &[u8]) -> Result<impl Iterator<Item = &str>, NotText> {
    let text = core::str::from_utf8(file).map_err(|_| NotText)?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_a_line() {
        let file = b"dom list\n\n  echo 'a  b'  \r\npoweroff";
        assert!(commands(file).unwrap().eq(["dom list", "echo 'a  b'", "poweroff"]));
        assert!(commands(b"\xff\xfe").is_err());
        assert_eq!(commands(b"").unwrap().count(), 0);
    }
}
