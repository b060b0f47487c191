//! What a session file may say.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::disk::DiskOption;

/// One session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Session {
    /// The commands, run without a terminal.
    #[serde(default)]
    pub exec: Vec<String>,
    /// Lines that are typed at the prompt, if there is no `exec`: the last should be `poweroff`.
    #[serde(default)]
    pub typed: Vec<String>,
    /// Files for Dom0's tree, as for `--add`, relative to the session's own folder.
    #[serde(default)]
    pub add: Vec<String>,
    /// Small files for Dom0's tree: path and content.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The same for what is no text: path and bytes, in hexadecimal digits, in as many strings as make it readable.
    #[serde(default)]
    pub bytes: BTreeMap<String, Vec<String>>,
    /// Lines for the host's shell, run in the session's scratch folder before the machine starts: they make what `disks` names. Programs
    /// that Debian packages bring (`qemu-img`, `mke2fs`, `sfdisk`, ...) are installed.
    #[serde(default)]
    pub before: Vec<String>,
    /// Disks, as for `--disk`, in the scratch folder: the first is `/dev/vda`.
    #[serde(default)]
    pub disks: Vec<DiskOption>,
    /// Whether the first disk, `/dev/vda`, is Debian's root file system, to be read only; `disks` follow. `before` and `after` find it as
    /// `$DEBIAN`.
    #[serde(default)]
    pub debian: bool,
    /// Lines for the host's shell, run in the scratch folder after the machine has ended well: each must succeed.
    #[serde(default)]
    pub after: Vec<String>,
    /// Further arguments for QEMU; `{scratch}` in them is the scratch folder.
    #[serde(default)]
    pub qemu: Vec<String>,
    /// The exit status.
    #[serde(default)]
    pub status: u8,
    /// Regular expressions that must match somewhere in what the commands print, each after the one before.
    #[serde(default)]
    pub expect: Vec<String>,
    /// Regular expressions that must match nowhere.
    #[serde(default)]
    pub never: Vec<String>,
    /// Regular expressions with a group: each must match at least twice, and the group must be the same everywhere.
    #[serde(default)]
    pub same: Vec<String>,
    /// Figures with limits.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// Figures that are made of several, with limits.
    #[serde(default)]
    pub sums: Vec<Sum>,
    /// Regular expressions that must match somewhere in the hypervisor's log.
    #[serde(default)]
    pub log: Vec<String>,
    /// Test kernels that it needs: each is put into `/guests`, with a configuration of 16 MiB.
    #[serde(default)]
    pub kernels: Vec<String>,
    /// Memory in MiB.
    #[serde(default = "default_memory")]
    pub memory: u32,
    /// Whether instructions are counted.
    #[serde(default)]
    pub icount: bool,
    /// Whether the archive lacks Dom0, so that nothing runs.
    #[serde(default)]
    pub without_dom0: bool,
    /// Whether Debian's generic kernel is needed.
    #[serde(default)]
    pub generic_linux: bool,
    /// How long the host waits, in seconds.
    #[serde(default = "default_timeout")]
    pub timeout: u64,
}

/// A limit of how much a number may grow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limit {
    /// What is limited.
    pub what: String,
    /// A regular expression whose group is the number.
    pub number: String,
    /// From which match to which, counted from 0.
    pub between: [usize; 2],
    /// What it grows between these two matches is taken off: what a short run and a long one have in common.
    pub less_between: Option<[usize; 2]>,
    /// The number may differ by this much.
    pub at_most: Option<u64>,
    /// The number may differ by as much as it does between these two matches.
    pub at_most_as_between: Option<[usize; 2]>,
}

/// A limit of a figure that nothing prints as a whole. Each part is a regular expression, and its first match's group is the number.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sum {
    /// What is limited.
    pub what: String,
    /// What the commands print and is added.
    pub plus: Vec<String>,
    /// What the hypervisor's log says and is added.
    #[serde(default)]
    pub plus_log: Vec<String>,
    /// What the commands print and is subtracted.
    #[serde(default)]
    pub minus: Vec<String>,
    /// It may be this much.
    pub at_most: u64,
}

fn default_memory() -> u32 {
    4096
}

fn default_timeout() -> u64 {
    300
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(toml::from_str::<Session>("exec = ['x']\nexpects = []").is_err());
    }

    #[test]
    fn disks_are_written_as_on_the_command_line() {
        let session: Session = toml::from_str("exec = []\ndisks = ['a.raw,new=64M', 'b.qcow2,ro']").unwrap();
        assert_eq!(session.disks, ["a.raw,new=64M".parse().unwrap(), "b.qcow2,ro".parse().unwrap()]);
        let error = toml::from_str::<Session>("exec = []\ndisks = ['a,new=100']").unwrap_err().to_string();
        assert!(error.contains("no multiple of 512"), "{error}");
    }
}
